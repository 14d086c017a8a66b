"""All definitions of all hubs: the one door to them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from pydantic import SecretStr

from shared.clock import Clock
from shared.connectors.check import Check
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
from shared.domain.documents.connectors import Connector, ConnectorState
from shared.domain.documents.document import Document
from shared.domain.documents.entity_types import EntityKind, EntityType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import FatalError, GoneError, HubError, NotFoundError, TransientError
from shared.domain.names import same_name
from shared.domain.schema_mark import Writer
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.sas import ContainerSas
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table

_ANY = Conditions()


class Definitions:
    """Hubs, types, KPIs, connectors and mappings.

    Names are found in any case and kept as they were first written. What is not there is a NotFoundError, also
    when it is the hub. Every `put_*` returns the stored document and whether it was created, and raises

    - InvalidRequestError naming every fault,
    - ConflictError where a rule between definitions forbids it,
    - PreconditionError where the conditions are not met,
    - UnavailableError or CommitConflictError where it may succeed later; nothing is half stored.

    Every `delete_*` does nothing where there is nothing to delete.

    Attributes:
        containers: whose a container is.
    """

    def __init__(self, table: Table, vaults: Vaults, clock: Clock, settings: Settings) -> None:
        self._store = DefinitionStore(table)
        self._clock = clock
        self._is_used = partial(is_used, settings)
        self.containers = Containers(self._store, clock, settings)
        self._listings = Listings(self._store, self.containers, vaults, settings)
        self._connectors = Connectors(self._store, vaults, self.containers, self._listings, clock, settings)

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

    def connectors(self, hub: str) -> list[Stored[Connector]]:
        """The connectors of a hub, by name."""
        return self._store.all(CONNECTOR, hub)

    def readable_connectors(self, hub: str) -> list[Stored[Connector]]:
        """`connectors` for work on each of them, which goes on without what cannot be read; that is logged."""
        return self._store.readable(CONNECTOR, hub)

    def connector(self, hub: str, name: str) -> Stored[Connector]:
        """A connector; its secrets are `***`."""
        return self._find(CONNECTOR, hub, name)

    def put_connector(
        self, hub: str, name: str, connector: Connector, conditions: Conditions = _ANY
    ) -> tuple[Stored[Connector], bool]:
        """Creates or replaces a connector, tries its connection, and leaves it `Ready` or `Failed`.

        Of a type that this release does not run it is `Created`; where the process ends before the check does it stays
        `Creating`, until it is tested, replaced, or exports. A secret given as `***` stays as it was.
        """
        return self._connectors.put(hub, name, connector, conditions)

    def test_connector(self, hub: str, name: str, *, take_over: bool = False) -> list[Check]:
        """Tries a connection for real; the connector is `Ready` or `Failed` afterwards.

        Args:
            hub, name: of the connector.
            take_over: whether a `metadata.json` that somebody else wrote to its destination becomes its own;
                InvalidRequestError where it has no destination.
        """
        return self._connectors.test(hub, name, take_over=take_over)

    def writer(self, hub: str, connector: Stored[Connector]) -> Writer:
        """Who writes to the destination of a connector that exports, as what it writes is marked."""
        return self._connectors.writer(hub, connector)

    def set_connector_state(
        self, hub: str, connector: Stored[Connector], state: ConnectorState, detail: str | None = None
    ) -> None:
        """Notes what a run found out about a connection; nothing happens if the connector was changed meanwhile."""
        self._connectors.set_state(hub, connector, state, detail)

    def delete_connector(self, hub: str, name: str, conditions: Conditions = _ANY) -> None:
        """Deletes a connector with its mappings and secrets; it stays `Deleting` while the vault does not answer."""
        self._connectors.delete(hub, name, conditions)

    def outbound_sas(self, connector: Stored[Connector]) -> SecretStr:
        """The container SAS of a connector that exports.

        Raises:
            RequestError: no container's SAS, or the app's own. ConflictError: `ContainerOfAnotherHub`.
            RefusedError: the vault has it no more, or refuses. UnavailableError: the vault does not answer.
        """
        return self._connectors.destinations.sas(connector)

    def claim_destination(
        self, hub: str, connector: Stored[Connector], sas: ContainerSas, exported: str | None = None
    ) -> None:
        """Notes where a connector exports to, once its container has let it in, unless it was changed meanwhile.

        With an entity that has come out, by its folder, it is `Ready`, unless something is in the way of another one.
        """
        self._connectors.destinations.claim(hub, connector, sas, exported)

    def block_export(self, hub: str, connector: Stored[Connector], folder: str, message: str) -> None:
        """Notes that an entity has somebody else's blob in its way: `Failed`, until it comes out, or a PUT or test."""
        self._connectors.destinations.block(hub, connector, folder, message)

    def source_account(self, connector: Stored[Connector]) -> StorageAccount:
        """The account whose blobs a connector reads.

        Raises:
            InvalidRequestError: the secret is no usable connection.
            RefusedError: the vault refuses. UnavailableError: it does not answer.
        """
        return self._connectors.source_account(connector)

    def account_of_mapping(self, connector: Stored[Connector], mapping: Stored[Mapping]) -> StorageAccount:
        """The account that a mapping reads, once its containers are found to be for its hub, as of now.

        Raises:
            RequestError, ConflictError: as `check_container`. Others as `source_account`.
        """
        account, document = self.source_account(connector), mapping.document
        self.containers.check_mapping(document.tenant_id, account.name, document)
        return account

    def check_mapping(self, connector: Stored[Connector], mapping: Stored[Mapping]) -> None:
        """Raises ConflictError for a container of another hub that a mapping names, as far as its account is known."""
        self.containers.check_new(connector, mapping.document.tenant_id, mapping.document)

    def check_container(self, hub: str, account: StorageAccount, container: str, target: str = "") -> None:
        """Refuses a container of an account that a hub may not use.

        Raises:
            RequestError: it is the app's own (`ContainerNotAllowed`).
            ConflictError: it is another hub's (`ContainerOfAnotherHub`).
        """
        self.containers.check_use(hub, account.name, container, target)

    def list_first(
        self,
        connector: Stored[Connector],
        mapping: Stored[Mapping],
        account: StorageAccount,
        asking: Callable[[], AbstractContextManager[None]],
    ) -> HubError | None:
        """Lists one blob of each container of a mapping that its connector has not listed yet, and notes that it could.

        Its hub claims the container, and hears of its blobs, from then on: whoever lists all of it afterwards finds
        what came before. A connector whose check was not let in by the account claims it from then on, and is `Ready`;
        it has a new ETag then. Gives why the container that files are moved to cannot be listed, where that is so.

        Args:
            connector: of the mapping.
            mapping: whose containers are found to be for its hub; see `account_of_mapping`.
            account: that the connector reads.
            asking: entered for as long as the account is asked.

        Raises:
            ConflictError: another hub has listed it at the same moment, and came first (`ContainerOfAnotherHub`).
            HubError: the folder's container cannot be listed.
        """
        return self._listings.list_first(connector, mapping, account, asking)

    def remove_unnamed_secrets(self, now: datetime) -> int:
        """Removes secrets from the vault that the app made and that no connector names; how many there were.

        Args:
            now: a request of less than a day ago may still be about to name what it has stored.

        Raises:
            RefusedError, UnavailableError: the vault refuses, or does not answer.
        """
        return self._connectors.remove_unnamed_secrets(now)

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
