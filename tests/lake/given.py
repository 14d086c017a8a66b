"""Types, rows and lakes for the tests of the lake."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from shared.domain.documents.entity_types import EntityType, InteractionType, ProfileType
from shared.lake.changes.append import Changes
from shared.lake.changes.commit_desk import CommitDesk
from shared.lake.container.store import Lake
from shared.lake.files.parts import PartWriter
from shared.lake.log.part import Part
from shared.lake.schema import changes_schema

INGESTED_AT = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
HUB = "Contoso"

FIELDS: list[dict[str, Any]] = [
    {"fieldName": "CustomerId", "fieldType": "Edm.String"},
    {"fieldName": "Name", "fieldType": "Edm.String"},
    {"fieldName": "Age", "fieldType": "Edm.Int32"},
    {"fieldName": "Spend", "fieldType": "Edm.Decimal"},
    {"fieldName": "Tags", "fieldType": "Edm.String", "isArray": True},
    {"fieldName": "SeenAt", "fieldType": "Edm.DateTimeOffset"},
]


def profile_type(*more: dict[str, Any], name: str = "Customer") -> ProfileType:
    """A profile type with the key `CustomerId`."""
    return ProfileType.model_validate(
        {
            "typeName": name,
            "apiEntitySetName": f"{name}s",
            "fields": [*FIELDS, *more],
            "strongIds": [{"strongIdName": "Id", "keyPropertyNames": ["CustomerId"]}],
            "lakePath": f"{HUB.lower()}/profiles/{name.lower()}",
        }
    )


def interaction_type(*more: dict[str, Any], name: str = "Visit") -> InteractionType:
    """An interaction type with ids of its own."""
    return InteractionType.model_validate(
        {
            "typeName": name,
            "apiEntitySetName": f"{name}s",
            "fields": [*FIELDS, *more],
            "idPropertyNames": ["CustomerId"],
            "lakePath": f"{HUB.lower()}/interactions/{name.lower()}",
        }
    )


def typed(
    entity_type: EntityType,
    rows: Sequence[Mapping[str, Any]],
    run_id: str = "run",
    line: int = 2,
    ingested_at: datetime = INGESTED_AT,
    order: int | None = None,
) -> pa.Table:
    """Rows as typing makes them: `_key` and the fields that a row names are set; `_deleted` may be."""
    full = [
        {
            **row,
            "_set": ",".join(name for name in row if not name.startswith("_")),
            "_deleted": row.get("_deleted", False),
            "_run": run_id,
            "_line": line + index,
            "_ingested_at": ingested_at,
            "_order": order,
        }
        for index, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(full, schema=changes_schema(entity_type))


def written(
    entity_type: EntityType,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    run_id: str = "run",
    ingested_at: datetime = INGESTED_AT,
    order: int | None = None,
) -> list[Part]:
    """Rows as closed parts in a fresh folder below `folder`."""
    fresh = folder / uuid.uuid4().hex
    fresh.mkdir()
    writer = PartWriter(changes_schema(entity_type), fresh)
    writer.write(typed(entity_type, rows, run_id, ingested_at=ingested_at, order=order))
    return writer.close()


def ingest(
    lake: Lake,
    entity_type: EntityType,
    rows: Sequence[Mapping[str, Any]],
    folder: Path,
    blob: str | None = None,
    number: int = 1,
    ingested_at: datetime = INGESTED_AT,
    order: int | None = None,
) -> bool:
    """Commits rows as version `number` of a blob; a new blob where none is named. `order` is its place among all."""
    changes = changes_of(lake, entity_type)
    run_id = uuid.uuid4().hex
    parts = written(entity_type, rows, folder, run_id, ingested_at, order)
    return changes.commit(changes.upload(parts, run_id), blob or uuid.uuid4().hex, number)


def version_of(transaction: int | None) -> int | None:
    """The number of the blob version in the number of its transaction, whose lower bits are the attempt's."""
    return None if transaction is None else transaction // 2**24


@cache
def desk_of(lake: Lake) -> CommitDesk:
    """The commit desk of a lake: one per process, as the app has it."""
    return CommitDesk(lake)


def changes_of(lake: Lake, entity_type: EntityType) -> Changes:
    """The table `changes` of a type."""
    return Changes(desk_of(lake), entity_type)
