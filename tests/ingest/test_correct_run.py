"""Corrected rows join the run that refused them, once, where its other rows stand; on real storage."""

import csv
import io
import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobServiceClient

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.domain.blob_version import BlobVersion
from shared.domain.connectors import connector_from_request
from shared.domain.entity_types import InteractionType, ProfileType
from shared.domain.errors import ClaimLostError, ConflictError, InvalidRequestError
from shared.domain.hubs import Hub
from shared.domain.mappings import Mapping
from shared.domain.run import Run, RunError, RunState
from shared.failpoints import FailPoint, arm
from shared.ingest.attempt import Attempt, take
from shared.ingest.correct_run import _correct, correct_run
from shared.ingest.ingest_blob import ingest_blob
from shared.ingest.match import queue_version
from shared.ingest.messages import give_up, take_message
from shared.ingest.request_correction import request_correction
from shared.lake.maintain import maintain
from shared.lake.read import instances
from shared.lake.states import refresh
from shared.lake.tables import open_snapshot
from shared.ledger.stored_run import StoredRun
from tests.ingest.paused import paused
from tests.local_services import STORAGE_SECRET, development, running_vault
from tests.thorough import only_thorough

FIELDS = [
    {"fieldName": "Id", "fieldType": "Edm.String"},
    {"fieldName": "Name", "fieldType": "Edm.String"},
    {"fieldName": "Age", "fieldType": "Edm.Int32"},
]
BAD = "id,name,age,note\na,Ann,1,x\nb,Bob,none,y\nc,Cyd,3,z\nd,Dan,many,w\n"
_SEQUENCERS = itertools.count(1)  # blobs of the same second are told apart by them alone


@dataclass(frozen=True)
class World:
    """A hub with a profile type, an interaction type without ids, and a mapping for each."""

    services: Services
    hub: str
    container: str
    storage: BlobServiceClient

    def ingest(self, path: str, text: str, mapping: str = "People") -> Run:
        """Uploads a blob and ingests it."""
        blob = self.storage.get_blob_client(self.container, path)
        etag = str(blob.upload_blob(text.encode(), overwrite=True)["etag"]).strip('"')
        version = BlobVersion(self.container, path, etag, len(text), f"{next(_SEQUENCERS):064x}")
        stored = self.services.definitions.mapping(self.hub, "Landing", mapping)
        run_id = queue_version(self.services, self.hub, stored, version)
        ingest_blob(self.services, self.hub, run_id, "message")
        return self.run(run_id)

    def request(self, run: Run, text: str) -> Run:
        return request_correction(self.services, self.hub, run.run_id, text.encode(), None).run

    def work(self, run: Run, worker: str = "correction") -> Run:
        take_message(self.services, {"hub": self.hub, "runId": run.run_id}, worker)
        return self.run(run.run_id)

    def correct(self, run: Run, text: str) -> Run:
        assert self.request(run, text).state is RunState.QUEUED
        return self.work(run)

    def attempt(self, run: Run, worker: str = "correction") -> Attempt:
        attempt = take(self.services, self.hub, run.run_id, worker)
        assert attempt is not None
        return attempt

    def stored(self, run: Run) -> StoredRun:
        stored = self.services.runs.get(self.hub, run.run_id)
        assert stored is not None
        return stored

    def run(self, run_id: str) -> Run:
        stored = self.services.runs.get(self.hub, run_id)
        assert stored is not None
        return stored.run

    def rejects(self, run: Run) -> list[list[str]]:
        path = self.stored(run).rejects
        text = self.services.run_files.read_bytes(path).decode() if path else ""
        return list(csv.reader(io.StringIO(text, newline="")))[1:]

    def data(self, name: str = "Person") -> dict[str, dict[str, Any]]:
        entity_type = self.services.definitions.type_named(self.hub, name).document
        rows = instances(self.services.lake, self.hub, entity_type, None, 1000).rows
        return {row.pop(f"{entity_type.kind.value}Id"): row for row in rows}

    def refresh(self) -> None:
        entity_type = self.services.definitions.type_named(self.hub, "Person").document
        refresh(self.services.lake, self.hub, entity_type, self.services.clock.now())  # type: ignore[arg-type]

    def maintain(self, name: str = "Person") -> None:
        entity_type = self.services.definitions.type_named(self.hub, name).document
        maintain(self.services.lake, self.hub, entity_type, self.services.clock.now(), 21)

    def committed_rows(self, name: str = "Person") -> int:
        entity_type = self.services.definitions.type_named(self.hub, name).document
        snapshot = open_snapshot(self.services.lake, self.services.lake.changes(self.hub, entity_type).table)
        return sum(file.rows for file in snapshot.files) if snapshot else 0


def mapping(container: str, kind: str, name: str, folder: str, columns: dict[str, str], **more: Any) -> Mapping:
    return Mapping.from_request(
        {
            "entityType": kind,
            "entityTypeName": name,
            "mappingProperties": {
                "folderPath": f"{container}/{folder}",
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "structure": [{"propertyName": field, "columnName": column} for field, column in columns.items()],
                **more,
            },
        }
    )


@pytest.fixture
def world(azurite: Endpoints, tmp_path: Path) -> Iterator[World]:
    with (
        running_vault(tmp_path, azurite) as vault,
        BlobServiceClient.from_connection_string(azurite.connection_string) as storage,
    ):
        services = Services(development(azurite, vault.url))
        hub = f"Hub{uuid.uuid4().hex[:12]}"
        definitions = services.definitions
        definitions.put_hub(hub, Hub.from_request({}))
        ids = [{"strongIdName": "Main", "keyPropertyNames": ["Id"]}]
        definitions.put_entity_type(hub, "Person", ProfileType.from_request({"fields": FIELDS, "strongIds": ids}))
        visit = [{"fieldName": "Page", "fieldType": "Edm.String"}, {"fieldName": "Ms", "fieldType": "Edm.Int32"}]
        definitions.put_entity_type(hub, "Visit", InteractionType.from_request({"fields": visit}))
        secret = {"connectionKeyVaultUrl": f"{vault.url}/secrets/{STORAGE_SECRET}"}
        landing = {"connectorType": "AzureBlob", "connectorProperties": secret}
        definitions.put_connector(hub, "Landing", connector_from_request(landing))
        container = hub.lower()
        storage.create_container(container)
        columns = {"Id": "id", "Name": "name", "Age": "age"}
        definitions.put_mapping(hub, "Landing", "People", mapping(container, "Profile", "Person", "people", columns))
        ages = {"Id": "id", "Age": "age"}
        definitions.put_mapping(hub, "Landing", "Ages", mapping(container, "Profile", "Person", "ages", ages))
        visits = mapping(container, "Interaction", "Visit", "visits", {"Page": "page", "Ms": "ms"})
        definitions.put_mapping(hub, "Landing", "Visits", visits)
        yield World(services, hub, container, storage)


def test_corrected_rows_join_their_run(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    assert (run.state, run.rows_ingested, run.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert [row[0] for row in world.rejects(run)] == ["3", "5"]

    waiting = world.request(run, "line,id,name,age\n5,d,Dan,4\n")
    assert (waiting.state, waiting.rows_read, waiting.finished_at) == (RunState.QUEUED, 4, None)
    half = world.work(run)
    assert (half.state, half.rows_read, half.rows_ingested, half.rows_rejected) == (
        RunState.PARTIALLY_SUCCEEDED,
        4,
        3,
        1,
    )
    assert [row[0] for row in world.rejects(run)] == ["3"]
    assert world.data()["d"] == {"Id": "d", "Name": "Dan", "Age": 4}

    whole = world.correct(run, "name,age,id\nBob,2,b\n")
    assert (whole.state, whole.rows_read, whole.rows_ingested, whole.rows_rejected) == (RunState.SUCCEEDED, 4, 4, 0)
    assert world.rejects(run) == []
    assert whole.started_at == run.started_at
    assert [(repair["rows"], repair["ingested"], repair["rejected"]) for repair in whole.details["repairs"]] == [
        (1, 1, 0),
        (1, 1, 0),
    ]
    assert world.data() == {
        key: {"Id": key, "Name": name, "Age": age}
        for key, name, age in [("a", "Ann", 1), ("b", "Bob", 2), ("c", "Cyd", 3), ("d", "Dan", 4)]
    }


def test_the_same_rows_twice_are_ingested_once(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    text = "line,id,name,age\n3,b,Bob,2\n"
    world.request(run, text)
    assert world.request(run, text).state is RunState.QUEUED, "a second request while it waits is the same"
    with pytest.raises(ConflictError) as refused:
        world.request(run, "line,id,name,age\n5,d,Dan,4\n")
    assert refused.value.code == "RunInProgress"
    done = world.work(run)
    assert world.request(run, text) == done
    assert world.work(run) == done, "the second message finds nothing to do"
    assert world.committed_rows() == 3
    assert [repair["rows"] for repair in done.details["repairs"]] == [1]


def test_rows_that_are_refused_again_stay_with_their_new_reason(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    done = world.correct(run, "id,name,age,line\nb,Bob,2,3\n,Dan,4,5\n")
    assert (done.state, done.rows_read, done.rows_ingested, done.rows_rejected) == (
        RunState.PARTIALLY_SUCCEEDED,
        4,
        3,
        1,
    )
    assert [row[:3] for row in world.rejects(run)] == [["5", "id", "EmptyKey"]]
    assert world.rejects(run)[0][4] == ",Dan,4,5"
    assert done.details["repairs"][0].items() >= {"rows": 2, "ingested": 1, "rejected": 1}.items()
    nothing = world.correct(run, "line,id,name,age\n5,d,Dan,lots\n")
    assert (nothing.state, nothing.rows_ingested, nothing.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 3, 1)
    assert [row[2] for row in world.rejects(run)] == ["NotAnInteger"]
    assert world.correct(run, "line,id,name,age\n5,d,Dan,4\n").state is RunState.SUCCEEDED
    assert world.data()["d"]["Age"] == 4


@pytest.mark.parametrize("upkeep", ["", "refreshed", pytest.param("maintained", marks=only_thorough)])
def test_corrected_rows_do_not_overwrite_what_came_later(world: World, upkeep: str) -> None:
    run = world.ingest("people/1.csv", "id,name,age\na,Ann,1\nb,Bob,none\nc,Cyd,nil\nb,Bert,5\n")
    world.ingest("people/2.csv", "id,name,age\nc,Cid,30\n")
    world.ingest("ages/1.csv", "id,age\nd,40\n", "Ages")
    for number in range(8 if upkeep == "maintained" else 0):
        world.ingest(f"ages/more-{number}.csv", f"id,age\ne,{number}\n", "Ages")
    if upkeep == "refreshed":
        world.refresh()
    elif upkeep == "maintained":
        world.maintain()
    done = world.correct(run, "line,id,name,age\n3,b,Bob,2\n4,d,Dan,4\n")
    assert done.state is RunState.SUCCEEDED
    expected = {"a": ("Ann", 1), "b": ("Bert", 5), "c": ("Cid", 30), "d": ("Dan", 40)}
    for _ in ("pending", "refreshed"):
        found = world.data()
        assert {key: (found[key]["Name"], found[key]["Age"]) for key in expected} == expected
        world.refresh()


def test_a_file_of_which_every_row_was_refused(world: World) -> None:
    run = world.ingest("people/1.csv", "id,name,age\na,Ann,x\nb,Bob,y\n")
    assert (run.state, run.rows_ingested) == (RunState.PARTIALLY_SUCCEEDED, 0)
    world.ingest("people/2.csv", "id,name,age\na,Anna,2\n")
    assert world.correct(run, "line,id,name,age\n2,a,Ann,1\n").rows_rejected == 1
    assert world.correct(run, "line,id,name,age\n3,b,Bob,2\n").state is RunState.SUCCEEDED
    assert {key: row["Name"] for key, row in world.data().items()} == {"a": "Anna", "b": "Bob"}


@pytest.mark.parametrize("upkeep", [False, pytest.param(True, marks=only_thorough)])
def test_interactions_get_the_ids_that_their_rows_would_have_had(world: World, upkeep: bool) -> None:
    good = "page,ms,more\n/a,1,x\n/a,1,x\n/a,1,x\n/b,2,\n"
    run = world.ingest("visits/1.csv", good.replace("1,x", "one,x", 1).replace("2", "two"), "Visits")
    if upkeep:
        for number in range(8):
            world.ingest(f"visits/other-{number}.csv", f"page,ms\n/o,{number}\n", "Visits")
        world.maintain("Visit")
    assert world.correct(run, "page,ms,more,line\n/b,2,,5\n/a,1,x,2\n").state is RunState.SUCCEEDED
    assert len(world.data("Visit")) == 4 + 8 * upkeep
    ids = set(world.data("Visit"))
    world.ingest("visits/1.csv", good + "/c,3,\n", "Visits")  # the file grows, and is right now
    assert set(world.data("Visit")) > ids
    assert len(world.data("Visit")) == 5 + 8 * upkeep


def test_a_crash_after_the_commit_is_recorded_with_true_counts(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n5,,Dan,4\n")
    _correct(world.services, world.attempt(run))  # the worker ends before it records the outcome
    assert world.run(run.run_id).state is RunState.RUNNING
    world.services.definitions.delete_mapping(world.hub, "Landing", "People")
    done = world.work(run)
    assert (done.state, done.rows_ingested, done.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 3, 1)
    assert [row[:3] for row in world.rejects(run)] == [["5", "id", "EmptyKey"]]
    assert world.committed_rows() == 3


def test_a_paused_worker_loses_its_claim_and_writes_nothing(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    paused = world.attempt(run)
    done = world.work(run)
    with pytest.raises(ClaimLostError):
        correct_run(world.services, paused)
    assert world.run(run.run_id) == done
    assert world.committed_rows() == 3


@pytest.mark.parametrize("point", [FailPoint.CORRECTION_NOTED, FailPoint.CORRECTION_CHECKED])
@pytest.mark.parametrize("then", ["given up", "mapping deleted"])
def test_an_attempt_that_comes_to_its_commit_when_the_correction_has_ended_brings_nothing(
    world: World, point: FailPoint, then: str
) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    attempt = world.attempt(run)
    with paused(lambda: _correct(world.services, attempt), point) as first:
        if then == "given up":
            give_up(world.services, {"hub": world.hub, "runId": run.run_id})
        else:
            world.services.definitions.delete_mapping(world.hub, "Landing", "People")
            world.work(run)
        ended = world.run(run.run_id)
        with pytest.raises(ClaimLostError):
            first.end()
    assert (ended.state, ended.rows_ingested, ended.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert ended.details["repairs"][0]["ingested"] == 0
    assert world.run(run.run_id) == ended
    assert world.committed_rows() == 2
    assert [row[0] for row in world.rejects(run)] == ["3", "5"]


def test_a_correction_that_came_in_before_it_was_ended_is_recorded(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    attempt = world.attempt(run)
    with paused(lambda: _correct(world.services, attempt), FailPoint.CORRECTION_COMMITTED) as first:
        world.services.definitions.delete_mapping(world.hub, "Landing", "People")
        ended = world.work(run)
        first.end()
    assert (ended.rows_ingested, ended.rows_rejected) == (3, 1)
    assert "completeOperation" not in ended.details
    assert world.committed_rows() == 3


@pytest.mark.parametrize("first_is_first", [True, False])
def test_counts_of_a_correction_are_those_of_the_attempt_that_commits(world: World, first_is_first: bool) -> None:
    """The second reads the correction in its own way, since the mapping changed."""
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n5,d,Dan,4\n")
    attempt = world.attempt(run)
    with paused(lambda: _correct(world.services, attempt), FailPoint.CORRECTION_CHECKED) as first:
        columns = {"Id": "id", "Name": "name", "Age": "name"}
        changed = mapping(world.container, "Profile", "Person", "people", columns)
        world.services.definitions.put_mapping(world.hub, "Landing", "People", changed)
        if first_is_first:
            arm(FailPoint.CORRECTION_CHECKED, lambda: first.end() and None)
        ended = world.work(run)
    expected = (RunState.SUCCEEDED, 4, 0) if first_is_first else (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert (ended.state, ended.rows_ingested, ended.rows_rejected) == expected
    assert world.committed_rows() == ended.rows_ingested


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_message_that_is_given_up(world: World, is_committed: bool) -> None:
    run = world.ingest("people/1.csv", BAD)
    text = "line,id,name,age\n3,b,Bob,2\n"
    world.request(run, text)
    attempt = world.attempt(run)
    if is_committed:
        _correct(world.services, attempt)
    attempt.release(RunError(code="VaultUnavailable", message="the vault does not answer"))
    give_up(world.services, {"hub": world.hub, "runId": run.run_id})
    ended = world.run(run.run_id)
    assert (ended.state, ended.error) == (RunState.PARTIALLY_SUCCEEDED, None)
    assert ended.rows_ingested == (3 if is_committed else 2)
    assert ended.rows_read == 4
    if not is_committed:
        assert ended.details["repairs"][0]["error"]["code"] == "VaultUnavailable"
        assert world.correct(run, text).rows_ingested == 3, "the same rows may be given again"
    assert world.committed_rows() == 3


def test_a_mapping_that_is_gone_by_then(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    world.services.definitions.delete_mapping(world.hub, "Landing", "People")
    ended = world.work(run)
    assert (ended.state, ended.rows_ingested, ended.rows_rejected) == (RunState.PARTIALLY_SUCCEEDED, 2, 2)
    assert ended.details["repairs"][0]["error"]["code"] == "MappingGone"
    with pytest.raises(ConflictError) as refused:
        world.request(run, "line,id,name,age\n3,b,Bob,3\n")
    assert refused.value.code == "MappingGone"


def test_the_file_moves_when_its_last_row_is_in(world: World) -> None:
    operation = {"completionOperationType": "DeleteFile"}
    columns = {"Id": "id", "Name": "name", "Age": "age"}
    document = mapping(world.container, "Profile", "Person", "people", columns, completeOperation=operation)
    world.services.definitions.put_mapping(world.hub, "Landing", "People", document)
    run = world.ingest("people/1.csv", BAD)
    blob = world.storage.get_blob_client(world.container, "people/1.csv")
    world.correct(run, "line,id,name,age\n3,b,Bob,2\n")
    assert blob.exists()
    assert world.correct(run, "line,id,name,age\n5,d,Dan,4\n").state is RunState.SUCCEEDED
    assert not blob.exists()


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", ["EmptyCorrection"]),
        ("id,name,age\n", ["EmptyCorrection"]),
        ("id,name\nb,Bob\n", ["MissingColumns"]),
        ("id,id,name,age\nb,b,Bob,2\n", ["DuplicateColumn"]),
        ("line,id,name,age,line\n3,b,Bob,2,5\n", ["DuplicateColumn"]),
        ('id,name,age\nb,"Bob,2\nd,Dan\n', ["UnclosedQuote", "RowWidth"]),
        ("id,name,age\nb,Bob,2\nc,Cyd,3\nd,Dan,4\n", ["TooManyRows"]),
        ("line,id,name,age\n4,c,Cyd,3\n3,b,Bob,2\n,d,Dan,4\nx,d,Dan,4\n", ["UnknownLine", "NotALine", "NotALine"]),
        ("line,id,name,age\n3,b,Bob,2\n3,b,Bob,2\n", ["RepeatedLine", "RepeatedLine"]),
    ],
)
def test_corrections_that_are_refused_at_once(world: World, text: str, codes: list[str]) -> None:
    run = world.ingest("people/1.csv", BAD)
    with pytest.raises(InvalidRequestError) as refused:
        world.request(run, text)
    assert [fault.code for fault in refused.value.details] == codes
    assert world.run(run.run_id) == run


def test_runs_that_have_nothing_to_correct(world: World) -> None:
    whole = world.ingest("people/1.csv", "id,name,age\na,Ann,1\n")
    failed = world.ingest("people/2.csv", "id,name\na,Ann\n")
    for run, code in ((whole, "NothingToCorrect"), (failed, "NothingIngested")):
        with pytest.raises(ConflictError) as refused:
            world.request(run, "id,name,age\na,Ann,1\n")
        assert refused.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        "page,ms\n/a,1\n",
        "line,page,ms\n2,/a,1\n",
        "page,more,ms\n/a,x,1\n",
        "page,ms,more,most\n/a,1,x,\n",
        "page,ms,more,more\n/a,1,x,\n",
        "page,ms,other\n/a,1,x\n",
    ],
    ids=["dropped", "dropped-for-line", "in-another-order", "added", "doubled", "renamed"],
)
def test_other_columns_would_make_other_ids(world: World, text: str) -> None:
    run = world.ingest("visits/1.csv", "page,ms,more\n/a,one,x\n", "Visits")
    with pytest.raises(InvalidRequestError, match="whole rows") as refused:
        world.request(run, text)
    assert [fault.code for fault in refused.value.details] == ["OtherColumns"]
    width = text.partition("\n")[0].replace("line,", "").count(",") + 1
    told = "names or order differ" if width == 3 else f"it has {width} columns, the file has 3"
    assert told in str(refused.value)


def test_no_row_of_a_correction_is_skipped(world: World) -> None:
    form = {"skipRows": 1, "commentCharacter": "#"}
    columns = {"Id": "column1", "Name": "column2", "Age": "column3"}
    people = mapping(world.container, "Profile", "Person", "people", columns, format=form, hasHeader=False)
    world.services.definitions.put_mapping(world.hub, "Landing", "People", people)
    run = world.ingest("people/1.csv", "preamble\na,Ann,1\n#,a comment\nb,Bob,none\nc,Cyd,many\n")
    assert (run.rows_ingested, [row[0] for row in world.rejects(run)]) == (1, ["4", "5"])
    done = world.correct(run, "#b,Bob,2\nc,Cyd,3\n")
    assert (done.state, done.rows_ingested) == (RunState.SUCCEEDED, 3)
    assert {key: row["Age"] for key, row in world.data().items()} == {"a": 1, "#b": 2, "c": 3}


@pytest.mark.parametrize("columns", ["line", "line,line"])
def test_a_column_line_of_the_file_itself_names_no_reject(world: World, columns: str) -> None:
    seventy, eighty = (columns.replace("line", number) for number in ("70", "80"))
    run = world.ingest("people/1.csv", f"{columns},id,name,age\n{seventy},b,Bob,none\n{eighty},d,Dan,many\n")
    done = world.correct(run, f"{columns},id,name,age\n{seventy},b,Bob,2\n")
    assert (done.rows_ingested, [row[0] for row in world.rejects(run)]) == (1, ["3"])


def test_a_column_line_that_the_mapping_has_forgotten_names_no_reject(world: World) -> None:
    columns = {"Id": "id", "Name": "line", "Age": "age"}
    people = mapping(world.container, "Profile", "Person", "people", columns)
    world.services.definitions.put_mapping(world.hub, "Landing", "People", people)
    run = world.ingest("people/1.csv", "line,id,age\n9,a,1\n4,b,none\n3,c,many\n")
    del columns["Name"]
    people = mapping(world.container, "Profile", "Person", "people", columns)
    world.services.definitions.put_mapping(world.hub, "Landing", "People", people)
    done = world.correct(run, "line,id,age\n4,b,2\n")
    assert (done.rows_ingested, [row[0] for row in world.rejects(run)]) == (2, ["4"])


def test_a_column_line_among_many_that_are_ignored_names_no_reject(world: World) -> None:
    others = [f"{number}{'x' * 60}" for number in range(600)]
    header, cells = ",".join([*others, "line"]), "," * 599
    run = world.ingest("people/1.csv", f"id,name,age,{header}\na,Ann,none,{cells},4\nb,Bob,many,{cells},2\n")
    done = world.correct(run, f"id,name,age,{header}\na,Ann,1,{cells},4\n")
    assert (done.rows_ingested, [row[0] for row in world.rejects(run)]) == (1, ["3"])
