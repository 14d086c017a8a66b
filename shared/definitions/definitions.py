"""All definitions of all hubs: the one door to them."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from shared.clock import Clock
from shared.definitions import hubs, kpis, mappings, types
from shared.definitions.connectors import Connectors
from shared.definitions.hubs import Empty, without_records
from shared.definitions.places.containers import Containers
from shared.definitions.places.lake_paths import is_used, retired_paths
from shared.definitions.places.listings import Listings
from shared.definitions.places.named_containers import note_all_named
from shared.definitions.places.readers import Listener, listeners, readers, readers_beside
from shared.definitions.store.definition_store import HUBS, Conditions, DefinitionStore, Kept, Kind, Stored
from shared.definitions.store.kinds import (
    CONNECTOR,
    HUB,
    INTERACTION,
    KPI,
    MAPPING,
    PROFILE,
    kind_and_name,
    kind_of_type,
)
from shared.domain.documents.connectors import Connector
from shared.domain.documents.document import Document
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import FatalError, GoneError, NotFoundError, TransientError
from shared.domain.names import same_name
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table

_ANY = Conditions()


class Definitions:
    """Hubs, types, KPIs, connectors and mappings.

    Names are found in any case and kept as they were first written. What is not there is a NotFoundError, also
    when it is the hub. Every PUT returns the stored document and whether it was created, and raises

    - InvalidRequestError naming every fault,
    - ConflictError where a rule between definitions forbids it,
    - PreconditionError where the conditions are not met,
    - UnavailableError or CommitConflictError where it may succeed later; nothing is half stored.

    Every deletion does nothing where there is nothing to delete.

    Attributes:
        containers: whose a container is.
        listings: what was listed of the containers of mappings.
        connectors: all that is done with connectors, but for finding one by its name.
    """

    def __init__(self, table: Table, vaults: Vaults, clock: Clock, settings: Settings) -> None:
        self._store = DefinitionStore(table)
        self._clock = clock
        self._is_used = partial(is_used, settings)
        self.containers = Containers(self._store, clock, settings)
        self.listings = Listings(self._store, self.containers, vaults, settings)
        self.connectors = Connectors(self._store, vaults, self.containers, self.listings, clock, settings)

    def consistent_read(self) -> AbstractContextManager[None]:
        """Within it, this thread reads what is here now, with one request for each hub while nothing changes."""
        return self._store.consistent_read()

    def hub_names(self) -> list[str]:
        """The names of all hubs; one whose definition cannot be read is left out, and logged."""
        return [stored.document.hub_name for stored in self._store.readable(HUB, HUBS)]

    def hubs(self) -> list[Stored[Hub]]:
        """All hubs, by name."""
        return self._store.all(HUB, HUBS)

    def hub(self, name: str) -> Stored[Hub]:
        """A hub."""
        return self._store.require(HUB, HUBS, name)

    def put_hub(
        self, name: str, hub: Hub, conditions: Conditions = _ANY, empty: Empty = without_records
    ) -> tuple[Stored[Hub], bool]:
        """Creates or replaces a hub; `empty`, given the deletion that has closed it, removes its records before."""
        return hubs.put_hub(self._store, self._clock, name, hub, conditions, empty)

    def closing_of(self, name: str) -> str:
        """Which deletion has closed a hub, so that it takes no definitions until it is PUT again; empty without one."""
        return hubs.closing_of(self._store, name)

    def closed_hubs(self) -> list[str]:
        """The names of hubs that were closed and may have records, in lower case, until a week after `note_emptied`."""
        return list(hubs.closed_hubs(self._store, self._clock))

    def note_emptied(self, name: str, closing: str) -> None:
        """Notes that the records of a hub are gone which this deletion has closed."""
        hubs.note_emptied(self._store, self._clock, name, closing)

    def note_containers(self, hub: str) -> None:
        """Notes which containers a hub names if an earlier release has not; not for use in a consistent read."""
        note_all_named(self._store, hub)

    def delete_hub(self, name: str, conditions: Conditions = _ANY, empty: Empty = without_records) -> None:
        """Closes a hub, has `empty` remove its records, and deletes it; ConflictError while it has definitions."""
        hubs.delete_hub(self._store, name, conditions, empty)

    def entity_types(self, hub: str, kind: EntityKind | None = None) -> Sequence[Stored[EntityType]]:
        """The types of a hub, of one kind or of both, by name."""
        found: list[Stored[EntityType]] = []
        if kind is not EntityKind.INTERACTION:
            found += self._store.all(PROFILE, hub)
        if kind is not EntityKind.PROFILE:
            found += self._store.all(INTERACTION, hub)
        return found

    def entity_type(self, hub: str, kind: EntityKind, name: str) -> Stored[EntityType]:
        """A type."""
        return self._find(kind_of_type(kind), hub, name)

    def type_named(self, hub: str, name: str) -> Stored[EntityType]:
        """The type of either kind that has this name, or whose entity set has it."""
        for stored in self.entity_types(hub):
            names = (stored.document.type_name, stored.document.api_entity_set_name)
            if any(same_name(name, known) for known in names if known):
                return stored
        self.hub(hub)
        raise NotFoundError("TypeNotFound", f"there is no profile or interaction type {name!r}", name)

    def put_entity_type[T: EntityType](
        self, hub: str, name: str, entity_type: T, conditions: Conditions = _ANY
    ) -> tuple[Stored[T], bool]:
        """Creates or replaces a profile or interaction type.

        Raises:
            ConflictError: the name is taken by another type (`NameTaken`), a field would change its type or the
                key its fields (`SchemaConflict`), or users of the type would not fit any more (`InUse`).
        """
        return types.put_type(self._store, self._clock, hub, name, entity_type, conditions, self._is_used)

    def delete_entity_type(self, hub: str, kind: EntityKind, name: str, conditions: Conditions = _ANY) -> list[str]:
        """Deletes a type and returns its path in the lake, or those of earlier types of the name if there is none.

        ConflictError `InUse` names who uses it. Nothing at these paths is needed any more.
        """
        return types.delete_type(self._store, hub, kind, name, conditions)

    def kpis(self, hub: str) -> list[Stored[Kpi]]:
        """The KPIs of a hub, by name."""
        return self._store.all(KPI, hub)

    def readable_types(self, hub: str) -> Sequence[Stored[EntityType]]:
        """`entity_types` for work on each of them, which goes on without what cannot be read; that is logged."""
        return [*self._store.readable(PROFILE, hub), *self._store.readable(INTERACTION, hub)]

    def readable_kpis(self, hub: str) -> list[Stored[Kpi]]:
        """`kpis` for work on each of them, which goes on without what cannot be read; that is logged."""
        return self._store.readable(KPI, hub)

    def kpi(self, hub: str, name: str) -> Stored[Kpi]:
        """A KPI."""
        return self._find(KPI, hub, name)

    def put_kpi(self, hub: str, name: str, kpi: Kpi, conditions: Conditions = _ANY) -> tuple[Stored[Kpi], bool]:
        """Creates or replaces a KPI."""
        return kpis.put_kpi(self._store, self._clock, hub, name, kpi, conditions, self._is_used)

    def delete_kpi(self, hub: str, name: str, conditions: Conditions = _ANY) -> list[str]:
        """Deletes a KPI; ConflictError `InUse` names who uses it. Returns paths as `delete_entity_type`."""
        return kpis.delete_kpi(self._store, hub, name, conditions)

    def retired_paths(self) -> Iterator[str]:
        """Paths in the lake of all types and KPIs that were ever deleted; none of them is given away again."""
        return retired_paths(self._store)

    @contextmanager
    def while_there(self, hub: str, *needed: Stored[Any]) -> Iterator[None]:
        """Work on the tables of types and KPIs; not to be begun within a consistent read.

        Raises:
            GoneError: one of them was deleted meanwhile, and for that or any other reason the work failed.
        """
        try:
            yield
        except (FatalError, TransientError) as error:
            for stored in needed:
                kind, name = kind_and_name(stored.document)
                present = self._store.get(kind, hub, name)
                if present is None or present.instance_id != stored.instance_id:
                    message = f"the {kind.label} {name!r} was deleted while it was worked with"
                    raise GoneError(kind.missing, message, name) from error
            raise

    def connector(self, hub: str, name: str) -> Stored[Connector]:
        """A connector; its secrets are `***`."""
        return self._find(CONNECTOR, hub, name)

    def account_of_mapping(self, connector: Stored[Connector], mapping: Stored[Mapping]) -> StorageAccount:
        """The account that a mapping reads, once its containers are found to be for its hub, as of now.

        Raises:
            RequestError, ConflictError: as `Containers.check_use`. Others as `Connectors.source_account`.
        """
        account, document = self.connectors.source_account(connector), mapping.document
        self.containers.check_mapping(document.tenant_id, account.name, document)
        return account

    def check_mapping(self, connector: Stored[Connector], mapping: Stored[Mapping]) -> None:
        """Raises ConflictError for a container of another hub that a mapping names, as far as its account is known."""
        self.containers.check_new(connector, mapping.document.tenant_id, mapping.document)

    def mappings(self, hub: str, connector: str) -> list[Stored[Mapping]]:
        """The mappings of a connector, by name."""
        return self._store.all(MAPPING, hub, connector)

    def readers(self, hub: str) -> list[tuple[Stored[Connector], Stored[Mapping]]]:
        """The mappings of a hub, each with its connector; what cannot be read is left out, and logged."""
        return readers(self._store, hub)

    def readers_beside(self, mapping: Stored[Mapping]) -> list[Kept[Mapping]]:
        """The other mappings of the hub that may read the same container, without their columns."""
        return readers_beside(self._store, mapping)

    def listeners(self, account: str, container: str) -> list[Listener]:
        """The mappings of all hubs that are to hear of the blobs of a container, or are to list it first.

        The account has let their connectors in, and their hubs may read the container as of now, or nobody is in their
        way: nobody else shall know what lies there. What cannot be read is left out, and logged.
        """
        with self.consistent_read():
            return list(listeners(self._store, self.containers, account, container))

    def mapping(self, hub: str, connector: str, name: str) -> Stored[Mapping]:
        """A mapping."""
        try:
            return self._find(MAPPING, hub, connector, name)
        except NotFoundError:
            self.connector(hub, connector)
            raise

    def put_mapping(
        self, hub: str, connector: str, name: str, mapping: Mapping, conditions: Conditions = _ANY
    ) -> tuple[Stored[Mapping], bool]:
        """Creates or replaces a mapping of a connector that is read.

        Raises:
            ConflictError: it names a container of another hub (`ContainerOfAnotherHub`).
        """
        return mappings.put_mapping(
            self._store, self._clock, hub, connector, name, mapping, conditions, self.containers
        )

    def pause_mapping(
        self, hub: str, connector: str, name: str, conditions: Conditions = _ANY, *, paused: bool
    ) -> Stored[Mapping]:
        """Pauses or resumes a mapping; one that is so already stays as it is."""
        self.mapping(hub, connector, name)
        return mappings.pause_mapping(self._store, hub, connector, name, conditions, paused=paused)

    def delete_mapping(self, hub: str, connector: str, name: str, conditions: Conditions = _ANY) -> None:
        """Deletes a mapping."""
        mappings.delete_mapping(self._store, hub, connector, name, conditions)

    def _find[T: Document](self, kind: Kind[T], hub: str, *names: str) -> Stored[T]:
        stored = self._store.get(kind, hub, *names)
        if stored is None:
            self.hub(hub)
            return self._store.require(kind, hub, *names)
        return stored
