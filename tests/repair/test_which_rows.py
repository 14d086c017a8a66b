"""Which corrections are taken, and which reject each of their rows replaces."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.app import Services
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind
from shared.domain.documents.run import RunState
from shared.domain.errors import ConflictError, InvalidRequestError
from shared.maintain import delete_type
from shared.repair.request_correction import request_correction
from tests.repair.conftest import BAD, World, mapping

REFUSED = {
    "": ["EmptyCorrection"],
    "id,name,age\n": ["EmptyCorrection"],
    "id,name\nb,Bob\n": ["MissingColumns"],
    "id,id,name,age\nb,b,Bob,2\n": ["DuplicateColumn"],
    "line,id,name,age,line\n3,b,Bob,2,5\n": ["DuplicateColumn"],
    'id,name,age\nb,"Bob,2\nd,Dan\n': ["UnclosedQuote", "RowWidth"],
    "id,name,age\nb,Bob,2\nc,Cyd,3\nd,Dan,4\n": ["TooManyRows"],
    "line,id,name,age\n4,c,Cyd,3\n3,b,Bob,2\n,d,Dan,4\nx,d,Dan,4\n": ["UnknownLine", "NotALine", "NotALine"],
    "line,id,name,age\n3,b,Bob,2\n3,b,Bob,2\n": ["RepeatedLine", "RepeatedLine"],
}


def test_corrections_that_are_refused_at_once(world: World) -> None:
    run = world.ingest("people/1.csv", BAD)
    for text, codes in REFUSED.items():
        with pytest.raises(InvalidRequestError) as refused:
            world.request(run, text)
        assert [fault.code for fault in refused.value.details] == codes, text
        assert world.run(run.run_id) == run, text


@pytest.mark.parametrize(
    ("text", "code"),
    [("id,name,age\n" + "short\n" * 400, "RowWidth"), ("line,id,name,age\n" + "99,b,Bob,2\n" * 400, "UnknownLine")],
)
def test_the_first_hundred_faults_of_a_correction_are_told(world: World, text: str, code: str) -> None:
    run = world.ingest("people/1.csv", BAD)
    with pytest.raises(InvalidRequestError) as refused:
        world.request(run, text)
    assert [fault.code for fault in refused.value.details] == [code] * 100
    assert refused.value.message.startswith("400 rows of the correction cannot be taken")


@pytest.mark.parametrize("row", ["b,Bob,2\n", "short\n"])
def test_a_correction_has_no_more_rows_than_a_run_has_rejects(world: World, row: str) -> None:
    run = world.ingest("people/1.csv", BAD)
    services = Services(world.services.settings.model_copy(update={"max_rejects_per_run": 9}))
    with pytest.raises(InvalidRequestError) as refused:
        request_correction(services, world.hub, run.run_id, f"id,name,age\n{row * 10}".encode(), None)
    assert [fault.code for fault in refused.value.details] == ["TooManyRows"]


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


def test_a_run_of_a_type_that_was_made_anew_is_not_corrected(world: World) -> None:
    """Its other rows are gone; corrected ones would stand alone in a type that the run never filled."""
    definitions, visits = world.services.definitions, {"Page": "id", "Ms": "age"}
    run = world.ingest("people/1.csv", BAD)
    kept = definitions.mapping(world.hub, "Landing", "People").document
    for name in ("People", "Ages"):
        other = mapping(world.container, "Interaction", "Visit", "people", visits)
        definitions.put_mapping(world.hub, "Landing", name, other)
    person = definitions.entity_type(world.hub, EntityKind.PROFILE, "Person").document
    delete_type(world.services, world.hub, EntityKind.PROFILE, "Person", Conditions())
    definitions.put_entity_type(world.hub, "Person", person)
    definitions.put_mapping(world.hub, "Landing", "People", kept)
    # The clocks of two instances differ: by them alone the run could have begun after the type was made.
    stored = world.services.runs.get(world.hub, run.run_id)
    assert stored is not None
    world.services.runs.save(stored.with_run(started_at=datetime.now(UTC) + timedelta(minutes=1)))
    with pytest.raises(ConflictError) as refused:
        world.request(run, "line,id,name,age\n3,b,Bob,2\n")
    assert refused.value.code == "TypeGone"
    assert world.data() == {}
