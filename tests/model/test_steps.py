"""A fault of storage at any step, of any kind: in the end every row is in once, and exported once."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from shared.domain.documents.run import Run
from tests.local_services import running_vault
from tests.model.compare import check_customers, check_data, check_rows
from tests.model.faulty_storage import KINDS, FaultyStorage
from tests.model.hub import ModelHub
from tests.model.oracle import Version
from tests.model.steps import STEPS
from tests.thorough import THOROUGH

# The SDKs leave the sockets of answers that they did not read to the end to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

# The SDKs ask four times and the lake's libraries six; then the attempt is over, and another one begins.
HOW_OFTEN = {"once": 1, "until the attempt fails": 7}
LONG = frozenset({"500", "no answer, but done"})
SOME = {
    ("the blob is downloaded", "cut in the body", "once"),
    ("rows are committed", "no answer, but done", "once"),
}
ALL = {
    (step, kind, often) for step in STEPS for kind in KINDS for often in HOW_OFTEN if often == "once" or kind in LONG
}
CELLS = [cell for cell in sorted(ALL) if THOROUGH or cell in SOME]
ASKED_AT_MOST = 8


@pytest.fixture
def hub(storage: FaultyStorage, tmp_path: Path) -> Iterator[ModelHub]:
    """A hub that moves files of points away when they are in, and exports its customers."""
    with running_vault(tmp_path, storage.endpoints) as vault, closing(ModelHub(storage, vault.url, tmp_path)) as hub:
        done = {"completionOperationType": "MoveFile", "destinationFolder": f"{hub.inbox.container_name}/done"}
        hub.put_mapping("Points", completeOperation=done)
        hub.put_partner()
        yield hub


def test_the_cells_of_an_ordinary_run_are_cells() -> None:
    assert SOME <= ALL


@pytest.mark.parametrize(("step", "kind", "often"), CELLS)
def test_a_fault_at_a_step(storage: FaultyStorage, hub: ModelHub, step: str, kind: str, often: str) -> None:
    announced = hub.upload("whole/a.csv", (("A", "Gent", "1"), ("B", "Lyon", "x"), ("C", "Rome", "3")))
    found = hub.upload("points/p.csv", (("A", "", "7"), ("D", "", "4")))
    broken = storage.break_some(STEPS[step].service, KINDS[kind], STEPS[step].matcher(), HOW_OFTEN[often])
    assert any(hub.deliver(hub.event(announced)) for _ in range(ASKED_AT_MOST))
    work(hub, "ingest")
    repeat(lambda: work_after(hub, "ingest", hub.tick()), until=lambda: len(hub.runs()) == 3)
    repeat(lambda: work_after(hub, "export", hub.tick_exports()), until=lambda: bool(exported(hub)))
    assert broken.targets, "nothing was broken: the step makes other requests now"
    storage.heal()
    check(hub, [announced, found])


def work(hub: ModelHub, queue: str) -> None:
    for _ in hub.work_all(queue):
        pass


def work_after(hub: ModelHub, queue: str, is_ticked: bool) -> None:
    if is_ticked:
        work(hub, queue)


def repeat(what: Callable[[], None], until: Callable[[], bool]) -> None:
    """As a timer does, tick by tick."""
    for _ in range(ASKED_AT_MOST):
        what()
        if until():
            return
    raise AssertionError("it never came to it")


def check(hub: ModelHub, versions: list[Version]) -> None:
    def version_of(run: Run) -> Version:
        return next(version for version in versions if run.blob and run.blob.etag == version.etag)

    ingested = check_rows(hub, version_of, lambda _: True)
    assert sorted((one.mapping, one.version.path) for one in ingested) == [
        ("Points", "points/p.csv"),
        ("Visits", "whole/a.csv"),
        ("Whole", "whole/a.csv"),
    ]
    check_data(hub, ingested)
    assert sorted(hub.inbox.list_blob_names()) == ["done/p.csv", "whole/a.csv"]
    check_customers(exported(hub), ingested)


def exported(hub: ModelHub) -> list[dict[str, Any]]:
    """What the partner makes of the slots, in their order; each key stands in one of them."""
    rows: list[dict[str, Any]] = []
    for path in sorted(hub.partner.list_blob_names(name_starts_with="Profile/")):
        text = io.StringIO(hub.partner.download_blob(path).readall().decode(), newline="")
        rows += [
            {"Id": row["Id"], "City": row["City"] or None, "Points": int(row["Points"]) if row["Points"] else None}
            for row in csv.DictReader(text)
        ]
    return rows
