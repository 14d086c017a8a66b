"""Which mappings read files: all of a hub, or those that are to hear of a blob."""

from collections.abc import Iterator
from dataclasses import dataclass

from shared.connectors.kinds import kind_of
from shared.definitions.places.claim_facts import ACCOUNT, CLAIMED_ACCOUNT, containers_noted, is_let_in
from shared.definitions.places.containers import Containers
from shared.definitions.places.named_containers import hubs_naming
from shared.definitions.store.definition_store import DefinitionStore, Kept, Stored
from shared.definitions.store.kinds import CONNECTOR, CONNECTOR_ALONE, MAPPING, MAPPING_ALONE
from shared.domain.documents.connectors import Connector
from shared.domain.documents.mappings import Mapping
from shared.domain.names import name_key

# The mappings that read a container, by account and container.
type _Listening = dict[tuple[str, str], list[Stored[Mapping]]]

_ACCOUNTS = (ACCOUNT, CLAIMED_ACCOUNT)


def readers(store: DefinitionStore, hub: str) -> list[tuple[Stored[Connector], Stored[Mapping]]]:
    """The mappings of a hub, each with its connector; see `Definitions.readers`."""
    known = {
        name_key(stored.document.connector_name): stored
        for stored in store.readable(CONNECTOR, hub)
        if kind_of(stored.document).source
    }
    # In one request for all of them, however many there are.
    mappings = store.readable(MAPPING, hub) if known else []
    named = [(known.get(name_key(mapping.document.connector_name)), mapping) for mapping in mappings]
    return [(connector, mapping) for connector, mapping in named if connector is not None]


def readers_beside(store: DefinitionStore, mapping: Stored[Mapping]) -> list[Kept[Mapping]]:
    """The other mappings of a mapping's hub that may read the same container, without their columns.

    Of another connector too, unless the accounts of both are known and are different ones, whether these let them in or
    not; and what this release cannot read, where it is noted to name the container.
    """
    hub, container = mapping.document.tenant_id, mapping.document.container
    beside = [
        other
        for other in store.kept(MAPPING_ALONE, hub)
        if _may_name(other, container) and not (other.stored and other.stored.instance_id == mapping.instance_id)
    ]
    connector = name_key(mapping.document.connector_name)
    if all(other.parent == connector for other in beside):
        return beside
    accounts = _possible_accounts(store, hub)
    own = accounts.get(connector)
    # What is not known may be the same: to leave a file where it is loses nothing.
    return [
        other
        for other in beside
        if other.parent == connector or not own or not (its := accounts.get(other.parent)) or own & its
    ]


@dataclass(frozen=True)
class Listener:
    """A mapping of a container that blobs came to.

    Attributes:
        hub: its name.
        mapping: that reads the container.
        may_hear: whether its hub may read there; it may once it has listed the container.
    """

    hub: str
    mapping: Stored[Mapping]
    may_hear: bool


def listeners(store: DefinitionStore, containers: Containers, account: str, container: str) -> Iterator[Listener]:
    """The mappings that are to hear of the blobs of a container; see `Definitions.listeners`.

    Whether a hub may read it is asked only where it names it, so a blob for nobody costs little.
    """
    naming = hubs_naming(store, {container})
    for hub in (one.stored.document.hub_name for one in naming if one.stored is not None):
        if name_key(account) not in _accounts(store, hub).values():
            continue  # so its mappings need not be read
        named = _listening(store, hub).get((name_key(account), container), [])
        if named and (may_hear := containers.may_read(hub, account, container)) is not False:
            yield from (Listener(hub, mapping, may_hear is True) for mapping in named)


def _may_name(mapping: Kept[Mapping], container: str) -> bool:
    """Whether a mapping reads a container, or is noted to name it and cannot be read."""
    if mapping.stored is not None:
        return mapping.stored.document.container == container
    return container in containers_noted(mapping.internal)


def _possible_accounts(store: DefinitionStore, hub: str) -> dict[str, frozenset[str]]:
    """The accounts that connectors of a hub may read, by the names of these; none where nobody knows.

    It is not known from when a PUT has named another secret until the account has been found that this leads to. One
    that is to let the connector in counts too, and one that did before: mending a right or a secret leads back to it.
    """

    def find() -> dict[str, frozenset[str]]:
        return {
            kept.name: frozenset(name_key(kept.internal[fact]) for fact in _ACCOUNTS if kept.internal.get(fact))
            if kept.internal.get(ACCOUNT)
            else frozenset()
            for kept in store.kept(CONNECTOR_ALONE, hub)
        }

    return store.derived(hub, "possible accounts", find)


def _accounts(store: DefinitionStore, hub: str) -> dict[str, str]:
    """The accounts that have let connectors of a hub in, by the names of these."""

    def find() -> dict[str, str]:
        return {
            name_key(stored.document.connector_name): name_key(account)
            for stored in store.readable(CONNECTOR_ALONE, hub)
            if kind_of(stored.document).source
            and (account := stored.internal.get(ACCOUNT))
            and is_let_in(stored, account)
        }

    return store.derived(hub, "accounts", find)


def _listening(store: DefinitionStore, hub: str) -> _Listening:
    def find() -> _Listening:
        accounts = _accounts(store, hub)
        found: _Listening = {}
        for stored in store.readable(MAPPING_ALONE, hub):
            if (account := accounts.get(name_key(stored.document.connector_name))) is not None:
                found.setdefault((account, stored.document.container), []).append(stored)
        return found

    return store.derived(hub, "listening", find)
