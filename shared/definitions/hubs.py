"""Keeping hubs.

A hub is in two partitions, its own and that of all hubs, which do not change together. Its deletion closes it first,
in its own, by an id; then its records go. Who finds it closed, and wants it to stay, sees to it that all of its records
go, and opens it only if it is closed by the same deletion still: so a hub that is open has all of its records, or none.

Whether it goes or stays is decided in its own partition too: the deletion marks it as gone, unless somebody has opened
it, and from then on nobody opens that hub any more. What is left of its definition goes after that, or another hub's
takes its place.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

from shared.clock import Clock
from shared.definitions.places.named_containers import forget_hub, note_all_named, note_new_hub
from shared.definitions.secrets.secrets import faults_of_secrets
from shared.definitions.store.commits import GUARD, closing_in, emptied_since_in
from shared.definitions.store.definition_store import HUBS, Change, Conditions, DefinitionStore, Stored
from shared.definitions.store.kinds import HUB, OF_A_HUB
from shared.domain.documents.hubs import Hub
from shared.domain.errors import ConflictError, Fault, HubError, InvalidRequestError
from shared.domain.names import check_hub_name, name_key
from shared.failpoints import FailPoint, failpoint

type Empty = Callable[[str], None]

_GONE = "gone-"
# Behind the deletion of a hub nobody writes so late: messages of its runs have been given up by then.
_LATEST_WRITE = timedelta(days=7)


def without_records(_: str) -> None:
    """Removes nothing: the hub has no records."""


def put_hub(
    store: DefinitionStore, clock: Clock, name: str, hub: Hub, conditions: Conditions, empty: Empty
) -> tuple[Stored[Hub], bool]:
    """Creates or replaces a hub; see `Definitions.put_hub`."""
    check_hub_name(name)
    if faults := faults_of_secrets(hub.to_json()):
        raise InvalidRequestError(faults)

    def there(closing: str) -> Stored[Hub] | None:
        old = store.get(HUB, HUBS, name)
        if old is not None and closing.startswith(_mark(old)):
            old = None  # or is another one already, which nobody has opened yet
        conditions.check(old)
        return old

    def make(change: Change) -> tuple[Stored[Hub], bool]:
        old = there(closing_of(store, name))
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
            if name_key(name) == HUBS:
                message = f"the app keeps the list of all hubs under the name {name!r}; choose another one"
                raise InvalidRequestError([Fault("InvalidName", "hub", message)])
            # The guard of a hub stays when the hub goes: without one there was no earlier hub of the name.
            note_new_hub(change, name, is_empty=store.noted(name, GUARD) is None)
        return change.put(HUB, (name,), document, old.instance_id if old else ""), old is None

    is_new = False
    while True:
        if closing := closing_of(store, name):
            there(closing)
            empty(closing)
        stored, created = store.change(HUBS, make)
        is_new = is_new or created
        # A deletion may have closed it since, or have ended behind this PUT.
        if _open(store, name, closing) and _is_there(store, name, stored):
            with suppress(HubError):  # the next tick does it
                note_all_named(store, name)
            return stored, is_new
        conditions = Conditions()  # they were met


def _is_there(store: DefinitionStore, name: str, stored: Stored[Hub]) -> bool:
    return _is_same(store.get(HUB, HUBS, name), stored)


def _is_same(present: Stored[Hub] | None, stored: Stored[Hub]) -> bool:
    return present is not None and present.instance_id == stored.instance_id


def closing_of(store: DefinitionStore, name: str) -> str:
    """Which deletion has closed a hub; see `Definitions.closing_of`."""
    return closing_in(store.noted(name, GUARD))


def closed_hubs(store: DefinitionStore, clock: Clock) -> Iterator[str]:
    """The names of hubs that were closed and not made anew, in lower case; see `Definitions.closed_hubs`."""
    long_ago = (clock.now() - _LATEST_WRITE).isoformat()
    for row in store.all_noted(GUARD):
        emptied_since = emptied_since_in(row)
        if row["closed"] and not (emptied_since and emptied_since < long_ago):
            yield row["PartitionKey"]


def note_emptied(store: DefinitionStore, clock: Clock, name: str, closing: str) -> None:
    """Notes that a deletion has removed the records of the hub that it closed, unless that is noted already."""

    def make(change: Change) -> None:
        if change.closing == closing and not change.emptied_since:
            change.emptied_since = clock.now().isoformat()

    store.change(name, make, is_begun=True)


def delete_hub(store: DefinitionStore, name: str, conditions: Conditions, empty: Empty) -> None:
    """Deletes a hub; see `Definitions.delete_hub`."""
    old = store.get(HUB, HUBS, name)
    conditions.check(old)
    if old is None:
        if closing := closing_of(store, name):
            empty(closing)
        return
    closing = _close(store, name, old, conditions)
    empty(closing)
    _mark_as_gone(store, name, old, closing)
    failpoint(FailPoint.HUB_GONE)

    def make(change: Change) -> None:
        if _is_there(store, name, old):
            change.delete(HUB, name)
            forget_hub(store, change, name)

    store.change(HUBS, make, is_begun=True)


def open_hub(store: DefinitionStore, change: Change, name: str) -> Stored[Hub]:
    """The hub that a change adds to; NotFoundError without one, ConflictError while it is being deleted.

    Only what is put through this door must find room: what the app notes by itself always may.
    """
    change.is_put = True
    stored = store.require(HUB, HUBS, name)
    if change.closing:
        message = f"the hub {name!r} is being deleted; repeat its DELETE, or PUT it to keep it"
        raise ConflictError("HubDeleting", message, name)
    return stored


def _close(store: DefinitionStore, name: str, hub: Stored[Hub], conditions: Conditions) -> str:
    """Closes a hub that has no definitions, unless it is closed; returns by which deletion it is."""
    new = uuid.uuid4().hex

    def make(change: Change) -> str:
        found = store.get(HUB, HUBS, name)
        conditions.check(found)
        if not _is_same(found, hub):
            message = f"the hub {name!r} was made anew while it was being deleted; repeat the DELETE"
            raise ConflictError("HubInUse", message, name)
        present = [kind.label for kind in OF_A_HUB if store.all(kind, name)]
        if present:
            message = f"the hub {name!r} still has definitions ({', '.join(present)}); delete them first"
            raise ConflictError("InUse", message, name)
        change.closing = change.closing or new
        return change.closing

    return store.change(name, make)


def _mark_as_gone(store: DefinitionStore, name: str, hub: Stored[Hub], closing: str) -> None:
    """Marks a hub as gone that a deletion has closed; ConflictError where it was opened since."""

    def make(change: Change) -> None:
        if change.closing == closing:
            # An id of its own: whoever is about to open the hub looks again at what there is.
            change.closing = f"{_mark(hub)}{uuid.uuid4().hex}"
        elif not change.closing.startswith(_GONE):
            message = f"the hub {name!r} was PUT while it was being deleted; repeat the DELETE"
            raise ConflictError("HubInUse", message, name)

    store.change(name, make, is_begun=True)


def _mark(hub: Stored[Hub]) -> str:
    """What the closing of a hub begins with that is marked as gone."""
    return f"{_GONE}{hub.instance_id}-"


def _open(store: DefinitionStore, name: str, emptied: str) -> bool:
    """Opens a hub that this deletion has closed, once its records are gone; False where another one has."""
    if not closing_of(store, name):
        return True  # so most PUTs change the list of hubs alone

    def make(change: Change) -> bool:
        if change.closing not in {"", emptied}:
            return False
        change.closing = ""
        return True

    return store.change(name, make, is_begun=True)
