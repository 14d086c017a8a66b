"""The engine reaches its own folder and nothing else, and says in our words what goes wrong."""

from pathlib import Path

import duckdb
import pytest

from shared.domain.errors import FatalError, UnavailableError
from shared.engine.sql import first_row, literal
from shared.engine.workspace import workspace
from shared.settings import Settings

SETTINGS = Settings()


def test_only_its_own_folder_is_in_reach(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with workspace(SETTINGS) as work:
        inside = work.folder / "inside.csv"
        work.connection.execute(f"COPY (SELECT 1 AS a) TO {literal(str(inside))}")
        assert first_row(work.connection, f"SELECT a FROM read_csv({literal(str(inside))})") == (1,)
        for statement in (
            f"SELECT * FROM read_csv({literal(str(tmp_path / 'secret.csv'))})",
            f"COPY (SELECT 1) TO {literal(str(tmp_path / 'out.csv'))}",
            f"ATTACH {literal(str(tmp_path / 'other.db'))}",
            "INSTALL httpfs",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                work.connection.execute(statement)
    assert not work.folder.exists()


def test_times_are_utc() -> None:
    with workspace(SETTINGS) as work:
        assert first_row(work.connection, "SELECT CAST(TIMESTAMPTZ '2026-01-01 00:00:00Z' AS VARCHAR)") == (
            "2026-01-01 00:00:00+00",
        )


def test_a_refused_statement_is_a_fault_of_ours_and_quotes_no_value() -> None:
    with pytest.raises(FatalError) as refused, workspace(SETTINGS) as work:
        work.connection.execute("SELECT CAST('topsecret' AS INTEGER)")
    assert "topsecret" not in str(refused.value)


def test_too_little_room_may_pass() -> None:
    small = Settings.model_validate({"engine_memory_mb": 64})
    with pytest.raises(UnavailableError, match="ENGINE_MEMORY_MB"), workspace(small) as work:
        work.connection.execute("SELECT list(range::VARCHAR || repeat('x', 1000)) FROM range(1000000)")


@pytest.mark.parametrize("text", ["it's", "a\\", "NUL\0in", "\0", "", "é\U0001f600", "--", "$$"])
def test_a_literal_is_the_text(text: str) -> None:
    with workspace(SETTINGS) as work:
        assert first_row(work.connection, f"SELECT {literal(text)} = ?, {literal(text)}", [text]) == (True, text)
