"""The functions host is killed in the middle of the work; on the same state, every row comes out exactly once."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.stack import RunningStack, start_stack
from tests.acceptance.hub import Hub, wait_for
from tests.local.waiting import eventually
from tests.thorough import THOROUGH, only_thorough

pytestmark = pytest.mark.lengthy

ROWS = 30_000 if THOROUGH else 6_000
COLUMNS = {"Id": "id", "City": "city", "Points": "points"}
MOMENT_COMES_WITHIN_S = 60.0
TRIES = 3
TAKEN_UP_WITHIN_S = 120.0
IMPATIENT = {"LOCAL_QUEUE_INVISIBLE_S": "6"}


def lake_blobs(storage: BlobServiceClient, part: str) -> int:
    lake = storage.get_container_client("lake")
    return sum(part in name for name in lake.list_blob_names()) if lake.exists() else 0


def running(hub: Hub) -> bool:
    return any(run["state"] == "Running" for run in hub.runs(kind="Ingest"))


def uploaded(hub: Hub) -> bool:
    return lake_blobs(hub.storage, ".parquet") > 0


def committed(hub: Hub) -> bool:
    return lake_blobs(hub.storage, "changes/_delta_log/00000000000000000001.json") > 0


MOMENTS = [pytest.param(running, marks=only_thorough), uploaded, pytest.param(committed, marks=only_thorough)]


def attempts_of_a_killed_ingestion(tmp_path: Path, moment: Callable[[Hub], bool]) -> int:
    """Kills the host at a moment of an ingestion, and looks that each row is in; 1 where the kill came too late."""
    stack = start_stack(tmp_path, IMPATIENT)
    try:
        with Hub.created(stack.stack, "Crash") as hub:
            hub.profile_type()
            visit = [{"fieldName": "Id", "fieldType": "Edm.String"}]
            hub.put("/interactions/Visit", {"fields": visit})
            hub.mapping("Customers", COLUMNS)
            hub.mapping("Visits", {"Id": "city"}, kind="Interaction", type_name="Visit")
            hub.upload("big.csv", "id,city,points\n" + "".join(f"{n},c{n % 10},{n}\n" for n in range(ROWS)))
            eventually(lambda: moment(hub), MOMENT_COMES_WITHIN_S)
        stack = killed_and_started_again(stack, tmp_path)
        with Hub.opened(stack.stack, "Crash") as hub:
            wait_for(
                lambda: sum(run["state"] == "Succeeded" for run in hub.runs(kind="Ingest")) == 2,
                "the interrupted runs",
                TAKEN_UP_WITHIN_S,
            )
            runs = hub.runs(kind="Ingest")
            assert [run["rowsIngested"] for run in runs] == [ROWS, ROWS]
            assert hub.table_rows("profiles/customer/changes") == ROWS
            assert hub.table_rows("interactions/visit/changes") == ROWS
            assert sorted(int(row["Id"]) for row in hub.data("Customer")) == list(range(ROWS))
            assert len(hub.data("Visit")) == ROWS
            return max(run["attempts"] for run in runs)
    finally:
        stack.stop()


@pytest.mark.parametrize("moment", MOMENTS, ids=["running", "uploaded", "committed"])
def test_a_kill_during_ingestion(tmp_path: Path, moment: Callable[[Hub], bool]) -> None:
    # A busy machine may see the moment when it is over; then the story is told again.
    attempts = (attempts_of_a_killed_ingestion(tmp_path / str(number), moment) for number in range(TRIES))
    # The commit and the end of a run lie so close together that its kill may come behind both.
    assert any(moment is committed or most >= 2 for most in attempts), "the kill came too late"


@only_thorough
def test_a_kill_during_an_export(tmp_path: Path) -> None:
    stack = start_stack(tmp_path, IMPATIENT)
    try:
        with Hub.created(stack.stack, "Crash") as hub:
            hub.profile_type()
            hub.mapping("Customers", COLUMNS)
            hub.outbound({"entityType": "Profile", "entityName": "Customer"})
            hub.upload("big.csv", "id,city,points\n" + "".join(f"{n},c{n % 10},{n}\n" for n in range(ROWS)))
            hub.run_of("big.csv")
            hub.set_clock(datetime(2026, 11, 22, 12, 7, tzinfo=UTC))
            hub.fire("export_profiles")
            eventually(lambda: lake_blobs(hub.storage, "states/") > 0, MOMENT_COMES_WITHIN_S)
        stack = killed_and_started_again(stack, tmp_path)
        with Hub.opened(stack.stack, "Crash") as hub:
            wait_for(lambda: len(hub.exported("Profile/")) == 1, "the interrupted export", TAKEN_UP_WITHIN_S)
            (text,) = hub.exported("Profile/").values()
            rows = list(csv.DictReader(io.StringIO(text)))
            assert sorted(int(row["Id"]) for row in rows) == list(range(ROWS))
            wait_for(lambda: [run["state"] for run in hub.runs(kind="Export")] == ["Succeeded"], "the run's record")
    finally:
        stack.stop()


def killed_and_started_again(stack: RunningStack, state_dir: Path) -> RunningStack:
    assert stack.kill_functions_host() == 1
    return start_stack(state_dir, IMPATIENT)
