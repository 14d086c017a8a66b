"""The queries of docs/lake.md give what `/data` gives."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from shared.lake.container.store import Lake
from shared.lake.read.instances import instances
from shared.lake.states.refresh import refresh
from shared.lake.upkeep.maintain import maintain
from tests.lake.given import ingest, interaction_type, profile_type
from tests.thorough import only_thorough

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "lake.md"
QUERIES = re.findall(r"SELECT \* FROM delta_scan\('az://lake/([^']*)'\)([^;]*);", PAGE.read_text(encoding="utf-8"))


def asked(lake: Lake, table: str, own: str) -> dict[str, Any]:
    """`Age` by key, as the page's query for the table says."""
    rest = next(rest for path, rest in QUERIES if path == table)
    folder, _, name = table.rpartition("/")
    handle = lake.open(f"{folder}{own}/{name}")
    assert handle is not None
    with duckdb.connect() as connection:
        connection.register("rows", handle.to_pyarrow_table())
        found = connection.execute(f"SELECT _key, Age FROM (SELECT * FROM rows {rest})").fetchall()
    assert len(found) == len(dict(found))
    return dict(found)


@pytest.mark.parametrize(
    "own",
    [pytest.param("", marks=only_thorough), "-0123456789ab"],
    ids=["first of its name", "made anew"],
)
def test_the_queries_say_what_data_says(lake: Lake, tmp_path: Path, own: str) -> None:
    customer, visit = (
        kind.model_copy(update={"lake_path": kind.lake_path + own}) for kind in (profile_type(), interaction_type())
    )
    for age in range(10):
        for entity_type in (customer, visit):
            rows = [{"_key": "a", "Age": age}, {"_key": f"b{age}", "Age": age}, {"_key": "b1", "_deleted": True}]
            ingest(lake, entity_type, rows, tmp_path, order=age + 1)
        refresh(lake, customer, NOW)
        if age == 8:
            maintain(lake, customer, NOW, 21)
            maintain(lake, visit, NOW, 21)

    for entity_type, table in ((customer, "profiles/customer/states"), (visit, "interactions/visit/changes")):
        present = instances(lake, entity_type, None, 100).rows
        said = {row[f"{entity_type.kind.value}Id"]: row["Age"] for row in present}
        assert asked(lake, f"contoso/{table}", own) == said
        assert said.keys() == {"a", *(f"b{age}" for age in range(10) if age != 1)}
