"""A hub of the real app on real storage, driven call by call; its process dies when it is told to, and starts anew."""

import base64
import csv
import io
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from shared.arrivals.match import handle_event
from shared.arrivals.reconcile import reconcile
from shared.arrivals.sweep import request_backfill
from shared.clock import Clock
from shared.definitions.store.definition_store import Stored
from shared.domain.blob_version import BlobVersion
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunKind, RunState, ingest_run_id
from shared.domain.errors import GoneError, TransientError
from shared.domain.own_names import CONTAINER_RUNS
from shared.failpoints import FailPoint, arm
from shared.lake.paths import changes_path
from shared.lake.read.instances import instances, kpi_values
from shared.lake.states.refresh import refresh
from shared.ledger.upkeep_times import Upkeep
from shared.maintain import delete_remains, tables_of
from shared.messages import export as export_messages
from shared.messages import ingest as ingest_messages
from shared.outbound.due import hand_out_kpis, hand_out_profile_exports
from shared.storage.queues import ATTEMPTS
from tests.crashes.story import Place, StoryServices
from tests.model.define import KPI, NAME, define, delete_everything, put_mapping, put_partner
from tests.model.faulty_storage import FaultyStorage
from tests.model.oracle import MAPPINGS, Cells, Version, text_of

NOON = datetime(2026, 11, 22, 12, 7, tzinfo=UTC)
TICK = timedelta(minutes=15)
# Over the time after which a run counts as left behind; under that by which sweeps overlap.
LATER = timedelta(minutes=40)
QUIET_WITHIN_S = 60


class Killed(BaseException):
    """The process ends here: nothing but `finally` comes after it."""


class LaterClock(Clock):
    """The clock of a machine on which some time has passed."""

    def __init__(self, services: StoryServices) -> None:
        super().__init__(services.settings)
        self.later = timedelta()

    def machine_now(self) -> datetime:
        return super().machine_now() + self.later


@dataclass(frozen=True)
class Worked:
    """One delivery of a message.

    Attributes:
        run_id: of the run that it is for; None for a sweep.
        before, after: the run's record.
        is_whole: whether the delivery came to its end without a kill or an error.
    """

    run_id: str | None
    before: Run | None
    after: Run | None
    is_whole: bool


class ModelHub:
    """A hub, everything around it, and the process that serves it.

    Attributes:
        services: of the living process.
        inbox: the container that is mapped, past the proxies.
        partner: the one that exports go to, likewise.
        poison: messages that were tried in vain.
    """

    def __init__(self, storage: FaultyStorage, vault_url: str, folder: Path) -> None:
        self._storage = storage
        self._folder = folder / uuid.uuid4().hex
        self._folder.mkdir()
        self._place = Place(storage.endpoints, vault_url, self._folder, f"m{uuid.uuid4().hex[:10]}")
        self._now = NOON
        self._uploads = 0
        self.poison: list[tuple[str, dict[str, Any]]] = []
        connection = storage.azurite.connection_string
        self.inbox = ContainerClient.from_connection_string(connection, f"{self._place.prefix}-inbox")
        self.partner = ContainerClient.from_connection_string(connection, f"{self._place.prefix}-partner")
        self._queues = {
            name: QueueClient.from_connection_string(connection, f"{self._place.prefix}-{name}")
            for name in ("ingest", "export")
        }
        self._run_files = ContainerClient.from_connection_string(connection, CONTAINER_RUNS)
        self._set_clock()
        self._start()
        self.inbox.create_container()
        define(self.services, self.inbox.container_name, vault_url)
        self.services.ingest_queue.ensure()
        self.services.export_queue.ensure()

    def close(self) -> None:
        for container in (self.inbox, self.partner, self._run_files):
            container.close()
        for queue in self._queues.values():
            queue.close()

    # What the world does

    def upload(self, path: str, rows: tuple[Cells, ...]) -> Version:
        written = self.inbox.upload_blob(path, text_of(rows).encode(), overwrite=True).get_blob_properties()
        self._uploads += 1
        second = int(written.last_modified.timestamp())
        return Version(path, str(written.etag).strip('"'), rows, second, self._uploads)

    def event(self, version: Version) -> dict[str, Any]:
        return {
            "id": str(uuid.uuid4()),
            "eventType": "Microsoft.Storage.BlobCreated",
            "subject": f"/blobServices/default/containers/{self.inbox.container_name}/blobs/{version.path}",
            "data": {
                "api": "PutBlob",
                "eTag": version.etag,
                "contentLength": len(text_of(version.rows)),
                "url": f"{self._storage.azurite.blob}/{self.inbox.container_name}/{version.path}",
                "sequencer": f"{version.nth:048x}",
            },
        }

    def etag(self, path: str) -> str | None:
        try:
            return str(self.inbox.get_blob_client(path).get_blob_properties().etag).strip('"')
        except ResourceNotFoundError:
            return None

    # What Event Grid, the host and its timers do; each tells whether the call came to its end

    def deliver(self, event: dict[str, Any]) -> bool:
        with self._living() as ended:
            handle_event(self.services, event)
        return not ended

    def work_one(self, name: str = "ingest") -> Worked | None:
        """One message of a queue is delivered; None where none shows itself."""
        queue = self._queues[name]
        message = queue.receive_message(visibility_timeout=60)
        if message is None:
            return None
        content = json.loads(base64.b64decode(message.content))
        deliveries = message.dequeue_count or 1
        before = self.run(content.get("runId"))
        # A sweep comes later than the events: that of a blob which was just written is taken for lost.
        try:
            with self._living(LATER if "sweep" in content else timedelta()) as ended:
                if name == "ingest":
                    ingest_messages.handle_message(self.services, content, message.id, deliveries)
                else:
                    export_messages.handle_message(self.services, content, message.id, deliveries)
        except Exception:
            queue.update_message(
                message, visibility_timeout=0
            )  # or the failure found now hides behind a queue that waits
            raise
        if ended and deliveries < ATTEMPTS:
            queue.update_message(message, visibility_timeout=0)
        else:
            queue.delete_message(message)
        if ended and deliveries >= ATTEMPTS:
            self.poison.append((name, content))
        return Worked(content.get("runId"), before, self.run(content.get("runId")), not ended)

    def work_poison(self) -> None:
        for name, content in list(self.poison):
            give_up = ingest_messages.give_up if name == "ingest" else export_messages.give_up
            with self._living() as ended:
                give_up(self.services, content)
            if not ended:
                self.poison.remove((name, content))

    def work_all(self, name: str = "ingest") -> Iterator[Worked]:
        """Messages are delivered until none is left, also those that were put back for later."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        while self._queues[name].get_queue_properties().approximate_message_count or self.poison:
            if worked := self.work_one(name):
                yield worked
            else:
                time.sleep(0.1)
            self.work_poison()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the queue {name} does not become empty")

    def tick(self, later: timedelta = LATER) -> bool:
        """The timer of `reconcile_blobs` fires, the machine's clock having moved on."""
        self.later(TICK)
        with self._living(later) as ended:
            reconcile(self.services)
        return not ended

    def refresh(self, *, upkeep: bool) -> bool:
        """An export merges what has changed; or the nightly upkeep does, and compacts."""
        with self._living() as ended:
            if upkeep:
                for table in tables_of(self.services, NAME):
                    table.work[Upkeep.WHOLE]()
                delete_remains(self.services)
            else:
                customer = self.services.definitions.type_named(NAME, "Customer")
                with suppress(GoneError), self.services.definitions.while_there(NAME, customer):
                    refresh(self.services.lake, customer.document, self.services.clock.now())
        return not ended

    def tick_exports(self) -> bool:
        """The timer of `export_profiles` fires."""
        self.later(TICK)
        with self._living() as ended:
            hand_out_profile_exports(self.services)
        return not ended

    def calculate(self) -> bool:
        """The timer of `export_kpis` fires."""
        with self._living() as ended:
            hand_out_kpis(self.services)
        return not ended

    def later(self, by: timedelta) -> None:
        """Time passes."""
        self._now += by
        self._set_clock()

    def ask_for_backfill(self) -> None:
        """Somebody asks for everything that is not in."""
        for name in MAPPINGS:
            request_backfill(self.services, self.services.definitions.mapping(NAME, "Landing", name))

    # What can be seen

    def run(self, run_id: str | None) -> Run | None:
        stored = self.seen.runs.get(NAME, run_id) if run_id else None
        return stored.run if stored else None

    def runs(self) -> list[Run]:
        """The runs of the mappings that are there; those of earlier ones are no more of interest."""
        found = self.seen.runs.page(NAME, kind=RunKind.INGEST, top=1000)[0]
        mappings = self.seen.definitions.mappings(NAME, "Landing")
        return [run for run in found if any(_is_of(run, mapping) for mapping in mappings)]

    def is_present(self, run: Run) -> bool:
        """Whether a run is one of `runs`."""
        return any(_is_of(run, mapping) for mapping in self.seen.definitions.mappings(NAME, "Landing"))

    def rejects(self, run: Run) -> list[tuple[int, str]]:
        """Line and code of what a run has rejected."""
        stored = self.seen.runs.get(NAME, run.run_id)
        if stored is None or stored.rejects is None:
            return []
        content = self._run_files.download_blob(stored.rejects).readall().decode()
        return [(int(row["line"]), row["code"]) for row in csv.DictReader(io.StringIO(content, newline=""))]

    def changes(self, entity: str) -> Counter[tuple[Any, ...]]:
        """The rows of the Delta table itself: run, line, and every field that the row sets, by name."""
        handle = self.seen.lake.open(changes_path(self.seen.definitions.type_named(NAME, entity).document))
        rows = handle.to_pyarrow_table().to_pylist() if handle else []
        return Counter(
            (row["_run"], row["_line"], tuple((name, row[name]) for name in sorted(row["_set"].split(","))))
            for row in rows
        )

    def data(self, entity: str) -> list[dict[str, Any]]:
        """What `/data/{type}` shows."""
        named = self.seen.definitions.type_named(NAME, entity).document
        return instances(self.seen.lake, named, top=1000).rows

    def total(self) -> float | None:
        """What `/data/KPIs/Total` shows."""
        values = kpi_values(self.seen.lake, self.seen.definitions.kpi(NAME, KPI).document).rows
        return float(values[0]["Value"]) if values else None

    # The process

    @contextmanager
    def _living(self, later: timedelta = timedelta()) -> Iterator[list[str]]:
        """Whatever the process does; the list says in the end whether something ended it early.

        Only what may end it does: a kill, and errors of storage that the caller is to answer by asking again.

        Args:
            later: how much later it is by the machine's clock meanwhile.
        """
        ended: list[str] = []
        self._clock.later = later
        try:
            yield ended
        except Killed:
            ended.append("killed")
            self._start()
        except TransientError as error:
            ended.append(error.code)
        finally:
            self._clock.later = timedelta()

    def _start(self) -> None:
        self.services = StoryServices(self._place)
        self.services.clock = self._clock = LaterClock(self.services)

    @property
    def seen(self) -> StoryServices:
        """Storage past the proxies, for those who look."""
        if not hasattr(self, "_looking"):
            place = Place(self._storage.azurite, self._place.vault_url, self._folder, self._place.prefix)
            self._looking = StoryServices(place)
        return self._looking

    def _set_clock(self) -> None:
        new = self._folder / "clock.new"
        new.write_text(self._now.isoformat(), encoding="utf-8")
        new.replace(self._folder / "clock")

    # What administrators do

    def put_mapping(self, name: str, **properties: Any) -> None:
        """One of the mappings, with some properties of its own."""
        put_mapping(self.services, self.inbox.container_name, name, **properties)

    def put_partner(self) -> None:
        """An Outbound connector that the customers are exported to."""
        self.partner.create_container()
        put_partner(self.services, self._storage.endpoints, self.partner)

    def make_anew(self, *, with_hub: bool = False) -> None:
        """Everything is deleted and made anew under the same names, past the proxies, whatever is at work meanwhile."""
        names = {stored.document.connector_name for stored in self.seen.definitions.connectors.all(NAME)}
        delete_everything(self.seen, with_hub=with_hub)
        define(self.seen, self.inbox.container_name, self._place.vault_url)
        if "Partner" in names:
            put_partner(self.seen, self._storage.endpoints, self.partner)


@contextmanager
def killing_at(point: FailPoint | None) -> Iterator[None]:
    """The process dies the next time that it comes to the point."""

    def die() -> None:
        disarm(point)
        raise Killed(point)

    if point is not None:
        arm(point, die)
    try:
        yield
    finally:
        disarm(point)


def disarm(point: FailPoint | None) -> None:
    if point is not None:
        arm(point, lambda: None)


IS_IN = frozenset({RunState.SUCCEEDED, RunState.PARTIALLY_SUCCEEDED})


def _is_of(run: Run, mapping: Stored[Mapping]) -> bool:
    if run.blob is None:
        return False
    version = BlobVersion(run.blob.container, run.blob.path, run.blob.etag)
    name = mapping.document.connector_mapping_name
    return run.run_id == ingest_run_id(NAME, "Landing", name, mapping.instance_id, version)
