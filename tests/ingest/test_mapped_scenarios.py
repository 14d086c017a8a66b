"""Each folder in `scenarios` is a file with a type and a mapping: what staging makes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.casts.type_rows import RowTyper
from shared.connectors.azure_blob.reader import read_rows
from shared.domain.documents.entity_types import EntityType, InteractionType, ProfileType
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import DataError, HubError
from shared.domain.reject import Reject
from shared.ingest.lines_apart import LinesApart
from shared.ingest.reject_file import RejectFile
from shared.ingest.stage import header_of, typed_rows
from shared.settings import Settings
from tests.casts.typing_cases import NOW, RUN

SCENARIOS = sorted(Path(__file__).parent.glob("scenarios/*"))


def definitions(declared: dict[str, Any]) -> tuple[EntityType, Mapping]:
    fields, keys = declared["fields"], declared["key"]
    entity_type: EntityType
    if declared["kind"] == "Profile":
        strong_ids = [{"strongIdName": "ById", "keyPropertyNames": keys}]
        entity_type = ProfileType.from_request({"fields": fields, "strongIds": strong_ids})
    else:
        entity_type = InteractionType.from_request({"fields": fields, "idPropertyNames": keys})
    properties = declared["mappingProperties"]
    mapping = Mapping.from_request(
        {"entityType": declared["kind"], "entityTypeName": "Thing", "mappingProperties": properties}
    )
    return entity_type, mapping


def outcome(scenario: Path, folder: Path) -> dict[str, Any]:
    declared = json.loads((scenario / "mapping.json").read_text(encoding="utf-8"))
    entity_type, mapping = definitions(declared)
    settings = Settings(**declared.get("settings", {}))
    rows: list[list[str | None]] = []
    rejects: list[Reject] = []
    try:
        data = (scenario / "input.csv").read_bytes()
        reader = read_rows([data] if data else [], mapping, settings, gzipped=False)
        header = header_of(reader)
        with (
            RejectFile(folder / "rejects.csv", mapping.mapping_properties.error_management) as written,
            RowTyper(entity_type, mapping, header, "a.csv", RUN, 7, NOW, settings) as typer,
            typed_rows(iter(reader), LinesApart(reader, typer)) as typed,
        ):
            for table, refused in typed:
                written.add(refused)
                rejects += refused
                for row in table.select([field.field_name for field in entity_type.fields]).to_pylist():
                    rows.append([None if value is None else plain(value) for value in row.values()])
    except HubError as error:
        return {"refusal": error.code}
    found = [{"line": each.line, "column": each.column, "code": each.code} for each in rejects]
    return {"rows": rows, "rejects": sorted(found, key=lambda each: each["line"]), "ignored": typer.ignored_columns}


def plain(value: object) -> str:
    """Numbers without the zeros of their scale."""
    text = str(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_a_scenario_comes_out_as_written(scenario: Path, tmp_path: Path) -> None:
    expected = json.loads((scenario / "expected.json").read_text(encoding="utf-8"))
    assert outcome(scenario, tmp_path) == expected


def test_the_limits_of_a_file_are_settings() -> None:
    settings = Settings(max_field_bytes=1024, max_row_bytes=3000, max_columns=3)
    declared = json.loads((SCENARIOS[0] / "mapping.json").read_text(encoding="utf-8"))
    _, mapping = definitions(declared)
    cell = b"x" * 1024
    data = b"\n".join((b"a,b,c", cell + b"x,,", b",".join((cell, cell, cell)), b",".join((cell, cell, b""))))
    (batch,) = read_rows([data], mapping, settings, gzipped=False)
    assert [(reject.line, reject.code) for reject in batch.rejects] == [(2, "FieldTooLong"), (3, "RowTooLong")]
    assert batch.lines.tolist() == [4]
    with pytest.raises(DataError) as refused:
        read_rows([b"a,b,c,d\n"], mapping, settings, gzipped=False).read_header()
    assert refused.value.code == "TooManyColumns"
