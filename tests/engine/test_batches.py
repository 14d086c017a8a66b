"""An engine goes from one file to the next, with its plan where the statement is the same."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pyarrow as pa
import pytest

from shared.domain.errors import FatalError
from shared.engine.batches import batch_engine
from shared.settings import Settings

SETTINGS = Settings()
DOUBLE = "SELECT 2 * c0 AS found FROM batch"


def found(statement: str, *batches: pa.Table) -> list[list[object]]:
    with batch_engine(SETTINGS, statement) as engine:
        return [engine.run(batch).column("found").to_pylist() for batch in batches]


def test_each_batch_has_its_own_rows() -> None:
    assert found(DOUBLE, pa.table({"c0": [1, 2]}), pa.table({"c0": [3]})) == [[2, 4], [6]]


def test_the_next_file_borrows_the_engine_of_the_last_one() -> None:
    with batch_engine(SETTINGS, DOUBLE) as first:
        pass
    with batch_engine(SETTINGS, DOUBLE) as second:
        assert second is first
        with batch_engine(SETTINGS, DOUBLE) as third:
            assert third is not second, "one file at a time"


def test_the_engine_used_last_is_borrowed_however_many_are_idle() -> None:
    with ExitStack() as at_once:
        for _ in range(14):
            at_once.enter_context(batch_engine(SETTINGS, DOUBLE))
    with batch_engine(SETTINGS, DOUBLE) as first:
        pass
    with batch_engine(SETTINGS, DOUBLE) as second:
        assert second is first


def test_another_statement_and_other_columns_are_planned_anew() -> None:
    assert found(DOUBLE, pa.table({"c0": [1]})) == [[2]]
    assert found("SELECT c0 || c1 AS found FROM batch", pa.table({"c0": ["a"], "c1": ["b"]})) == [["ab"]]
    assert found(DOUBLE, pa.table({"c0": [1]}), pa.table({"c0": pa.array([1.5])})) == [[2], [3.0]]


def test_an_engine_that_failed_is_not_used_again() -> None:
    with pytest.raises(FatalError), batch_engine(SETTINGS, "SELECT CAST(c0 AS INTEGER) AS found FROM batch") as failed:
        failed.run(pa.table({"c0": ["topsecret"]}))
    with batch_engine(SETTINGS, DOUBLE) as engine:
        assert engine is not failed


def test_many_threads_get_their_own_rows() -> None:
    def check(number: int) -> bool:
        return found(DOUBLE, pa.table({"c0": [number] * 100})) == [[2 * number] * 100]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(check, range(64)))
