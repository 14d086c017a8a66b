"""Which mappings read files: all of a hub, or those that are to hear of a blob."""

from collections.abc import Iterable, Iterator

from shared.definitions.claim_facts import is_let_in
from shared.definitions.containers import Containers
from shared.definitions.kinds import CONNECTOR, CONNECTOR_AS_STORED, MAPPING
from shared.definitions.store import DefinitionStore, Stored
from shared.domain.connectors import AzureBlobConnector, Connector
from shared.domain.mappings import Mapping
from shared.domain.names import name_key


def readers(store: DefinitionStore, hub: str) -> list[tuple[Stored[Connector], Stored[Mapping]]]:
    """The mappings of a hub, each with its connector; see `Definitions.readers`."""
    return _with_connectors(store, hub, store.readable(CONNECTOR, hub))


def listeners(
    store: DefinitionStore, containers: Containers, hubs: Iterable[str], account: str, container: str
) -> Iterator[tuple[str, Stored[Mapping]]]:
    """The mappings that are to hear of the blobs of a container; see `Definitions.listeners`.

    Whether a hub may read it is asked only where it names it, so a blob for nobody costs little.
    """
    for hub in hubs:
        let_in = [stored for stored in store.readable(CONNECTOR_AS_STORED, hub) if is_let_in(stored, account)]
        named = [
            mapping for _, mapping in _with_connectors(store, hub, let_in) if mapping.document.container == container
        ]
        if named and containers.may_read(hub, account, container):
            yield from ((hub, mapping) for mapping in named)


def _with_connectors(
    store: DefinitionStore, hub: str, connectors: Iterable[Stored[Connector]]
) -> list[tuple[Stored[Connector], Stored[Mapping]]]:
    known = {
        name_key(stored.document.connector_name): stored
        for stored in connectors
        if isinstance(stored.document, AzureBlobConnector)
    }
    # In one request for all of them, however many there are.
    mappings = store.readable(MAPPING, hub) if known else []
    named = [(known.get(name_key(mapping.document.connector_name)), mapping) for mapping in mappings]
    return [(connector, mapping) for connector, mapping in named if connector is not None]
