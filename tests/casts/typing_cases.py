"""Files for the tests of typing: definitions, a CSV file in full quotes, and its rows read and typed for real."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

from shared.casts.type_rows import RowTyper
from shared.csv.read_csv import read_csv
from shared.domain.csv_dialect import CsvDialect
from shared.domain.documents.entity_types import EntityType, InteractionType, ProfileType
from shared.domain.documents.mappings import Mapping
from shared.domain.reject import Reject
from shared.settings import Settings

PATH = "daily/people 'A'.csv"
RUN = "0123456789abcdef0123456789abcdef"
ORDER = 7
NOW = datetime(2026, 11, 22, 14, 15, 0, 250, tzinfo=UTC)


def profile_type(*fields: dict[str, Any], key: tuple[str, ...] = ("id",)) -> EntityType:
    strong_ids = [{"strongIdName": "primary", "keyPropertyNames": list(key)}]
    return ProfileType.from_request({"apiEntitySetName": "People", "fields": fields, "strongIds": strong_ids})


def interaction_type(*fields: dict[str, Any], key: tuple[str, ...] = ()) -> EntityType:
    return InteractionType.from_request({"apiEntitySetName": "Visits", "fields": fields, "idPropertyNames": list(key)})


def mapping_of(
    entity_type: EntityType,
    columns: dict[str, str] | None = None,
    form: dict[str, Any] | None = None,
    formats: dict[str, str] | None = None,
    folder: str = "inbox",
) -> Mapping:
    """A mapping of columns (field by column name; every field from the column of its name, where it is None)."""
    columns = columns or {field.field_name: field.field_name for field in entity_type.fields}
    structure = [
        {"columnName": column, "propertyName": name, "customFormatSpecifier": (formats or {}).get(name)}
        for column, name in columns.items()
    ]
    return Mapping.from_request(
        {
            "entityType": entity_type.kind.value,
            "entityTypeName": "People",
            "mappingProperties": {
                "folderPath": folder,
                "errorManagement": {"errorManagementType": "RejectAndContinue"},
                "format": form or {},
                "structure": structure,
            },
        }
    )


def typer_of(entity_type: EntityType, mapping: Mapping, header: list[str], path: str = PATH) -> RowTyper:
    return RowTyper(entity_type, mapping, header, path, RUN, ORDER, NOW, Settings())


def type_file(
    typer: RowTyper, header: list[str], rows: list[list[str]], batch_rows: int = 1000, window_bytes: int = 1 << 20
) -> tuple[list[dict[str, Any]], list[Reject]]:
    """The typed rows and the rejects of a file of these cells; the header is line 1."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows([header, *rows])
    reader = read_csv([text.getvalue().encode()], CsvDialect(), batch_rows=batch_rows, window_bytes=window_bytes)
    assert reader.read_header() == header
    typed: list[dict[str, Any]] = []
    rejects: list[Reject] = []
    for batch in reader:
        assert not batch.rejects
        result = typer.type(batch)
        typed += result.table.to_pylist()
        rejects += result.rejects
    assert len(typed) + len(rejects) == len(rows)
    return typed, rejects


def type_cells(typer: RowTyper, cells: list[str]) -> list[tuple[Any, str | None]]:
    """The value or the reject's code of each cell of the column `value`; the typer's header is `id`, `value`."""
    typed, rejects = type_file(typer, ["id", "value"], [[str(row), cell] for row, cell in enumerate(cells)])
    found: dict[int, tuple[Any, str | None]] = {int(row["_key"]): (row["value"], None) for row in typed}
    for reject in rejects:
        found[int(reject.raw.split('"')[1])] = (None, reject.code)
    return [found[row] for row in range(len(cells))]
