"""Which containers each hub has ever named: what happens in a container is looked for in these hubs, and no others.

It lies beside the hubs, in their partition, so that one guard tells whether all of it still holds, however many hubs
there are. A container is noted here before anything is stored that names it, so it may be noted without need, but is
never missing; it goes with its hub only. A hub of an earlier release counts as naming all, until it was read whole.
"""

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import Field as Property

from shared.definitions.places.claim_facts import containers_noted, exports_from, named
from shared.definitions.store.definition_store import HUBS, Change, DefinitionStore, Kept, Kind, Stored
from shared.definitions.store.kinds import CONNECTOR_ALONE, HUB, MAPPING_ALONE
from shared.domain.documents.document import Document
from shared.domain.documents.hubs import Hub
from shared.domain.names import name_key

# Whoever has named more counts as naming all: what each event looks through shall stay small.
MOST = 500


class NamedContainers(Document):
    """The containers that mappings of a hub read and move files to, and that it exports to, whatever their accounts.

    Attributes:
        is_complete: whether it has named no others.
    """

    containers: list[str] = Property(default_factory=list)
    is_complete: bool = False

    @property
    def is_full(self) -> bool:
        """Whether the hub counts as naming all for good."""
        return len(self.containers) > MOST

    def has(self, containers: Collection[str]) -> bool:
        """Whether it is noted already that the hub names these."""
        return self.is_full or {*containers} <= {*self.containers}

    def with_more(self, containers: Collection[str]) -> "NamedContainers":
        """With further ones; no more of them than tell that these are too many."""
        found = list(dict.fromkeys([*self.containers, *sorted(containers)]))
        return self.model_copy(update={"containers": found[: MOST + 1]})


NAMED = Kind[NamedContainers]("named", NamedContainers.from_stored, HUB.missing, "list of containers")


@dataclass(frozen=True)
class _Index:
    """Hubs by the containers that they name, their names in lower case, and those of which no others are to be asked.

    Attributes:
        known: hubs that are found by `hubs`; all others may name any container.
    """

    known: Collection[str]
    hubs: dict[str, set[str]]


def hubs_naming(store: DefinitionStore, containers: Collection[str] | None) -> list[Kept[Hub]]:
    """The hubs that may name one of these containers, or all hubs, by name; in a consistent read asked at once."""
    found = store.kept(HUB, HUBS)
    if containers is not None:
        index = store.derived(HUBS, "named", lambda: _index(store))
        naming = {hub for container in containers for hub in index.hubs.get(container, ())}
        found = [hub for hub in found if hub.name in naming or hub.name not in index.known]
    store.read_ahead([hub.name for hub in found])
    return found


def containers_named(store: DefinitionStore, hub: str) -> Collection[str] | None:
    """The containers that a hub has named; None where it counts as naming all."""
    stored = store.get(NAMED, HUBS, hub)
    return stored.document.containers if stored and _is_known(stored.document) else None


def note_named(store: DefinitionStore, hub: str, containers: Collection[str]) -> None:
    """Notes containers that a hub is about to name; to be called in the change of the hub that needs it.

    A change is made anew where the hub was closed, or read whole, since it began; so what was noted then is here.
    """
    stored = store.get(NAMED, HUBS, hub)
    if stored is not None and stored.document.has(containers):
        return

    def make(change: Change) -> None:
        old = store.get(NAMED, HUBS, hub)
        if (old is not None and old.document.has(containers)) or store.get(HUB, HUBS, hub) is None:
            return
        document = (old.document if old else NamedContainers()).with_more(containers)
        change.put(NAMED, (hub,), document, old.instance_id if old else "")

    store.change(HUBS, make, is_begun=True)


def note_new_hub(change: Change, name: str, *, is_empty: bool) -> None:
    """Notes what a hub names that is about to be made.

    Args:
        change: of the hubs.
        name: of the hub.
        is_empty: whether nothing was ever stored for a hub of the name; else it is to be read whole.
    """
    change.put(NAMED, (name,), NamedContainers(is_complete=is_empty))


def forget_hub(store: DefinitionStore, change: Change, name: str) -> None:
    """Deletes what is noted of a hub, in the change that deletes the hub."""
    if store.get(NAMED, HUBS, name) is not None:
        change.delete(NAMED, name)


def note_all_named(store: DefinitionStore, hub: str) -> None:
    """Notes what a hub names by what is stored for it; not to be called within a consistent read.

    That completes the list of a hub of an earlier release, and mends one that such a release has stored mappings
    beside. With a mapping that cannot be read, a list is not complete.
    """
    before = store.get(NAMED, HUBS, hub)
    if before is None or not before.document.is_complete:
        before = _begin(store, hub)
        if before is None:
            return
    if before.document.is_full:
        return
    with store.consistent_read():
        containers, is_all = _containers_of(store, hub)
    is_complete = is_all or before.document.is_complete
    instance = before.instance_id
    if before.document.has(containers) and is_complete == before.document.is_complete:
        return

    def make(change: Change) -> None:
        present = store.get(NAMED, HUBS, hub)
        if present is None or present.instance_id != instance:
            return  # that hub is gone
        document = present.document.with_more(containers).model_copy(update={"is_complete": is_complete})
        if document != present.document:
            change.put(NAMED, (hub,), document, instance)

    store.change(HUBS, make)


def _begin(store: DefinitionStore, hub: str) -> Stored[NamedContainers] | None:
    """Begins a list, so that whatever is stored for the hub from now on is in it; None where there is no such hub."""

    def make(change: Change) -> Stored[NamedContainers] | None:
        if store.get(HUB, HUBS, hub) is None:
            return None
        return store.get(NAMED, HUBS, hub) or change.put(NAMED, (hub,), NamedContainers())

    def renew(change: Change) -> None:
        # Whoever is about to store something, and noted it in the list of an earlier hub, begins anew.
        change.is_needed = True

    begun = store.change(HUBS, make)
    if begun is not None and not begun.document.is_full:
        store.change(hub, renew)
    return begun


def _containers_of(store: DefinitionStore, hub: str) -> tuple[set[str], bool]:
    """The containers that the definitions of a hub name, and whether all of them could be read."""
    mappings = store.kept(MAPPING_ALONE, hub)
    found: set[str] = set()
    for mapping in mappings:
        found |= containers_noted(mapping.internal)
        found |= {container for container, _ in named(mapping.stored.document)} if mapping.stored else set()
    for connector in store.kept(CONNECTOR_ALONE, hub):
        if exports := exports_from(connector.internal):
            found.add(exports[1])
    return found, all(mapping.stored for mapping in mappings)


def _index(store: DefinitionStore) -> _Index:
    known: set[str] = set()
    hubs: dict[str, set[str]] = {}
    for one in store.kept(NAMED, HUBS):
        if one.stored is None or not _is_known(one.stored.document):
            continue
        known.add(name_key(one.name))
        for container in one.stored.document.containers:
            hubs.setdefault(container, set()).add(name_key(one.name))
    return _Index(known, hubs)


def _is_known(document: NamedContainers) -> bool:
    return document.is_complete and not document.is_full
