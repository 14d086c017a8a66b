"""Blobs that are committed in another order than they came in: their own order counts, not the race."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples_of
from hypothesis import strategies as st

from shared.lake.container.store import Lake
from shared.lake.read.instances import instances
from shared.lake.states.refresh import refresh
from shared.lake.upkeep.maintain import maintain
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from tests.lake.given import ingest, interaction_type, profile_type
from tests.lake.oracle import Oracle
from tests.thorough import long_examples

type Rows = list[dict[str, Any]]

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER = profile_type()
SECOND = 1 << 28

CHANGES = st.fixed_dictionaries(
    {"_key": st.sampled_from("abc")},
    optional={"Name": st.sampled_from(["Ada", "Bo", None]), "Age": st.sampled_from([1, 2, None])},
)
DELETIONS = st.fixed_dictionaries({"_key": st.sampled_from("abc"), "_deleted": st.just(True)})
BLOBS = st.lists(CHANGES | DELETIONS, min_size=1, max_size=4)


@st.composite
def commits(draw: st.DrawFn) -> list[tuple[int, Rows, str]]:
    """Blobs with their places among all, in the order of their commits, and what comes after each."""
    blobs = draw(st.lists(BLOBS, min_size=2, max_size=6))
    places = draw(st.permutations(range(1, len(blobs) + 1)))
    after = draw(st.lists(st.sampled_from(["", "", "refresh", "maintain"]), min_size=len(blobs), max_size=len(blobs)))
    return list(zip(places, [[with_id(row) for row in rows] for rows in blobs], after, strict=True))


def with_id(row: dict[str, Any]) -> dict[str, Any]:
    return row if row.get("_deleted") else {**row, "CustomerId": row["_key"]}


# The later blob comes in first, and is merged before the earlier one is.
@example(steps=[(2, [with_id({"_key": "a", "Name": "Bo"})], "refresh"), (1, [with_id({"_key": "a", "Age": 1})], "")])
@given(steps=commits())
@examples_of(
    max_examples=long_examples(30),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_blobs_count_in_their_order_whatever_the_order_of_their_commits(
    account: StorageAccount, settings: Settings, tmp_path: Path, steps: list[tuple[int, Rows, str]]
) -> None:
    lake = Lake(account, settings, container=f"lake-{uuid.uuid4().hex[:12]}")
    oracle, now = Oracle(), NOW
    for place, rows, after in steps:
        ingest(lake, CUSTOMER, rows, tmp_path, order=place * SECOND)
        if after:
            now += timedelta(days=3)
            refresh(lake, CUSTOMER, now)
        if after == "maintain":
            maintain(lake, CUSTOMER, now, 21)
    for _, rows, _ in sorted(steps, key=lambda step: step[0]):
        oracle.change(rows)
    assert present(lake) == oracle.rows
    refresh(lake, CUSTOMER, now)
    assert present(lake) == oracle.rows


@pytest.mark.parametrize("others", [0, 10])
def test_interactions_too(lake: Lake, tmp_path: Path, others: int) -> None:
    visit = interaction_type()
    for place, name in ((3, "last"), (1, "first"), (2, "middle")):
        ingest(lake, visit, [{"_key": "k", "Name": name}], tmp_path, order=place * SECOND)
    for place in range(4, 4 + others):
        ingest(lake, visit, [{"_key": f"{place}", "Name": "other"}], tmp_path, order=place * SECOND)
    maintain(lake, visit, NOW, 21)
    names = {row["InteractionId"]: row["Name"] for row in instances(lake, visit, top=1000).rows}
    assert names["k"] == "last"


def present(lake: Lake) -> dict[str, dict[str, Any]]:
    return {row.pop("ProfileId"): row for row in instances(lake, CUSTOMER, top=1000).rows}
