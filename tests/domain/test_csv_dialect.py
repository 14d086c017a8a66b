"""A dialect that no file can have is refused when it is made."""

import pytest

from shared.domain.csv_dialect import CsvDialect


@pytest.mark.parametrize(
    "declared",
    [
        {"delimiter": ""},
        {"delimiter": "\n"},
        {"delimiter": 'a"'},
        {"delimiter": "\0"},
        {"delimiter": "\\", "escape": "\\"},
        {"quote": "''"},
        {"quote": "\r"},
        {"quote": ",", "delimiter": ","},
        {"escape": "ab"},
    ],
    ids=str,
)
def test_it_is_refused(declared: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"delimiter|quote|encoding"):
        CsvDialect(**declared)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"delimiter": "\t", "quote": "'"},
        {"delimiter": "||", "quote": "", "escape": '"'},
        {"delimiter": "\\", "quote": "", "escape": "\\"},
        {"encoding": "UTF_16"},
        {"encoding": "latin-1"},
        {"encoding": "shift_jis"},
    ],
    ids=str,
)
def test_it_is_taken(declared: dict[str, str]) -> None:
    dialect = CsvDialect(**declared)  # type: ignore[arg-type]
    assert all(getattr(dialect, name) == value for name, value in declared.items())
