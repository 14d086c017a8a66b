"""Slots: first every profile, then the changes; replayed they give the table; crashes and outages change nothing."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from infra.local.stack import running_stack
from infra.local.state_dir import Stack
from tests.acceptance.hub import Hub, wait_for
from tests.thorough import only_thorough

pytestmark = pytest.mark.lengthy

COLUMNS = {"Id": "id", "City": "city", "Points": "points"}
PROFILE = {"entityType": "Profile", "entityName": "Customer"}
_NUMBERS = count()


@pytest.fixture(scope="module")
def clocked_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose clock the tests set, one after another."""
    with running_stack(tmp_path_factory.mktemp("clocked")) as running:
        yield running.stack


@pytest.fixture
def noon() -> datetime:
    """When a test begins: long after the last one, as no clock goes back."""
    return datetime(2026, 11, 22, 12, 7, tzinfo=UTC) + timedelta(days=90 * next(_NUMBERS))


@pytest.fixture
def clocked(clocked_stack: Stack, noon: datetime) -> Iterator[Hub]:
    """A hub on the stack whose clock the test sets."""
    with Hub.created(clocked_stack, f"Clocked{noon:%Y%m%d}") as hub:
        hub.set_clock(noon)
        hub.profile_type()
        hub.mapping("Customers", COLUMNS)
        yield hub
        # The slots of later tests are none of this hub's.
        assert hub.request("DELETE", "/connectors/Partner").status_code == 204


def export_at(hub: Hub, moment: datetime) -> None:
    hub.set_clock(moment)
    hub.fire("export_profiles")


def executed(hub: Hub, function: str) -> int:
    """How often a function has ended, as the host's log says."""
    log = Path(hub.stack.log_file).read_text(encoding="utf-8")
    return len(re.findall(rf"\[{function}\b[^\n]*: Executed in", log))


def has_executed_more(hub: Hub, function: str, times: int) -> bool:
    return executed(hub, function) > times


def has_slots(hub: Hub, count: int) -> bool:
    return len(hub.exported("Profile/")) == count


def has_failed(hub: Hub, times: int) -> bool:
    return [run["state"] for run in hub.runs(kind="Export")].count("Failed") == times


def has_cleaned_up(hub: Hub, times: int) -> bool:
    return sum("finishedAt" in run for run in hub.runs(kind="Cleanup")) == times


def replay(blobs: dict[str, str]) -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = {}
    for path in sorted(blobs):
        for row in csv.DictReader(io.StringIO(blobs[path], newline="")):
            row.pop("System_ProcessingTime")
            table[row["Id"]] = row
    return table


def test_slots_replayed_in_order_give_the_profile_table(clocked: Hub, noon: datetime) -> None:
    hub = clocked
    hub.outbound(PROFILE)
    contents = [
        'id,city,points\nA,Utrecht,1\nB,"Paris, 11e",2\nC,,\n',
        'id,city,points\nA,Utrecht,1\nB,Gent,2\nD,"say ""hi""",4\n',
        'id,city,points\nC,"two\nlines",3\n',
    ]
    for number, content in enumerate(contents):
        etag = hub.upload(f"{number}.csv", content)
        hub.run_of(f"{number}.csv", etag)
        export_at(hub, noon + timedelta(minutes=15 * number))
        wait_for(partial(has_slots, hub, number + 1), f"slot {number}")
    blobs = hub.exported("Profile/")
    assert list(blobs) == [
        f"Profile/Customer/{noon:year=%Y/month=%m/day=%d}/hour=12/min={minute}/data.csv"
        for minute in ("00", "15", "30")
    ]
    assert [len(list(csv.reader(io.StringIO(text)))) for text in blobs.values()] == [4, 3, 2]
    present = {row["Id"]: {k: "" if v is None else str(v) for k, v in row.items()} for row in hub.data("Customer")}
    assert replay(blobs) == {
        key: {name: row.get(name, "") for name in ("Id", "City", "Points")} for key, row in present.items()
    }


def test_no_change_no_blob_and_a_published_slot_is_never_rewritten(clocked: Hub, noon: datetime) -> None:
    hub = clocked
    hub.outbound(PROFILE)
    hub.upload("a.csv", "id,city,points\nA,x,1\n")
    hub.run_of("a.csv")
    export_at(hub, noon)
    wait_for(lambda: len(hub.exported("Profile/")) == 1, "the first slot")
    first = hub.exported("Profile/")
    hub.upload("b.csv", "id,city,points\nB,y,2\n")
    hub.run_of("b.csv")
    export_at(hub, noon + timedelta(minutes=1))  # the same quarter of an hour
    export_at(hub, noon + timedelta(minutes=15))
    wait_for(lambda: len(hub.exported("Profile/")) == 2, "the second slot")
    for minutes in (30, 45):
        done = executed(hub, "run_export")
        export_at(hub, noon + timedelta(minutes=minutes))
        wait_for(partial(has_executed_more, hub, "run_export", done), "the slot without a change")
    hub.upload("c.csv", "id,city,points\nC,z,3\n")
    hub.run_of("c.csv")
    export_at(hub, noon + timedelta(minutes=60))
    wait_for(lambda: len(hub.exported("Profile/")) == 3, "the third slot")
    blobs = hub.exported("Profile/")
    assert [path.split("hour=")[1] for path in blobs] == [
        "12/min=00/data.csv",
        "12/min=15/data.csv",
        "13/min=00/data.csv",
    ]
    assert first.items() <= blobs.items()
    wait_for(lambda: all(run["state"] == "Succeeded" for run in hub.runs(kind="Export")), "the ends of the runs")
    assert len(hub.runs(kind="Export")) == 3


def test_the_blob_carries_its_facts_and_metadata_says_how_to_read_it(clocked: Hub, noon: datetime) -> None:
    hub = clocked
    hub.outbound({**PROFILE, "fieldNames": "Points;Id"})
    hub.upload("a.csv", "id,city,points\nA,x,1\n")
    hub.run_of("a.csv")
    export_at(hub, noon)
    wait_for(lambda: len(hub.exported("Profile/")) == 1, "the slot")
    (text,) = hub.exported("Profile/").values()
    header, row = text.splitlines()
    assert header == "Points,Id,System_ProcessingTime"
    assert row == f"1,A,{noon:%Y-%m-%dT12:07:00.000000Z}"
    (entry,) = hub.partner.list_blobs("Profile/", include=["metadata"])
    assert set(entry.metadata) == {"runid", "rows", "sha256", "fromversion", "toversion"}
    assert entry.metadata["rows"] == "1"
    assert "Metadata/Profile/Customer/metadata.json" in hub.exported("Metadata/")


@only_thorough
def test_slots_wait_for_their_destination_and_come_out_in_order(clocked: Hub, noon: datetime) -> None:
    hub = clocked
    hub.outbound(PROFILE)
    hub.upload("a.csv", "id,city,points\nA,x,1\n")
    hub.run_of("a.csv")
    export_at(hub, noon)
    wait_for(lambda: len(hub.exported("Profile/")) == 1, "the first slot")
    hub.outbound(PROFILE, sas=hub.partner_sas("r"))
    for number in (1, 2):
        hub.upload(f"b{number}.csv", f"id,city,points\nB{number},y,2\n")
        hub.run_of(f"b{number}.csv")
        export_at(hub, noon + timedelta(minutes=15 * number))
        wait_for(partial(has_failed, hub, number), "the failed run")
    assert len(hub.exported("Profile/")) == 1
    hub.outbound(PROFILE)
    export_at(hub, noon + timedelta(minutes=45))
    wait_for(lambda: len(hub.exported("Profile/")) == 3, "the waiting slots")
    assert [path.split("min=")[1] for path in hub.exported("Profile/")] == ["00/data.csv", "15/data.csv", "30/data.csv"]


@only_thorough
def test_retention_deletes_only_old_exports_of_ours(clocked: Hub, noon: datetime) -> None:
    hub = clocked
    hub.outbound(PROFILE)
    hub.upload("a.csv", "id,city,points\nA,x,1\n")
    hub.run_of("a.csv")
    export_at(hub, noon)
    wait_for(lambda: len(hub.exported("Profile/")) == 1, "the slot")
    (ours,) = hub.exported("Profile/")
    metadata = hub.partner.get_blob_client(ours).get_blob_properties().metadata
    foreign = {
        "Profile/Customer/year=2020/month=01/day=01/hour=00/min=00/data.csv": {},
        ours.replace("Customer", "CustomerArchive"): metadata,  # as copies have them
        ours.replace("Profile", "KPI"): metadata,
        ours.replace("min=00", "min=15"): metadata,
    }
    for path, copied in foreign.items():
        hub.partner.upload_blob(path, b"theirs", metadata=copied)
    for number, (days, left) in enumerate(((20, 1), (22, 0)), start=1):
        hub.set_clock(noon + timedelta(days=days))
        hub.fire("delete_expired_exports")
        wait_for(partial(has_cleaned_up, hub, number), "the clean-up")
        assert len(set(hub.exported("Profile/")) - {*foreign}) == left
    assert set(hub.exported("")) == {*foreign, "Metadata/Profile/Customer/metadata.json"}


def test_metadata_of_the_partner_is_replaced_only_when_it_is_taken_over(clocked: Hub, noon: datetime) -> None:
    hub = clocked
    path = "Metadata/Profile/Customer/metadata.json"
    theirs = {path: "theirs", "Metadata/.probe": "theirs too"}
    for name, content in theirs.items():
        hub.partner.upload_blob(name, content.encode())
    created = hub.outbound(PROFILE)
    assert created["state"] == "Failed"
    assert path in created["stateDetail"]
    hub.upload("a.csv", "id,city,points\nA,x,1\n")
    hub.run_of("a.csv")
    export_at(hub, noon)
    wait_for(lambda: [run["state"] for run in hub.runs(kind="Export")] == ["Failed"], "the refused export")
    assert hub.exported("") == theirs
    tried = hub.request("POST", "/connectors/Partner/test", json={"takeOver": True}).json()
    assert tried["ok"] is True, tried
    export_at(hub, noon + timedelta(minutes=15))
    wait_for(lambda: len(hub.exported("Profile/")) == 1, "the slot that waited")
    assert hub.exported("")["Metadata/.probe"] == "theirs too"
    assert '"columns"' in hub.exported(path)[path]
