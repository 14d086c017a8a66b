"""Keeping hubs."""

from collections.abc import Iterator
from contextlib import suppress

from shared.clock import Clock
from shared.definitions.kinds import HUB, OF_A_HUB
from shared.definitions.named_containers import forget_hub, note_all_named, note_new_hub
from shared.definitions.secrets import faults_of_secrets
from shared.definitions.store import GUARD, HUBS, Change, Conditions, DefinitionStore, Stored
from shared.domain.errors import ConflictError, HubError, InvalidRequestError
from shared.domain.hubs import Hub
from shared.domain.names import check_hub_name


def put_hub(
    store: DefinitionStore, clock: Clock, name: str, hub: Hub, conditions: Conditions
) -> tuple[Stored[Hub], bool]:
    """Creates or replaces a hub; see `Definitions.put_hub`."""
    check_hub_name(name)
    if faults := faults_of_secrets(hub.to_json()):
        raise InvalidRequestError(faults)

    def make(change: Change) -> tuple[Stored[Hub], bool]:
        old = store.get(HUB, HUBS, name)
        conditions.check(old)
        now = clock.now()
        hub_name = old.document.hub_name if old else name
        document = hub.model_copy(
            update={
                "hub_name": hub_name,
                "tenant_id": hub_name,
                "created": old.document.created if old else now,
                "last_modified": now,
            }
        )
        if old is None:
            # The guard of a hub stays when the hub goes: without one there was no earlier hub of the name.
            note_new_hub(change, name, is_empty=store.noted(name, GUARD) is None)
        return change.put(HUB, (name,), document, old.instance_id if old else ""), old is None

    stored, created = store.change(HUBS, make)
    _set_closed(store, name, closed=False)
    with suppress(HubError):  # the next tick does it
        note_all_named(store, name)
    return stored, created


def close_hub(store: DefinitionStore, name: str, conditions: Conditions) -> bool:
    """Closes a hub; see `Definitions.close_hub`. False where there is none."""
    old = store.get(HUB, HUBS, name)
    conditions.check(old)
    if old is not None:
        _set_closed(store, name, closed=True)
    return old is not None


def is_in_use(store: DefinitionStore, name: str) -> bool:
    """Whether there is a hub that takes definitions; see `Definitions.is_in_use`."""
    guard = store.noted(name, GUARD)
    return not (guard and guard["closed"]) and store.get(HUB, HUBS, name) is not None


def closed_hubs(store: DefinitionStore) -> Iterator[str]:
    """The names of hubs that were closed and not made anew, in lower case."""
    return (row["PartitionKey"] for row in store.all_noted(GUARD) if row["closed"])


def delete_hub(store: DefinitionStore, name: str, conditions: Conditions) -> None:
    """Deletes a hub; see `Definitions.delete_hub`."""
    # First nobody can add to the hub any more, then it is deleted: two partitions, so two steps.
    if not close_hub(store, name, conditions):
        return

    def make(change: Change) -> None:
        if store.get(HUB, HUBS, name) is not None:
            change.delete(HUB, name)
        forget_hub(store, change, name)

    store.change(HUBS, make)


def open_hub(store: DefinitionStore, change: Change, name: str) -> Stored[Hub]:
    """The hub that a change adds to; NotFoundError without one, ConflictError while it is being deleted.

    Only what is put through this door must find room: what the app notes by itself always may.
    """
    change.is_put = True
    stored = store.require(HUB, HUBS, name)
    if change.is_closed:
        message = f"the hub {name!r} is being deleted; repeat its DELETE, or PUT it to keep it"
        raise ConflictError("HubDeleting", message, name)
    return stored


def _set_closed(store: DefinitionStore, name: str, *, closed: bool) -> None:
    def make(change: Change) -> None:
        if closed:
            present = [kind.label for kind in OF_A_HUB if store.all(kind, name)]
            if present:
                message = f"the hub {name!r} still has definitions ({', '.join(present)}); delete them first"
                raise ConflictError("InUse", message, name)
        change.is_closed = closed

    store.change(name, make)
