"""Builds everything once per process, lazily: what a function does not need is neither imported nor made."""

from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from shared.clock import Clock
from shared.domain.own_names import (
    CONTAINER_RUNS,
    QUEUE_EXPORT,
    QUEUE_INGEST,
    TABLE_BAD_EVENTS,
    TABLE_DEFINITIONS,
    TABLE_RUNS,
    TABLE_SLOTS,
)
from shared.settings import Settings, read_settings

if TYPE_CHECKING:
    from shared.definitions.definitions import Definitions
    from shared.domain.documents.entity_types import EntityType
    from shared.lake.changes.append import Changes
    from shared.lake.changes.commit_desk import CommitDesk
    from shared.lake.container.store import Lake
    from shared.ledger.arrival_order import ArrivalOrder
    from shared.ledger.hub_rows import HubRows
    from shared.ledger.runs import Runs
    from shared.ledger.slots import Slots
    from shared.ledger.sweeps import Sweeps
    from shared.ledger.upkeep_times import UpkeepTimes
    from shared.seldom import Seldom
    from shared.storage.account_permits import AccountPermits
    from shared.storage.accounts import StorageAccount
    from shared.storage.blob.blobs import BlobContainer
    from shared.storage.key_vault import Vaults
    from shared.storage.queues import Queue
    from shared.storage.tables import Table

# A mapping whose container cannot be listed is not swept for each of a thousand events.
_FIRST_LISTINGS_APART_S = (2.0, 60.0)


class Services:
    """What the functions work with; every part is made at its first use and shared by all threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock(settings)

    @cached_property
    def account(self) -> "StorageAccount":
        """The hub's own storage account."""
        from shared.storage.accounts import hub_account

        return hub_account(self.settings)

    @cached_property
    def vaults(self) -> "Vaults":
        """The hub's vault and those that connectors may name."""
        from shared.storage.key_vault import Vaults

        return Vaults(self.settings)

    @cached_property
    def definitions(self) -> "Definitions":
        """Hubs, types, KPIs, connectors and mappings."""
        from shared.definitions.definitions import Definitions

        return Definitions(self._table(TABLE_DEFINITIONS), self.vaults, self.clock, self.settings)

    @cached_property
    def runs(self) -> "Runs":
        """The record of all runs."""
        from shared.ledger.runs import Runs

        return Runs(self._table(TABLE_RUNS), self.clock)

    @cached_property
    def arrivals(self) -> "ArrivalOrder":
        """Where blob versions stand among all."""
        from shared.ledger.arrival_order import ArrivalOrder

        return ArrivalOrder()

    @cached_property
    def sweeps(self) -> "Sweeps":
        """When the containers of mappings were looked through."""
        from shared.ledger.sweeps import Sweeps

        return Sweeps(self._table(TABLE_RUNS))

    def upkeep_times(self) -> "UpkeepTimes":
        """When the upkeep of each table was begun last, as of now."""
        from shared.ledger.upkeep_times import UpkeepTimes

        return UpkeepTimes(self._table(TABLE_RUNS))

    @cached_property
    def slots(self) -> "Slots":
        """Planned and published export slots."""
        from shared.ledger.slots import Slots

        return Slots(self._table(TABLE_SLOTS))

    @cached_property
    def hub_rows(self) -> "HubRows":
        """What the ledgers hold of a hub, until its end."""
        from shared.ledger.hub_rows import HubRows

        return HubRows(self._table(TABLE_RUNS), self._table(TABLE_SLOTS))

    @cached_property
    def bad_events(self) -> "Table":
        """Events that could not be understood."""
        return self._table(TABLE_BAD_EVENTS)

    @cached_property
    def run_files(self) -> "BlobContainer":
        """Files of runs: their rejects."""
        from shared.storage.blob.blobs import BlobContainer

        files = BlobContainer(self.account, CONTAINER_RUNS)
        files.ensure()
        return files

    @cached_property
    def ingest_queue(self) -> "Queue":
        """Blob versions that wait for ingestion."""
        return self._queue(QUEUE_INGEST)

    @cached_property
    def export_queue(self) -> "Queue":
        """Export slots and KPI calculations that are due."""
        return self._queue(QUEUE_EXPORT)

    @cached_property
    def source_permits(self) -> "AccountPermits":
        """Permits at the accounts that blobs are read from."""
        from shared.storage.account_permits import SOURCE_BUSY, AccountPermits

        return AccountPermits(SOURCE_BUSY)

    @cached_property
    def destination_permits(self) -> "AccountPermits":
        """Permits at the accounts that exports go to: apart from the others, since the queues are apart."""
        from shared.storage.account_permits import DESTINATION_BUSY, AccountPermits

        return AccountPermits(DESTINATION_BUSY)

    @cached_property
    def first_listings(self) -> "Seldom":
        """Mappings whose first listing an event asks for, by instance and container."""
        from shared.seldom import Seldom

        return Seldom(*_FIRST_LISTINGS_APART_S, most=4096)

    @cached_property
    def lake(self) -> "Lake":
        """The Delta tables."""
        from shared.lake.container.store import Lake

        return Lake(self.account, self.settings)

    def changes(self, entity_type: "EntityType") -> "Changes":
        """The table `changes` of a type."""
        from shared.lake.changes.append import Changes

        return Changes(self._commit_desk, entity_type)

    @cached_property
    def _commit_desk(self) -> "CommitDesk":
        from shared.lake.changes.commit_desk import CommitDesk

        return CommitDesk(self.lake)

    def _table(self, name: str) -> "Table":
        from shared.storage.tables import Table

        return Table(self.account, name)

    def _queue(self, name: str) -> "Queue":
        from shared.storage.queues import Queue

        return Queue(self.account, name)


@lru_cache(maxsize=1)
def services() -> Services:
    """The services of this process."""
    from shared.telemetry.export import EXPORTER
    from shared.telemetry.logs import name_runs_in_logs

    name_runs_in_logs()
    settings = read_settings()
    EXPORTER.start(settings)
    return Services(settings)
