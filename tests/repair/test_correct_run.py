"""Corrected rows join the run that refused them, once, where its other rows stand; on real storage."""

import pytest

from shared.domain.documents.run import RunState
from shared.domain.errors import ConflictError
from tests.repair.conftest import BAD, World, mapping
from tests.thorough import only_thorough


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
