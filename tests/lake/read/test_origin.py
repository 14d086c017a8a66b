"""Corrected rows count where their run stands, and every value knows where it is from: against a dictionary."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.lake.container.store import Lake
from shared.lake.files.parts import PartWriter
from shared.lake.read.instances import instances
from shared.lake.read.origin import traced_instance
from shared.lake.schema import changes_schema
from shared.lake.states.refresh import refresh
from shared.lake.upkeep.maintain import maintain
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from tests.lake.given import changes_of, profile_type, typed
from tests.lake.oracle import EMPTY
from tests.thorough import long_examples

NOW = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)
CUSTOMER = profile_type()

type Line = tuple[dict[str, Any], bool]
"""A row of a file, and whether it is refused at first."""

VALUES = {
    "Name": st.sampled_from(["Ada", "Bo", None]),
    "Age": st.sampled_from([1, 2, None]),
    "Tags": st.sampled_from([["x"], [], None]),
}
ROWS = st.fixed_dictionaries({"_key": st.sampled_from("abc")}, optional=VALUES) | st.fixed_dictionaries(
    {"_key": st.sampled_from("abc"), "_deleted": st.just(True)}
)
BLOBS = st.lists(st.tuples(ROWS, st.booleans()), min_size=1, max_size=5)
STEPS = st.lists(
    BLOBS | st.sampled_from(["refresh", "maintain", "many", "correct", "correct"]), min_size=3, max_size=10
)


@dataclass
class Blob:
    """What a run has ingested and refused, by line."""

    run_id: str
    order: int
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)
    refused: dict[int, dict[str, Any]] = field(default_factory=dict)


@dataclass
class World:
    """A lake, and beside it every row in the order that counts."""

    lake: Lake
    folder: Path
    blobs: list[Blob] = field(default_factory=list)

    def ingest(self, lines: list[Line]) -> None:
        blob = Blob(uuid.uuid4().hex, len(self.blobs) + 1)
        for number, (row, is_refused) in enumerate(lines, start=2):
            full = row if row.get("_deleted") else {**row, "CustomerId": row["_key"]}
            (blob.refused if is_refused else blob.rows)[number] = full
        if blob.rows:
            self.commit(self.typed(blob, blob.rows), blob.run_id)
        self.blobs.append(blob)

    def correct(self, blob: Blob, lines: list[int]) -> None:
        """Brings refused rows of a blob late, as a correction does."""
        rows = {line: blob.refused.pop(line) for line in lines}
        self.commit(self.typed(blob, rows).sort_by("_line"), blob.run_id)
        blob.rows |= rows

    def typed(self, blob: Blob, rows: Mapping[int, dict[str, Any]]) -> pa.Table:
        return pa.concat_tables(
            [typed(CUSTOMER, [row], blob.run_id, line, order=blob.order) for line, row in rows.items()]
        )

    def commit(self, table: pa.Table, run_id: str) -> None:
        folder = self.folder / uuid.uuid4().hex
        folder.mkdir()
        writer = PartWriter(changes_schema(CUSTOMER), folder)
        writer.write(table)
        changes = changes_of(self.lake, CUSTOMER)
        assert changes.commit(changes.upload(writer.close(), run_id), uuid.uuid4().hex, 1)

    def expected(self) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, tuple[str, int]]]]:
        """Instances and origins, by applying every row in the order of blobs and lines."""
        rows: dict[str, dict[str, Any]] = {}
        origins: dict[str, dict[str, tuple[str, int]]] = {}
        for blob in self.blobs:
            for line, row in sorted(blob.rows.items()):
                key = row["_key"]
                if row.get("_deleted"):
                    rows.pop(key, None)
                    origins.pop(key, None)
                    continue
                fields = {name: value for name, value in row.items() if not name.startswith("_")}
                rows[key] = {**rows.get(key, EMPTY), **fields}
                origins.setdefault(key, {}).update(dict.fromkeys(fields, (blob.run_id, line)))
        kept = {
            key: {name: origin for name, origin in origins[key].items() if row[name] is not None}
            for key, row in rows.items()
        }
        return rows, kept

    def check(self) -> None:
        rows, origins = self.expected()
        found = {row.pop("ProfileId"): row for row in instances(self.lake, CUSTOMER).rows}
        assert found == rows
        for key in "abc":
            traced = traced_instance(self.lake, CUSTOMER, key)
            if key not in rows:
                assert traced is None
                continue
            assert traced is not None
            assert {name: (origin.run_id, origin.line) for name, origin in traced.origins.items()} == origins[key]


@given(steps=STEPS, data=st.data())
@settings(
    max_examples=long_examples(8),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example takes a second or two: shrinking takes long
)
def test_corrected_rows_count_where_their_run_stands(
    account: StorageAccount, settings: Settings, tmp_path: Path, steps: list[Any], data: st.DataObject
) -> None:
    lake = Lake(account, settings, container=f"lake-{uuid.uuid4().hex[:12]}")
    world, now = World(lake, tmp_path), NOW
    for step in [*steps, "refresh"]:
        if isinstance(step, list):
            world.ingest(step)
        elif step == "many":
            for index in range(9):
                world.ingest([({"_key": "abc"[index % 3], "Age": index}, False)])
        elif step == "maintain":
            now += timedelta(days=3)
            maintain(lake, CUSTOMER, now, 21)
        elif step == "refresh":
            refresh(lake, CUSTOMER, now)
        else:
            repairable = [blob for blob in world.blobs if blob.refused]
            if repairable:
                blob = data.draw(st.sampled_from(repairable))
                lines = data.draw(st.lists(st.sampled_from(sorted(blob.refused)), min_size=1, unique=True))
                world.correct(blob, lines)
        world.check()
