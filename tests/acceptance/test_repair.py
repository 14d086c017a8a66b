"""Refused rows are corrected over HTTP: they join their run, stand in their place, and go out with the next export."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from infra.local.stack import running_stack
from tests.acceptance.hub import Hub, Json, wait_for

pytestmark = pytest.mark.lengthy

NOON = datetime(2026, 11, 22, 12, 7, tzinfo=UTC)
BAD = "id,city,points\nA,Utrecht,1\nB,Paris,two\nC,Gent,three\n"


@pytest.fixture
def clocked(tmp_path: Path) -> Iterator[Hub]:
    """A hub on a stack of its own, whose clock the test sets."""
    with running_stack(tmp_path) as running, Hub.created(running.stack, "Repaired") as hub:
        hub.profile_type()
        hub.mapping("Customers", {"Id": "id", "City": "city", "Points": "points"})
        hub.outbound({"entityType": "Profile", "entityName": "Customer"})
        yield hub


def correct(hub: Hub, run: Json, text: str) -> httpx.Response:
    path = f"/runs/{run['runId']}/rejects"
    return hub.request("POST", path, content=text.encode(), headers={"Content-Type": "text/csv"})


def export_at(hub: Hub, moment: datetime, slots: int) -> str:
    """Lets an export happen, and gives the newest slot."""
    hub.set_clock(moment)
    hub.fire("export_profiles")
    wait_for(lambda: len(hub.exported("Profile/")) == slots, f"slot {slots}")
    return list(hub.exported("Profile/").values())[-1]


def test_corrected_rows_go_the_whole_way(clocked: Hub) -> None:
    hub = clocked
    etag = hub.upload("a.csv", BAD)
    run = hub.run_of("a.csv", etag)
    later = hub.upload("b.csv", "id,city,points\nC,Brugge,30\n")
    hub.run_of("b.csv", later)
    assert export_at(hub, NOON, 1).count("\n") == 3
    with ThreadPoolExecutor(5) as pool:
        answers = list(
            pool.map(lambda _: correct(hub, run, "line,id,city,points\n4,C,Gent,3\n3,B,Paris,2\n"), range(5))
        )
    assert {answer.status_code for answer in answers} <= {200, 202}
    wait_for(lambda: hub.get(f"/runs/{run['runId']}")["state"] == "Succeeded", "the correction")
    done = hub.get(f"/runs/{run['runId']}")
    assert (done["rowsRead"], done["rowsIngested"], done["rowsRejected"], len(done["details"]["repairs"])) == (
        3,
        3,
        0,
        1,
    )
    assert hub.rejects(run) == []
    assert hub.table_rows("profiles/customer/changes") == 4
    assert {row["Id"]: (row["City"], row["Points"]) for row in hub.data("Customer")} == {
        "A": ("Utrecht", 1),
        "B": ("Paris", 2),
        "C": ("Brugge", 30),
    }
    slot = export_at(hub, NOON + timedelta(minutes=15), 2)
    assert [line.split(",")[:3] for line in slot.splitlines()[1:]] == [["B", "Paris", "2"]]
    origin = hub.get("/data/Customer('B')?$expand=origin")["origin"]
    assert origin["City"] == {
        "container": hub.inbox.container_name,
        "path": "a.csv",
        "etag": etag,
        "line": 3,
        "runId": run["runId"],
    }
    assert hub.get("/data/Customer/C?$expand=origin")["origin"]["Points"]["path"] == "b.csv"
