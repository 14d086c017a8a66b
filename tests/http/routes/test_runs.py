"""Runs and their rejects."""

import csv
import io
import uuid

import pytest

from shared.app import Services
from shared.domain.documents.run import RunError, RunKind, RunState
from shared.domain.reject import Reject
from shared.http.app import create_http_app
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from tests.http.conftest import Client
from tests.http.routes.recorded_runs import keep, record

HEADER = "line,column,code,message,raw"


def test_a_run(client: Client, services: Services, hub: str) -> None:
    run = record(services, hub)
    answer = client.get(f"{hub}/runs/{run.run_id}")
    assert answer.status_code == 200
    assert answer.json() == {
        "runId": run.run_id,
        "kind": "Ingest",
        "connector": "Files",
        "mapping": "Contacts",
        "entityType": "Profile",
        "entityTypeName": "Contact",
        "blob": {"container": "inbox", "path": "in/a b.csv", "etag": "0x8D", "size": 12, "sequencer": "00ff"},
        "state": "Queued",
        "rowsRead": 0,
        "rowsIngested": 0,
        "rowsRejected": 0,
        "bytesRead": 0,
        "attempts": 0,
        "queuedAt": "2026-11-22T14:15:00Z",
    }
    assert client.get(f"{hub}/runs/{run.run_id.upper()}").json() == answer.json()
    tag = answer.headers["etag"]
    assert client.get(f"{hub}/runs/{run.run_id}", headers={"If-None-Match": tag}).status_code == 304
    stored = services.runs.get(hub.removeprefix("/hubs/"), run.run_id)
    assert stored is not None
    error = RunError(code="BlobGone", message="it is gone")
    services.runs.save(stored.with_run(state=RunState.SKIPPED, error=error, duration_ms=3))
    changed = client.get(f"{hub}/runs/{run.run_id}", headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert changed.json()["error"] == {"code": "BlobGone", "message": "it is gone"}


@pytest.mark.parametrize("run_id", ["0" * 32, "x", "a'b", "a%2Fb", "%23", "%0A", "run%7C1", "%C3%A4"])
@pytest.mark.parametrize("suffix", ["", "/rejects"])
def test_a_run_that_is_not_there(client: Client, hub: str, run_id: str, suffix: str) -> None:
    answer = client.get(f"{hub}/runs/{run_id}{suffix}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] in {"RunNotFound", "RouteNotFound"}


def test_runs_of_another_hub_are_not_there(client: Client, services: Services, hub: str) -> None:
    other = f"/hubs/o{uuid.uuid4().hex[:8]}"
    client.put(other, {})
    run = record(services, hub)
    assert client.get(f"{other}/runs/{run.run_id}").status_code == 404
    assert client.get(f"{other}/runs").json() == {"value": []}


def test_lists_are_newest_first_filtered_and_paged(client: Client, services: Services, hub: str) -> None:
    runs = [
        record(services, hub, 0),
        record(services, hub, 1, state=RunState.FAILED),
        record(services, hub, 2, mapping="Orders", state=RunState.FAILED),
        record(services, hub, 3, connector="Out", mapping=None, kind=RunKind.EXPORT),
        record(services, hub, 4, state=RunState.SUCCEEDED),
    ]

    def listed(query: str) -> list[int]:
        known = [run.run_id for run in runs]
        found: list[int] = []
        url = f"{hub}/runs?{query}"
        while url:
            answer = client.get(url)
            assert answer.status_code == 200, answer.text
            found += [known.index(item["runId"]) for item in answer.json()["value"]]
            url = answer.json().get("nextLink", "")
            for option in filter(None, query.split("&")):
                assert not url or option in url
        return found

    assert listed("") == [4, 3, 2, 1, 0]
    assert listed("$top=2") == [4, 3, 2, 1, 0]
    assert listed("%24top=5") == [4, 3, 2, 1, 0]
    assert listed("state=Failed") == [2, 1]
    assert listed("state=failed&mapping=contacts") == [1]
    assert listed("kind=EXPORT") == [3]
    assert listed("connector=files&$top=1") == [4, 2, 1, 0]
    assert listed("connector=Absent") == []
    assert listed("connector=&mapping=&kind=&state=") == [4, 3, 2, 1, 0]
    assert listed("state=Failed&api-version=2017-04-26&code=a&clientId=b") == [2, 1]


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("state=Done", "state"),
        ("kind=Import", "kind"),
        ("state=Failed,Skipped", "state"),
        ("state=Failed&state=Skipped", "state"),
        ("$top=0", "$top"),
        ("$top=1001", "$top"),
        ("$top=many", "$top"),
        ("$top=1,2", "$top"),
        ("$top=5&$top=6", "$top"),
        ("$skiptoken=xyz", "$skiptoken"),
        ("$skiptoken=", "$skiptoken"),
        ("$filter=state eq 'Failed'", "$filter"),
        ("$select=runId", "$select"),
        ("connector=no%20such", "connector"),
        ("mapping=%FF%00", "mapping"),
        ("from=9999-99-99", "from"),
        ("stat=Failed", "stat"),
        ("State=Failed", "State"),
    ],
)
def test_what_lists_do_not_take(client: Client, hub: str, query: str, target: str) -> None:
    answer = client.get(f"{hub}/runs?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["target"] == target


REJECTS = [
    Reject(2, "age", "NotAnInteger", "it says 'no', not a number", "1,Ann,no"),
    Reject(3, None, "RowWidth", "3 cells instead of 4", '2,"a\nb",3'),
    Reject(7, "name", "BadByte", "byte 0xFF", "3,\\xff,1\r"),
]


def test_rejects_are_given_as_they_were_kept(client: Client, services: Services, hub: str) -> None:
    run = record(services, hub)
    text = keep(services, hub, run, REJECTS)
    path = f"{hub}/runs/{run.run_id}/rejects"
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.content.decode() == text
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == HEADER.split(",")
    assert rows[2] == ["3", "", "RowWidth", "3 cells instead of 4", '2,"a\nb",3']
    for count in (1, 2, 3, 4):
        fewer = client.get(path, params={"$top": count}).content.decode()
        assert text.startswith(fewer)
        assert list(csv.reader(io.StringIO(fewer, newline=""))) == rows[: count + 1]
    tag = answer.headers["etag"]
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    head = client.send("HEAD", path)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(answer.content)))
    assert client.get(path, params={"$top": 0}).status_code == 400


def test_no_rejects_is_a_header(client: Client, services: Services, hub: str) -> None:
    run = record(services, hub)
    for options in ({}, {"$top": 5}):
        answer = client.get(f"{hub}/runs/{run.run_id}/rejects", params=options)
        assert (answer.status_code, answer.text) == (200, f"{HEADER}\n")


def test_no_rejects_were_ever_kept(settings: Settings, services: Services, hub: str) -> None:
    fresh = Services(settings)
    fresh.run_files = BlobContainer(fresh.account, f"c{uuid.uuid4().hex}")
    run = record(services, hub)
    answer = Client(create_http_app(fresh)).get(f"{hub}/runs/{run.run_id}/rejects")
    assert (answer.status_code, answer.text) == (200, f"{HEADER}\n")
