"""Whatever happens in whatever order, each row is in once: the real ingestion against a plain dictionary."""

import itertools
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, note
from hypothesis import settings as examples_of
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from shared.domain.documents.run import Run, RunState
from shared.failpoints import FailPoint
from tests.fault_proxy import Request
from tests.local_services import running_vault
from tests.model.compare import check_data, check_paths, check_rows, check_total
from tests.model.faulty_storage import KINDS, WRITES, FaultyStorage
from tests.model.hub import IS_IN, ModelHub, Worked, killing_at
from tests.model.oracle import Cells, Version
from tests.thorough import THOROUGH

# The SDKs leave the sockets of answers that they did not read to the end to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

QUIET_WITHIN = 12

PATHS = st.sampled_from(["whole/a.csv", "whole/b.csv", "points/p.csv"])
_IDS, _CITIES = st.sampled_from("AABCD"), st.sampled_from(["Gent", "Lyon", "Rome", ""])
GOOD_ROWS = st.tuples(_IDS, _CITIES, st.sampled_from(["1", "2", "3", ""]))
BAD_ROWS = st.sampled_from([("A", "Gent", "x"), ("", "Gent", "1"), ("B", "Lyon", "2", "more"), ("C",)])
FILES = st.lists(GOOD_ROWS | GOOD_ROWS | BAD_ROWS, max_size=6).map(tuple)
EVENTS = st.sampled_from(["at once", "at once", "later", "later", "never"])

# Six are more than the SDKs repeat a request; to wait for that takes seconds.
FAILURES = st.sampled_from([1, 1, 1, 2, 6] if THOROUGH else [1])
KILLS_OF_EVENTS = st.sampled_from([FailPoint.EVENT_RECEIVED, FailPoint.RUN_RECORDED, FailPoint.RUN_QUEUED])
# Those round the commit come first and more often: there it is decided.
KILLS_AT_WORK = st.sampled_from(
    [
        *[FailPoint.ROWS_COMMITTED] * 4,
        *[FailPoint.COUNTS_NOTED] * 2,
        *[FailPoint.BATCH_STAGED] * 2,
        FailPoint.RUN_CLAIMED,
        FailPoint.BATCH_STAGED,
        FailPoint.PARTS_UPLOADED,
        FailPoint.REJECTS_STORED,
        FailPoint.CLAIM_CHECKED,
        FailPoint.RUN_ENDED,
    ]
)
KILLS_OF_UPKEEP = st.sampled_from([FailPoint.STATES_UPLOADED, FailPoint.STATES_COMMITTED])
METHODS = {"writes": WRITES, "reads": frozenset({"GET", "HEAD"})}


class Ingestion(RuleBasedStateMachine):
    """The world round a hub, and the dictionary of what must have come of it."""

    def __init__(self, storage: FaultyStorage, vault_url: str, folder: Path) -> None:
        super().__init__()
        self._storage = storage
        storage.heal()
        self.hub = ModelHub(storage, vault_url, folder)
        self.newest: dict[str, Version | None] = {}
        self.versions: dict[tuple[str, str], Version] = {}
        self.on_the_way: list[dict[str, Any]] = []
        self.ended: dict[str, RunState] = {}

    # The source

    @initialize(path=PATHS, rows=FILES)
    def begin(self, path: str, rows: tuple[Cells, ...]) -> None:
        self._upload(path, rows, "at once")

    @rule(path=PATHS, rows=FILES, event=EVENTS)
    def upload(self, path: str, rows: tuple[Cells, ...], event: str) -> None:
        self._upload(path, rows, event)

    @rule(path=PATHS, rows=FILES, point=KILLS_AT_WORK)
    def upload_and_die(self, path: str, rows: tuple[Cells, ...], point: FailPoint) -> None:
        self._upload(path, rows, "at once")
        self.work_and_die(point, again=False)

    @rule(data=st.data(), rows=FILES, event=EVENTS)
    def overwrite(self, data: st.DataObject, rows: tuple[Cells, ...], event: str) -> None:
        self._upload(data.draw(st.sampled_from(sorted(self.newest))), rows, event)

    def _upload(self, path: str, rows: tuple[Cells, ...], event: str) -> None:
        version = self.hub.upload(path, rows)
        self.newest[path] = version
        self.versions[path, version.etag] = version
        if event == "later" or (event == "at once" and not self.hub.deliver(self.hub.event(version))):
            self.on_the_way.append(self.hub.event(version))

    @precondition(lambda self: any(self.newest.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(path for path, version in self.newest.items() if version)))
        self.hub.inbox.delete_blob(path)
        self.newest[path] = None

    # Event Grid: any order, any number of times, or never

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), again=st.booleans(), point=st.none() | KILLS_OF_EVENTS)
    def deliver(self, data: st.DataObject, again: bool, point: FailPoint | None) -> None:
        event = data.draw(st.sampled_from(self.on_the_way))
        with killing_at(point):
            is_taken = self.hub.deliver(event)
        if is_taken and not again:
            self.on_the_way.remove(event)

    # The host

    @rule(messages=st.sampled_from([1, 2, 5]))
    def work(self, messages: int) -> None:
        for _ in range(messages):
            if worked := self.hub.work_one():
                self._check(worked)
        self.hub.work_poison()

    @rule(point=KILLS_AT_WORK, again=st.booleans())
    def work_and_die(self, point: FailPoint, again: bool) -> None:
        """The message of the next run is delivered again, at once or some time later."""
        for _ in range(2 if again else 1):
            with killing_at(point):
                while (worked := self.hub.work_one()) and worked.run_id is None:
                    pass

    @rule()
    def tick(self) -> None:
        self.hub.tick()

    @rule(upkeep=st.booleans(), point=st.none() | KILLS_OF_UPKEEP)
    def refresh(self, upkeep: bool, point: FailPoint | None) -> None:
        with killing_at(point):
            self.hub.refresh(upkeep=upkeep)

    # Administrators

    @rule(with_hub=st.booleans())
    def make_everything_anew(self, with_hub: bool) -> None:
        """Types, KPI and mappings are deleted and made anew; what lies in the container comes in again."""
        self._storage.heal()
        self.hub.make_anew(with_hub=with_hub)

    @rule(what=st.sampled_from(["work", "work", "refresh", "upkeep", "calculate"]), skipped=st.integers(0, 60))
    def make_everything_anew_meanwhile(self, what: str, skipped: int) -> None:
        is_made = self._storage.before_request(skipped, self.hub.make_anew)
        if what == "work":
            self.work(1)
        elif what == "calculate":
            self.hub.calculate()
            self._work_all("export")
        else:
            self.hub.refresh(upkeep=what == "upkeep")
        if not is_made():
            self.make_everything_anew(with_hub=False)

    # Storage

    @rule(
        service=st.sampled_from(["blob", "blob", "queue", "table"]),
        kind=st.sampled_from(sorted(KINDS)),
        methods=st.sampled_from(sorted(METHODS)),
        skipped=st.integers(0, 12),
        times=FAILURES,
    )
    def work_on_broken_storage(self, service: str, kind: str, methods: str, skipped: int, times: int) -> None:
        """One of the next requests fails, or some; that may be in what follows, too."""
        passing = itertools.count()

        def matches(request: Request) -> bool:
            return request.method in METHODS[methods] and next(passing) >= skipped

        self._storage.break_some(service, KINDS[kind], matches, times)
        self.work(1)

    # What holds at every step

    @invariant()
    def runs_are_one_per_version_and_never_change_their_end(self) -> None:
        runs = self.hub.runs()
        of = Counter((run.mapping, run.blob.path, run.blob.etag) for run in runs if run.blob)
        assert not [one for one, number in of.items() if number > 1]
        for run in runs:
            known = self.ended.get(run.run_id)
            assert known in {None, run.state}, f"a run that was {known} is {run.state}"
            if run.state.is_final and run.state is not RunState.FAILED:
                self.ended[run.run_id] = run.state
                assert run.rows_read == run.rows_ingested + run.rows_rejected

    def teardown(self) -> None:
        try:
            self._storage.heal()
            self._until_quiet()
            self._compare()
        finally:
            self.hub.close()

    def _check(self, worked: Worked) -> None:
        before, after = worked.before, worked.after
        if before is None or after is None or not self.hub.is_present(after):
            return
        if worked.is_whole and after.state.is_final and not before.state.is_final:
            self._check_end(after, tried_before=before.attempts > 0)

    def _check_end(self, run: Run, tried_before: bool) -> None:
        """Nothing happens beside an attempt here, so its end is known."""
        version = self._version(run)
        note(f"{run.mapping} {version.path} {version.nth}: {run.state} {run.error and run.error.code}")
        if self.newest[version.path] is version:
            assert run.state in IS_IN, run
        elif not tried_before:
            assert run.state is (RunState.SUPERSEDED if self.newest[version.path] else RunState.SKIPPED), run

    def _until_quiet(self) -> None:
        for round_ in range(QUIET_WITHIN):
            # Late enough for whatever was given up to be tried again, and whatever was left behind to be woken.
            assert self.hub.tick(timedelta(days=3) if round_ else timedelta(minutes=40))
            self._work_all()
            runs = self.hub.runs()
            if all(run.state.is_final for run in runs) and not self._missing(runs):
                return
            if round_ > 1:
                self.hub.ask_for_backfill()
                self._work_all()
        raise AssertionError(f"never quiet: missing {self._missing(self.hub.runs())}, runs {self.hub.runs()}")

    def _work_all(self, queue: str = "ingest") -> None:
        for worked in self.hub.work_all(queue):
            self._check(worked)

    def _missing(self, runs: list[Run]) -> list[tuple[str, str]]:
        """Mappings and paths of newest versions that are not in."""
        done = {(run.mapping, run.blob.etag) for run in runs if run.blob and run.state in IS_IN}
        present = [version for version in self.newest.values() if version]
        return [(name, v.path) for v in present for name in v.mappings if (name, v.etag) not in done]

    def _compare(self) -> None:
        ingested = check_rows(self.hub, self._version, lambda version: self.newest[version.path] is version)
        check_data(self.hub, ingested)
        assert self.hub.refresh(upkeep=True)
        check_data(self.hub, ingested)
        assert self.hub.calculate()
        self._work_all("export")
        check_total(self.hub)
        check_paths(self.hub)

    def _version(self, run: Run) -> Version:
        assert run.blob is not None
        return self.versions[run.blob.path, run.blob.etag]


@pytest.mark.timeout(3600)
def test_every_row_is_in_once_whatever_happens(storage: FaultyStorage, tmp_path: Path) -> None:
    with ExitStack() as stack:
        vault = stack.enter_context(running_vault(tmp_path, storage.endpoints))
        run_state_machine_as_test(
            lambda: Ingestion(storage, vault.url, tmp_path),  # type: ignore[arg-type]
            settings=examples_of(
                max_examples=100 if THOROUGH else 2,
                stateful_step_count=30 if THOROUGH else 12,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
