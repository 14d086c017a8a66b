"""Whatever happens in whatever order, each row is in once: the real ingestion against a plain dictionary."""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, note
from hypothesis import settings as examples_of
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from infra.local.azurite import Endpoints
from shared.domain.run import Run, RunState
from shared.failpoints import FailPoint
from tests.local_services import running_vault
from tests.model.faulty_storage import KINDS, WRITES, FaultyStorage, faulty_storage
from tests.model.hub import IS_IN, ModelHub, disarm, kill_at
from tests.model.oracle import MAPPINGS, Cells, Ingested, Version, customers, expected, visits
from tests.thorough import THOROUGH

QUIET_WITHIN = 12

PATHS = st.sampled_from(["whole/a.csv", "whole/b.csv", "points/p.csv"])
_IDS, _CITIES = st.sampled_from("AABCD"), st.sampled_from(["Gent", "Lyon", "Rome", ""])
GOOD_ROWS = st.tuples(_IDS, _CITIES, st.sampled_from(["1", "2", "3", ""]))
BAD_ROWS = st.sampled_from([("A", "Gent", "x"), ("", "Gent", "1"), ("B", "Lyon", "2", "more"), ("C",)])
FILES = st.lists(GOOD_ROWS | GOOD_ROWS | BAD_ROWS, max_size=6).map(tuple)

KILLS = st.sampled_from(
    [
        FailPoint.EVENT_TAKEN,
        FailPoint.RUN_RECORDED,
        FailPoint.RUN_QUEUED,
        FailPoint.RUN_TAKEN,
        FailPoint.VERSION_NUMBERED,
        FailPoint.BATCH_STAGED,
        FailPoint.PARTS_UPLOADED,
        FailPoint.REJECTS_STORED,
        FailPoint.COUNTS_NOTED,
        FailPoint.ROWS_COMMITTED,
        FailPoint.RUN_ENDED,
        FailPoint.STATES_UPLOADED,
        FailPoint.STATES_COMMITTED,
    ]
)
METHODS = {"any": frozenset({"GET", "HEAD"}) | WRITES, "writes": WRITES, "reads": frozenset({"GET", "HEAD"})}


class Ingestion(RuleBasedStateMachine):
    """The world round a hub, and the dictionary of what must have come of it."""

    def __init__(self, storage: FaultyStorage, vault_url: str, folder: Path) -> None:
        super().__init__()
        self._storage = storage
        storage.heal()
        disarm()
        self.hub = ModelHub(storage, vault_url, folder)
        self.newest: dict[str, Version | None] = {}
        self.versions: dict[tuple[str, str], Version] = {}
        self.on_the_way: list[dict[str, Any]] = []
        self.ended: dict[str, RunState] = {}
        self.is_faulty = False

    # The source

    @rule(path=PATHS, rows=FILES, announced=st.sampled_from([True, True, True, False]))
    def upload(self, path: str, rows: tuple[Cells, ...], announced: bool) -> None:
        version = self.hub.upload(path, rows)
        self.newest[path] = version
        self.versions[path, version.etag] = version
        if announced:
            self.on_the_way.append(self.hub.event(version))

    @precondition(lambda self: any(self.newest.values()))
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        path = data.draw(st.sampled_from(sorted(path for path, version in self.newest.items() if version)))
        self.hub.inbox.delete_blob(path)
        self.newest[path] = None

    # Event Grid: any order, any number of times, or never

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        event = data.draw(st.sampled_from(self.on_the_way))
        if self.hub.deliver(event) and not again:
            self.on_the_way.remove(event)

    @precondition(lambda self: self.on_the_way)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.on_the_way.remove(data.draw(st.sampled_from(self.on_the_way)))

    # The host

    @rule(messages=st.sampled_from([1, 1, 1, 3]))
    def work(self, messages: int) -> None:
        for _ in range(messages):
            if not self._work_one():
                return

    @precondition(lambda self: self.hub.poison)
    @rule()
    def work_poison(self) -> None:
        self.hub.work_poison()

    @rule()
    def tick(self) -> None:
        self.hub.tick()

    @rule(upkeep=st.booleans())
    def refresh(self, upkeep: bool) -> None:
        self.hub.refresh(upkeep=upkeep)

    # What goes wrong

    @rule(point=KILLS)
    def kill_soon(self, point: FailPoint) -> None:
        kill_at(point)

    @rule(
        service=st.sampled_from(["blob", "queue", "table"]),
        kind=st.sampled_from(sorted(KINDS)),
        methods=st.sampled_from(sorted(METHODS)),
        times=st.sampled_from([1, 1, 2, 5]),
    )
    def break_storage(self, service: str, kind: str, methods: str, times: int) -> None:
        self._storage.break_some(service, KINDS[kind], lambda request: request.method in METHODS[methods], times)
        self.is_faulty = True

    @precondition(lambda self: self.is_faulty)
    @rule()
    def mend_storage(self) -> None:
        self._storage.heal()
        self.is_faulty = False

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
            disarm()
            self._until_quiet()
            self._compare()
        finally:
            self.hub.close()

    def _work_one(self) -> bool:
        worked = self.hub.work_one()
        if worked is None:
            return False
        before, after = worked.before, worked.after
        if worked.is_whole and before and after and after.state.is_final and not before.state.is_final:
            self._check_end(after, tried_before=before.attempts > 0)
        return True

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

    def _work_all(self) -> None:
        deadline = time.monotonic() + 60
        while self.hub.waiting_messages() or self.hub.poison:
            if not self._work_one():
                time.sleep(0.1)  # a message that was put back shows itself later
            self.hub.work_poison()
            assert time.monotonic() < deadline, "the queue does not become empty"

    def _missing(self, runs: list[Run]) -> list[tuple[str, str]]:
        """Mappings and paths of newest versions that are not in."""
        done = {(run.mapping, run.blob.etag) for run in runs if run.blob and run.state in IS_IN}
        present = [version for version in self.newest.values() if version]
        return [(name, v.path) for v in present for name in v.mappings if (name, v.etag) not in done]

    def _compare(self) -> None:
        ingested: list[Ingested] = []
        rows: dict[str, Counter[tuple[Any, ...]]] = {rule_.entity: Counter() for rule_ in MAPPINGS.values()}
        for run in self.hub.runs():
            version = self._version(run)
            if run.state not in IS_IN:
                assert self.newest[version.path] is not version
                assert (run.rows_read, run.rows_ingested, run.rows_rejected) == (0, 0, 0)
                continue
            wanted = expected(run.mapping or "", version.rows)
            assert (run.rows_read, run.rows_ingested, run.rows_rejected) == wanted.counts
            assert run.state is (RunState.PARTIALLY_SUCCEEDED if wanted.rejects else RunState.SUCCEEDED)
            assert self.hub.rejects(run) == wanted.rejects
            entity = MAPPINGS[run.mapping or ""].entity
            for line, values in wanted.good:
                rows[entity][run.run_id, line, tuple(sorted(values.items()))] += 1
            sequencer = run.blob.sequencer if run.blob else None
            ingested.append(Ingested(run.mapping or "", version, sequencer is not None))
        for entity, of_entity in rows.items():
            assert self.hub.changes(entity) == of_entity
        self._compare_data(ingested)

    def _compare_data(self, ingested: list[Ingested]) -> None:
        may_be = customers(ingested)
        for _ in range(2):
            shown = self.hub.data("Customer")
            assert sorted(row["Id"] for row in shown) == sorted(may_be)
            for row in shown:
                for name, values in may_be[row["Id"]].items():
                    assert row[name] in values, f"{row}: {name} must be one of {values}"
            assert Counter((row["Id"], row["City"]) for row in self.hub.data("Visit")) == visits(ingested)
            assert self.hub.refresh(upkeep=True)

    def _version(self, run: Run) -> Version:
        assert run.blob is not None
        return self.versions[run.blob.path, run.blob.etag]


@pytest.fixture
def storage(azurite: Endpoints) -> Iterator[FaultyStorage]:
    # What the app logs of faults that were made is no news, and there is much of it.
    logging.disable(logging.CRITICAL)
    with faulty_storage(azurite) as faulty:
        yield faulty
    disarm()
    logging.disable(logging.NOTSET)


@pytest.mark.timeout(3600)
def test_every_row_is_in_once_whatever_happens(storage: FaultyStorage, tmp_path: Path) -> None:
    with ExitStack() as stack:
        vault = stack.enter_context(running_vault(tmp_path, storage.endpoints))
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            lambda: Ingestion(storage, vault.url, tmp_path),
            settings=examples_of(
                max_examples=200 if THOROUGH else 4,
                stateful_step_count=40 if THOROUGH else 25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
