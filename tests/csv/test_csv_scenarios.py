"""Each folder in `scenarios` is one kind of file: what it holds, how it is declared, and what must come out."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.csv.read_csv import read_csv
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from shared.domain.errors import DataError
from tests.csv.csv_cases import read_fast

SCENARIOS = sorted(Path(__file__).parent.glob("scenarios/*"))
# One whole window, windows with a few rows, and windows that no row fits into.
WINDOWS = [1 << 20, 128, 16]


def load(scenario: Path) -> tuple[bytes, CsvDialect, CsvLimits, bool, dict[str, Any]]:
    (source,) = scenario.glob("input.*")
    declared = json.loads((scenario / "dialect.json").read_text(encoding="utf-8"))
    limits = CsvLimits(**declared.pop("limits", {}))
    expected = json.loads((scenario / "expected.json").read_text(encoding="utf-8"))
    return source.read_bytes(), CsvDialect(**declared), limits, source.suffix == ".gz", expected


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda path: path.name)
def test_a_scenario_comes_out_as_written(scenario: Path, window: int) -> None:
    data, dialect, limits, gzipped, expected = load(scenario)
    if code := expected.get("error"):
        with pytest.raises(DataError) as refused:
            list(read_csv([data], dialect, limits, gzipped=gzipped, window_bytes=window))
        assert refused.value.code == code
        return
    seen = read_fast(data, dialect, limits, chunk=100, gzipped=gzipped, window_bytes=window)
    assert seen.header == expected["header"]
    assert [{"line": line, "cells": cells} for line, cells in seen.rows] == expected["rows"]
    rejects = [
        {"line": reject.line, "column": reject.column, "code": reject.code, "raw": reject.raw}
        for reject in seen.rejects
    ]
    assert rejects == expected["rejects"]
    assert seen.blank_lines == expected.get("blankLines", 0)
