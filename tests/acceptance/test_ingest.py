"""A blob lands: its rows become profiles or interactions, once, and every refused row is accounted for."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.acceptance.hub import Hub, Json

CUSTOMER = {"Id": "id", "City": "city", "Points": "points"}
GOOD = "id,city,points\nA,Utrecht,1\nB,Paris,2\n"


def test_a_file_becomes_profiles(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    hub.upload("a.csv", GOOD)
    run = hub.run_of("a.csv")
    assert (run["state"], run["rowsRead"], run["rowsIngested"], run["rowsRejected"]) == ("Succeeded", 2, 2, 0)
    assert run["bytesRead"] == len(GOOD)
    assert hub.data("Customer") == [
        {"ProfileId": "A", "Id": "A", "City": "Utrecht", "Points": 1},
        {"ProfileId": "B", "Id": "B", "City": "Paris", "Points": 2},
    ]


def test_columns_that_a_mapping_does_not_name_keep_their_value(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER, folder="full")
    hub.mapping("Cities", {"Id": "id", "City": "city"}, folder="part")
    hub.upload("full/a.csv", GOOD)
    hub.run_of("full/a.csv")
    hub.upload("part/b.csv", "id,city\nA,\nC,Gent\n")
    hub.run_of("part/b.csv")
    assert {row["Id"]: (row.get("City"), row.get("Points")) for row in hub.data("Customer")} == {
        "A": (None, 1),
        "B": ("Paris", 2),
        "C": ("Gent", None),
    }


def test_of_blobs_that_land_in_a_burst_the_last_one_counts(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    hub.wait_for_backfill("Customers")  # else some would be found by listing, which does not tell their order
    for points in range(4):
        for key in "ABCDEF":
            hub.upload(f"{key}-{points}.csv", f"id,city,points\n{key},Gent,{points}\n")
    for points in range(4):
        for key in "ABCDEF":
            assert hub.run_of(f"{key}-{points}.csv")["state"] == "Succeeded"
    assert {row["Id"]: row["Points"] for row in hub.data("Customer")} == dict.fromkeys("ABCDEF", 3)


def test_ten_deliveries_at_once_give_one_run_and_one_set_of_rows(hub: Hub) -> None:
    hub.put(
        "/interactions/Visit",
        {"fields": [{"fieldName": "Page", "fieldType": "Edm.String"}]},
    )
    hub.mapping("Visits", {"Page": "page"}, kind="Interaction", type_name="Visit", fileFilter="*.txt")
    etag = hub.upload("visits.txt", "page\n/home\n/home\n/help\n")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: hub.deliver(hub.event("visits.txt", etag)), range(10)))
    assert {answer.status_code for answer in answers} == {202}
    assert hub.run_of("visits.txt")["rowsIngested"] == 3
    assert sorted(row["Page"] for row in hub.data("Visit")) == ["/help", "/home", "/home"]
    assert hub.table_rows("interactions/visit/changes") == 3


def test_a_grown_file_adds_only_what_is_new(hub: Hub) -> None:
    hub.put("/interactions/Visit", {"fields": [{"fieldName": "Page", "fieldType": "Edm.String"}]})
    hub.mapping("Visits", {"Page": "page"}, kind="Interaction", type_name="Visit")
    first = hub.upload("visits.csv", "page\n/home\n/home\n")
    hub.run_of("visits.csv", first)
    second = hub.upload("visits.csv", "page\n/home\n/home\n/help\n/home\n")
    hub.run_of("visits.csv", second)
    assert sorted(row["Page"] for row in hub.data("Visit")) == ["/help", "/home", "/home", "/home"]


def test_a_blob_that_no_event_announced_is_found(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER, fileFilter="*.txt")  # events are for .csv only
    hub.upload("silent.txt", GOOD)
    hub.fire("reconcile_blobs")
    assert hub.run_of("silent.txt")["state"] == "Succeeded"


def test_a_pause_holds_back_what_comes_and_the_resume_takes_it(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    mapping = "/connectors/Landing/mappings/Customers"
    assert hub.request("POST", f"{mapping}/pause").json()["state"] == "Stopped"
    etag = hub.upload("a.csv", GOOD)
    assert hub.deliver(hub.event("a.csv", etag)).status_code == 202
    assert hub.request("POST", f"{mapping}/run").status_code == 409
    assert hub.runs(kind="Ingest") == []
    assert hub.request("POST", f"{mapping}/resume").json()["state"] == "Ready"
    hub.wait_for_backfill("Customers")
    assert hub.run_of("a.csv")["rowsIngested"] == 2
    assert hub.table_rows("profiles/customer/changes") == 2


def test_blobs_that_were_there_before_the_mapping_are_taken(hub: Hub) -> None:
    hub.profile_type()
    hub.upload("early.csv", GOOD)
    hub.mapping("Customers", CUSTOMER)
    assert hub.run_of("early.csv")["rowsIngested"] == 2


def test_an_overwritten_version_is_superseded_whatever_the_order_of_events(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER, fileFilter="*.txt")
    old = hub.upload("v.txt", GOOD)
    new = hub.upload("v.txt", "id,city,points\nA,Gent,9\n")
    assert hub.deliver(hub.event("v.txt", new)).status_code == 202
    assert hub.run_of("v.txt", new)["state"] == "Succeeded"
    assert hub.deliver(hub.event("v.txt", old)).status_code == 202
    assert hub.run_of("v.txt", old)["state"] == "Superseded"
    assert hub.data("Customer") == [{"ProfileId": "A", "Id": "A", "City": "Gent", "Points": 9}]


def test_rejects_carry_line_column_code_message_and_raw_text(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    hub.upload(
        "dirty.csv", b'id,city,points\nA,Utrecht,1\nB,Paris\nC,"Gent,3\nD,Lyon,x\n,Oslo,4\nE,Z\xff,5\nF,Bern,6\n'
    )
    run = hub.run_of("dirty.csv")
    assert (run["state"], run["rowsRead"], run["rowsIngested"], run["rowsRejected"]) == ("PartiallySucceeded", 7, 2, 5)
    rejects = hub.rejects(run)
    assert [(row["line"], row["column"], row["raw"]) for row in rejects] == [
        ("3", "", "B,Paris"),
        ("4", "city", 'C,"Gent,3'),
        ("5", "points", "D,Lyon,x"),
        ("6", "id", ",Oslo,4"),
        ("7", "city", "E,Z\\xff,5"),
    ]
    assert all(row["code"] and row["message"] for row in rejects)
    assert sorted(row["Id"] for row in hub.data("Customer")) == ["A", "F"]


@pytest.mark.parametrize(
    ("errors", "state", "visible"),
    [
        ({"errorManagementType": "RejectAndContinue"}, "PartiallySucceeded", 2),
        ({"errorManagementType": "StopImport", "errorLimit": 5}, "Failed", 0),
        ({"errorManagementType": "RejectUntilLimit", "errorLimit": 2}, "PartiallySucceeded", 2),
        ({"errorManagementType": "RejectUntilLimit", "errorLimit": 1}, "Failed", 0),
    ],
    ids=["continue", "stop", "within-limit", "over-limit"],
)
def test_error_management(hub: Hub, errors: Json, state: str, visible: int) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER, errors=errors)
    hub.upload("a.csv", "id,city,points\nA,x,1\nB,x,no\nC,x,2\nD,x,no\n")
    run = hub.run_of("a.csv")
    assert run["state"] == state
    assert run["rowsRead"] == run["rowsIngested"] + run["rowsRejected"]
    assert len(hub.data("Customer")) == run["rowsIngested"] == visible
    assert hub.rejects(run)


@pytest.mark.parametrize(
    ("content", "state", "code"),
    [
        (b"", "Skipped", "EmptyBlob"),
        (b"\xef\xbb\xbf", "Skipped", "EmptyBlob"),
        (b"id,city,points\n", "Succeeded", None),
        (b"id,city\nA,B\n", "Failed", "MissingColumns"),
        (b"id,city,points,id\nA,B,1,C\n", "Failed", "DuplicateColumn"),
    ],
    ids=["empty", "bom", "header-only", "missing-column", "duplicate-column"],
)
def test_files_without_rows(hub: Hub, content: bytes, state: str, code: str | None) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    hub.upload("a.csv", content)
    run = hub.run_of("a.csv")
    assert (run["state"], run.get("error", {}).get("code"), run["rowsRead"]) == (state, code, 0)


def test_a_blob_that_is_gone_is_skipped(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    hub.wait_for_backfill("Customers")  # which lists what is there, and nothing tells of this one but its event
    assert hub.deliver(hub.event("never.csv", "0x8D000000")).status_code == 202
    run = hub.run_of("never.csv")
    assert (run["state"], run["error"]["code"]) == ("Skipped", "BlobGone")


def test_malformed_events_do_not_hold_up_their_neighbours(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER, fileFilter="*.txt")
    etag = hub.upload("a.txt", GOOD)
    bad = [{"id": "1"}, {"id": "2", "eventType": "Microsoft.Storage.BlobCreated", "data": None}, "text", 7]
    other = {**hub.event("a.txt", etag), "eventType": "Microsoft.Storage.BlobDeleted"}
    assert hub.deliver(*bad, other, hub.event("a.txt", etag)).status_code == 202
    assert hub.run_of("a.txt")["state"] == "Succeeded"


def test_the_last_of_equal_keys_in_a_file_wins(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    hub.upload("a.csv", "id,city,points\nA,one,1\nA,two,2\nA,three,3\n")
    assert hub.run_of("a.csv")["rowsIngested"] == 3
    assert [row["City"] for row in hub.data("Customer")] == ["three"]


@pytest.mark.parametrize("operation", ["DeleteFile", "MoveFile"])
def test_complete_operations(hub: Hub, operation: str) -> None:
    hub.profile_type()
    done = {"completionOperationType": operation, "destinationFolder": f"{hub.inbox.container_name}/done"}
    hub.mapping("Customers", CUSTOMER, completeOperation=done)
    hub.upload("in/a.csv", GOOD)
    hub.run_of("in/a.csv")
    left = list(hub.inbox.list_blob_names())
    assert left == ([] if operation == "DeleteFile" else ["done/in/a.csv"])
    hub.backfill("Customers")
    assert len(hub.runs(kind="Ingest")) == 1


def test_a_missing_container_ends_in_a_failed_run_and_is_taken_up_when_asked(hub: Hub) -> None:
    hub.profile_type()
    hub.mapping("Customers", CUSTOMER)
    container = hub.container(f"{hub.name.lower()}-later")
    body = {"Id": "id", "City": "city", "Points": "points"}
    mapping = hub.mapping("Later", body)
    mapping["mappingProperties"]["folderPath"] = container.container_name
    hub.put("/connectors/Landing/mappings/Later", mapping)
    hub.wait_for_backfill("Later")
    container.delete_container()
    event = hub.event("a.csv", "0x1")
    event["subject"] = f"/blobServices/default/containers/{container.container_name}/blobs/a.csv"
    event["data"]["url"] = f"{container.url}/a.csv"
    assert hub.deliver(event).status_code == 202
    run = hub.run_of("a.csv")
    assert (run["state"], run["error"]["code"]) == ("Failed", "ContainerNotFound")
    container.create_container()
    etag = str(container.upload_blob("b.csv", GOOD).get_blob_properties().etag).strip('"')
    assert hub.request("POST", "/connectors/Landing/mappings/Later/run").status_code == 202
    assert hub.run_of("b.csv", etag)["state"] == "Succeeded"
