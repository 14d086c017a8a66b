"""The measure: what counts as right, rejected, vanished and wrong, and which rejects point at a fault."""

import pytest

from honesty.__main__ import summarize
from honesty.draft import DirtyFile, Spot, TrueRow
from honesty.measure import Score, score, total
from honesty.reading import Outcome
from honesty.run import Done, Job
from honesty.table import mapping_of
from shared.domain.reject import Reject


def file_of(rows: list[TrueRow], spots: list[Spot], refusal: str | None = None) -> DirtyFile:
    return DirtyFile("kind", "place", b"", mapping_of({}), rows, spots, refusal)


def reject(line: int, column: str | None = None) -> Reject:
    return Reject(line, column, "Code", "message", "raw")


ROWS = [TrueRow(("a",), 2, 2), TrueRow(("a",), 3, 3), TrueRow(("b",), 4, 6)]


def test_a_file_that_comes_out_as_it_is() -> None:
    found = score(file_of(ROWS, []), Outcome([("b",), ("a",), ("a",)]))
    assert (found.right, found.rejected, found.vanished, found.wrong) == (3, 0, 0, 0)
    assert found.is_honest
    assert (total([found]).yield_, total([found]).attribution) == (1.0, None)


def test_equal_rows_are_counted() -> None:
    once_too_few = score(file_of(ROWS, []), Outcome([("b",), ("a",)]))
    assert (once_too_few.right, once_too_few.vanished) == (2, 1)
    once_too_often = score(file_of(ROWS, []), Outcome([("b",), ("a",), ("a",), ("a",)]))
    assert (once_too_often.right, once_too_often.wrong) == (3, 1)
    assert not once_too_few.is_honest
    assert not once_too_often.is_honest


@pytest.mark.parametrize("line", [4, 5, 6])
def test_a_row_is_rejected_if_one_of_its_lines_is_named(line: int) -> None:
    found = score(file_of(ROWS, [Spot(4)]), Outcome([("a",), ("a",)], [reject(line)]))
    assert (found.rejected, found.vanished, found.is_honest) == (1, 0, True)
    assert (found.attributed, found.missed) == ((1, 0) if line == 4 else (0, 1))


def test_a_reject_elsewhere_covers_no_row() -> None:
    found = score(file_of(ROWS, [Spot(4)]), Outcome([("a",), ("a",)], [reject(7)]))
    assert (found.rejected, found.vanished, found.attributed, found.missed) == (0, 1, 0, 1)


@pytest.mark.parametrize(("column", "attributed"), [("name", 1), ("city", 0), (None, 0)])
def test_a_reject_must_name_the_column_of_the_fault(column: str | None, attributed: int) -> None:
    found = score(file_of(ROWS, [Spot(4, "name")]), Outcome([("a",), ("a",)], [reject(4, column)]))
    assert found.is_honest
    assert found.attributed == attributed


def test_a_second_reject_of_one_fault_is_not_attributed() -> None:
    found = score(file_of(ROWS, [Spot(4)]), Outcome([("a",), ("a",)], [reject(4), reject(4)]))
    assert (found.rejects, found.attributed) == (2, 1)


def test_a_row_that_was_changed_is_wrong_though_its_line_is_named() -> None:
    found = score(file_of(ROWS, [Spot(4)]), Outcome([("a",), ("a",), ("b ",)], [reject(4)]))
    assert (found.rejected, found.wrong, found.is_honest) == (1, 1, False)


def test_a_file_to_be_refused_has_no_right_rows() -> None:
    must = file_of([], [], "TooLarge")
    assert score(must, Outcome(refusal="TooLarge")).attributed == 1
    other = score(must, Outcome(refusal="NotGzip"))
    assert (other.is_honest, other.rejects, other.attributed, other.missed) == (True, 1, 0, 1)
    assert score(must, Outcome([("a",)])).wrong == 1


def test_a_file_refused_without_need_costs_yield_and_attribution() -> None:
    found = score(file_of(ROWS, []), Outcome(refusal="BadEncoding"))
    assert found.is_honest
    assert (total([found]).yield_, total([found]).attribution) == (0.0, 0.0)


def test_accounts_that_do_not_close_are_dishonest() -> None:
    assert not score(file_of(ROWS, []), Outcome([("b",), ("a",), ("a",)], trouble="a line is lost")).is_honest


def scores(good: int, *bad: Score) -> list[Score]:
    return [score(file_of(ROWS, []), Outcome([row.values for row in ROWS]))] * good + list(bad)


def done(found: list[Score], slowest: float = 0.1) -> list[Done]:
    return [Done(Job("rows", 0), found, slowest, 100.0)]


def test_each_bar_must_be_met(capsys: pytest.CaptureFixture[str]) -> None:
    vanished = score(file_of(ROWS, []), Outcome([("b",), ("a",)]))
    unfounded = score(file_of(ROWS, []), Outcome([row.values for row in ROWS], [reject(9)]))
    crashed = score(file_of(ROWS, []), Outcome([row.values for row in ROWS], trouble="ValueError"))
    refused = score(file_of(ROWS, []), Outcome(refusal="TooLarge"))
    assert summarize(done(scores(200)), 1.0)
    assert summarize(done(scores(200, vanished)), 1.0)
    assert not summarize(done(scores(190, vanished)), 1.0)
    assert not summarize(done(scores(1000, refused, unfounded)), 1.0)
    assert not summarize(done(scores(10, refused)), 1.0)
    assert not summarize(done(scores(1000, crashed)), 1.0)
    assert not summarize(done(scores(200), slowest=11.0), 1.0)
    printed = capsys.readouterr().out
    assert "NOT HONEST kind, place: 0 wrong, 1 vanished" in printed
    assert printed.rstrip().endswith("MISSED")
