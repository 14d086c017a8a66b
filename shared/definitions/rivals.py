"""Connectors that would export an entity to the very paths that another one exports it to.

The paths in a destination are those of the entity's kind and name, whatever hub or connector it comes from. So where
two write the same, the second would fail at each slot. It is told at its PUT, or by its check where that comes too soon
or its place is not known before; what neither can see, the export finds there. An entity that is spelt otherwise, or
of the other kind, has paths of its own.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.definitions.claim_facts import exports_from
from shared.definitions.containers import OF_ANOTHER_HUB, Containers
from shared.definitions.kinds import CONNECTOR_AS_STORED
from shared.definitions.store import DefinitionStore, Stored
from shared.domain.connectors import Connector, ConnectorState, ExportedEntity, ExportedEntityType, OutboundConnector
from shared.domain.errors import ConflictError, Fault, told
from shared.domain.names import name_key, same_name
from shared.domain.slot import export_folder

logger = logging.getLogger(__name__)

OF_ANOTHER_CONNECTOR = "InUse"


@dataclass(frozen=True)
class _Exporter:
    """Another connector that exports to a container, and since when that lets it in."""

    hub: str
    connector: str
    since: datetime
    folders: frozenset[str]

    @property
    def order(self) -> tuple[datetime, str, str]:
        """Who exported first comes first."""
        return self.since, name_key(self.hub), name_key(self.connector)


class Rivals:
    """Who else exports what a connector does; each question reads the connectors of hubs that export there."""

    def __init__(self, store: DefinitionStore, containers: Containers) -> None:
        self._store = store
        self._containers = containers

    def check_new(
        self, hub: str, wanted: Connector, place: tuple[str, str] | None, old: Stored[Connector] | None
    ) -> None:
        """Refuses what a connector comes to export to paths that another one has.

        Args:
            hub: of the connector.
            wanted: as it is to be, with its names as they were defined.
            place: account and container; None for those that it has exported to until now.
            old: as it is; what it exports to the same place is no news.

        Raises:
            ConflictError: another connector of the hub exports there (`InUse`), or another hub does
                (`ContainerOfAnotherHub`).
        """
        before = exports_from(old.internal) if old else None
        known = before[:2] if before else None
        place = place or known
        if place is None or not isinstance(wanted, OutboundConnector):
            return
        entities = wanted.connector_properties.entity_list
        has = _folders(old.document) if old is not None and _is_same(place, known) else frozenset()
        others = list(self._others(hub, wanted.connector_name, place))
        faults = [
            _fault(hub, place[1], entity, other, f"connectorProperties.entityList[{at}].entityName")
            for at, entity in enumerate(entities)
            if _folder(entity) not in has and (other := _first(others, entity))
        ]
        if faults:
            raise ConflictError(faults[0].code, told([fault.message for fault in faults]), faults[0].target, faults)

    def first(
        self, hub: str, stored: Stored[Connector], place: tuple[str, str]
    ) -> Callable[[ExportedEntity], str | None]:
        """Says of an entity of a connector who exported it to the same paths before; None where nobody did."""
        name = stored.document.connector_name
        before = exports_from(stored.internal)
        others = list(self._others(hub, name, place))
        if before is not None and _is_same(place, before[:2]):
            own = _Exporter(hub, name, before[2], frozenset())
            others = [other for other in others if other.order < own.order]

        def find(entity: ExportedEntity) -> str | None:
            other = _first(others, entity)
            return _fault(hub, place[1], entity, other, "").message if other else None

        return find

    def _others(self, hub: str, name: str, place: tuple[str, str]) -> Iterator[_Exporter]:
        for exporter in self._containers.exporters(*place):
            for stored in self._store.readable(CONNECTOR_AS_STORED, exporter):
                document, exports = stored.document, exports_from(stored.internal)
                is_own = same_name(exporter, hub) and same_name(document.connector_name, name)
                if is_own or document.state is ConnectorState.DELETING:
                    continue
                if exports is not None and _is_same(place, exports[:2]):
                    yield _Exporter(exporter, document.connector_name, exports[2], _folders(document))


def _is_same(place: tuple[str, str], other: tuple[str, str] | None) -> bool:
    return other is not None and same_name(place[0], other[0]) and place[1] == other[1]


def _folder(entity: ExportedEntity) -> str:
    return export_folder(entity.entity_type.value, entity.entity_name)


def _folders(document: Connector) -> frozenset[str]:
    if not isinstance(document, OutboundConnector):
        return frozenset()
    return frozenset(map(_folder, document.connector_properties.entity_list))


def _first(others: Sequence[_Exporter], entity: ExportedEntity) -> _Exporter | None:
    having = (other for other in others if _folder(entity) in other.folders)
    return min(having, key=lambda other: other.order, default=None)


def _fault(hub: str, container: str, entity: ExportedEntity, other: _Exporter, target: str) -> Fault:
    label = "KPI" if entity.entity_type is ExportedEntityType.KPI else "profile type"
    there = f"the {label} {entity.entity_name!r} to the container {container!r}, under the same paths"
    if same_name(other.hub, hub):
        message = (
            f"the connector {other.connector!r} exports {there}; leave it out of one entityList, or give each "
            "connector a container of its own"
        )
        return Fault(OF_ANOTHER_CONNECTOR, target, message)
    logger.warning("export refused: hub %s container %s entity %s: hub %s", hub, container, _folder(entity), other.hub)
    message = (
        f"another hub exports {there}; leave it out of entityList, or set the SAS of a container of this hub's own"
    )
    return Fault(OF_ANOTHER_HUB, target, message)
