"""Texts of others stand in a message by `shared.domain.shown` only, so that none is repeated whole."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]

# What `!r` may show: names that were checked before they could come here, and names of the app's own.
CHECKED = {
    "shared/casts/": {"entity_type.type_name", "field.field_name"},
    "shared/connectors/": {"account.name", "container", "path"},
    "shared/definitions/": {
        "account",
        "connector.connector_name",
        "container",
        "document.connector_name",
        "document.type_name",
        "entity.entity_name",
        "entity_type.type_name",
        "field.field_name",
        "hub",
        "kpi.kpi_name",
        "mapping.connector_mapping_name",
        "mapping.connector_name",
        "name",
        "names[-1]",
        "old.connector_name",
        "old.document.kpi_name",
        "old.document.type_name",
        "value",
    },
    "shared/domain/": {"entity_type.type_name", "self.field_name"},
    "shared/http/": {"ORIGIN", "entity_type.type_name", "hub", "name"},
    "shared/hub_records.py": {"name"},
    "shared/ingest/": {"found.document.type_name", "mapping.entity_type_name", "run.entity_type_name"},
    "shared/lake/": {"column.name"},
    "shared/outbound/": {"export.entity.name", "name"},
    "shared/repair/": {"LINE_COLUMN", "hub"},
    "shared/storage/": {"account.name", "name", "self.account", "self.container"},
}


def test_messages_quote_nothing_unchecked() -> None:
    found: dict[str, set[str]] = {folder: set() for folder in CHECKED}
    for path in sorted(ROOT.glob("shared/**/*.py")):
        place = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FormattedValue) and node.conversion == ord("r"):
                folder = next((folder for folder in CHECKED if place.startswith(folder)), place)
                found.setdefault(folder, set()).add(ast.unparse(node.value))
    assert found == CHECKED
