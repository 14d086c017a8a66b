"""Public corpora, where they lie beside the project: legal files with their truth, and broken ones."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from honesty.draft import DirtyFile, TrueRow
from honesty.table import mapping_of
from shared.connectors.azure_blob.reader import read_rows
from shared.domain.documents.entity_types import InteractionType
from shared.domain.errors import DataError
from shared.settings import Settings

BESIDE = Path(__file__).parents[2] / "shared" / "corpora"


@dataclass(frozen=True, slots=True)
class Declared:
    """How files without truth are declared."""

    form: dict[str, Any] = field(default_factory=dict)
    has_header: bool = True


# What the files are; the rest is read as plain CSV.
_DIALECTS = {
    "smallpop-colon.csv": Declared({"columnDelimiter": ":"}),
    "smallpop-no-headers.csv": Declared(has_header=False),
    "strange.csv": Declared({"columnDelimiter": ";", "quoteEscapeCharacter": "\\"}, has_header=False),
    "uspop-latin1.csv": Declared({"encoding": "latin-1"}),
}
_FUZZED = (Declared(), Declared({"columnDelimiter": ";", "bareQuotes": "Literal"}, has_header=False))


def corpora_folder() -> Path | None:
    """`$CORPORA`, or the folder beside the project; None where there is none."""
    folder = Path(os.environ.get("CORPORA") or BESIDE)
    return folder if folder.is_dir() else None


def legal_files(folder: Path) -> Iterator[DirtyFile]:
    """csv-spectrum: each file with the rows that it says."""
    for path in sorted(folder.glob("csv-spectrum/csvs/*.csv")):
        expected = json.loads((path.parents[1] / "json" / f"{path.stem}.json").read_text(encoding="utf-8"))
        columns = list(expected[0]) if expected else []
        # The stored files have LF where some of their JSON still says CRLF.
        rows = [tuple(value.replace("\r\n", "\n") or None for value in row.values()) for row in expected]
        yield _texts("csv-spectrum", path, Declared(), columns, [TrueRow(row, 0, 0) for row in rows])


def other_files(folder: Path) -> Iterator[DirtyFile]:
    """Files without truth, each in the ways it is declared: they must be read without trouble."""
    for name in ("rust-csv", "arrow-fuzz", "duckdb-fuzz"):
        for path in sorted(folder.glob(f"{name}/**/*")):
            if not path.is_file() or path.suffix == ".md":
                continue
            dialects = _FUZZED if name.endswith("-fuzz") else (_DIALECTS.get(path.name, Declared()),)
            for declared in dialects:
                yield _texts(name, path, declared, _columns(path.read_bytes(), declared), [])


def _columns(data: bytes, declared: Declared) -> list[str]:
    """Columns that a mapping can name; of a file whose header cannot be read, one that is not there."""
    mapping = mapping_of(declared.form, has_header=declared.has_header)
    try:
        header = read_rows([data], mapping, Settings(), gzipped=False).read_header()
    except DataError:
        header = None
    return [name for name, times in Counter(header or []).items() if times == 1 and name.strip()] or ["none"]


def _texts(kind: str, path: Path, declared: Declared, columns: list[str], rows: list[TrueRow]) -> DirtyFile:
    """A file whose columns are all read as text."""
    fields = [f"field{number}" for number in range(len(columns))]
    entity_type = InteractionType.from_request(
        {"fields": [{"fieldName": name, "fieldType": "Edm.String"} for name in fields]}
    )
    mapping = mapping_of(
        declared.form, has_header=declared.has_header, columns=columns, fields=fields, kind="Interaction"
    )
    return DirtyFile(kind, path.name, path.read_bytes(), mapping, rows, [], entity_type=entity_type)
