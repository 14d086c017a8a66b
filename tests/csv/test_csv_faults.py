"""One fault of each kind, first, in the middle and last, next to quoted line ends, and at the edges of windows."""

import pytest

from shared.domain.csv_dialect import CsvDialect
from tests.csv.csv_cases import read_fast
from tests.thorough import THOROUGH

HEADER = b"id,name,city,amount,joined"
PLAIN = b"%d,Ada,Paris,12.50,2026-01-31"
QUOTED = b'%d,"A ""d""\na, ",Paris,"12\r\n.50","2026\r-01"'

# Kind: the dirty line, and the codes that may be told, with the column.
FAULTS: dict[str, tuple[bytes, set[str], str | None]] = {
    "cell too few": (b"17,Ada,Paris,12.50", {"RowWidth"}, None),
    "cell too many": (b"17,Ada,Paris,12.50,2026-01-31,x", {"RowWidth"}, None),
    "unquoted delimiter": (b"17,Ada,Paris, France,12.50,2026-01-31", {"RowWidth"}, None),
    "trailing delimiter": (b"17,Ada,Paris,12.50,2026-01-31,", {"RowWidth"}, None),
    # Where it is told depends on what follows: a later quote, the end of the file, or too many lines.
    "stray opening quote": (
        b'17,"Ada,Paris,12.50,2026-01-31',
        {"TextAfterQuote", "UnclosedQuote", "QuotedCellTooLong"},
        "name",
    ),
    "stray quote in the last cell": (
        b'17,Ada,Paris,12.50,"2026',
        {"TextAfterQuote", "UnclosedQuote", "QuotedCellTooLong"},
        "joined",
    ),
    "quote inside a bare cell": (b'17,A"da,Paris,12.50,2026-01-31', {"BareQuote"}, "name"),
    "quote at the end of a bare cell": (b'17,Ada",Paris,12.50,2026-01-31', {"BareQuote"}, "name"),
    "quotes inside a bare cell": (b'17,A"d"a,Paris,12.50,2026-01-31', {"BareQuote"}, "name"),
    "text after a closing quote": (b'17,"Ada"x,Paris,12.50,2026-01-31', {"TextAfterQuote"}, "name"),
    "blank after a closing quote": (b'17,Ada,Paris,12.50,"2026" ', {"TextAfterQuote"}, "joined"),
    "quote that is not doubled": (b'17,"Ada "the" B",Paris,12.50,2026-01-31', {"TextAfterQuote"}, "name"),
    "backslash and quote": (b'17,"A\\"da",Paris,12.50,2026-01-31', {"TextAfterQuote"}, "name"),
    "blank before a quote": (b'17, "Ada",Paris,12.50,2026-01-31', {"BareQuote"}, "name"),
    "another delimiter": (b"17;Ada;Paris;12.50;2026-01-31", {"RowWidth"}, None),
    "bad byte": (b"17,Ad\xffa,Paris,12.50,2026-01-31", {"BadBytes"}, "name"),
    "cut character": (b"17,Ada,Paris,12.50,2026\xe2\x82", {"BadBytes"}, "joined"),
    "bad byte in quotes": (b'17,"Ad\xc3",Paris,12.50,2026-01-31', {"BadBytes"}, "name"),
    "NUL": (b"17,A\0da,Paris,12.50,2026-01-31", {"NulByte"}, "name"),
    "NUL in quotes": (b'"\0",Ada,Paris,12.50,2026-01-31', {"NulByte"}, "id"),
}


LINE_ENDS = (b"\n", b"\r\n", b"\r")
WINDOWS = (1 << 20, 256, 64)
NEIGHBOURS = (PLAIN, QUOTED)
CASES = [
    (kind, neighbour, line_end, window)
    for at_kind, kind in enumerate(FAULTS)
    for at_neighbour, neighbour in enumerate(NEIGHBOURS)
    for at_end, line_end in enumerate(LINE_ENDS)
    for at_window, window in enumerate(WINDOWS)
    # Any two of these together are in the ordinary run, and all four in a thorough one.
    if THOROUGH or (at_kind + at_neighbour + at_end + at_window) % len(WINDOWS) == 0
]


@pytest.mark.parametrize(("kind", "neighbour", "line_end", "window"), CASES)
def test_a_fault_costs_its_own_line(kind: str, neighbour: bytes, line_end: bytes, window: int) -> None:
    dirty, codes, column = FAULTS[kind]
    lines_of_neighbour = 1 + len(neighbour.splitlines()) - 1
    for before, after, last_end in ((0, 2, line_end), (3, 150, line_end), (40, 3, b""), (2, 0, line_end), (2, 0, b"")):
        good = [neighbour % number for number in range(before + after)]
        rows = [HEADER, *good[:before], dirty, *good[before:]]
        seen = read_fast(line_end.join(rows) + last_end, CsvDialect(), chunk=333, window_bytes=window)
        assert len(seen.rejects) == 1
        (reject,) = seen.rejects
        assert reject.line == 2 + before * lines_of_neighbour
        assert (reject.code in codes, reject.column) == (True, column)
        shown = dirty.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
        assert reject.raw == shown
        assert [cells[0] for _, cells in seen.rows] == [str(number) for number in range(before + after)]
        assert seen.raw == [row.decode() for row in good]


@pytest.mark.parametrize("padding", range(130))
def test_a_fault_at_the_edge_of_a_window(padding: int) -> None:
    """Rows are pushed byte by byte over the edge of the window and of the mask's words."""
    rows = [b"id,name", b"x" * padding + b",y", b'1,"a\r\n""b"', b'2,"c', b"3,\xff", b"", b'4,"",""', b'5,"d"']
    seen = read_fast(b"\r\n".join(rows), CsvDialect(), chunk=64, window_bytes=64)
    assert seen.rows[-2:] == [(3, ["1", 'a\r\n"b']), (9, ["5", "d"])]
    assert [fault[:2] for fault in seen.faults] == [(5, "TextAfterQuote"), (6, "BadBytes"), (8, "RowWidth")]
    assert seen.blank_lines == 1


@pytest.mark.parametrize("row", [PLAIN, QUOTED], ids=["plain", "quoted"])
def test_the_scan_goes_on_behind_a_fault_to_the_end_of_the_file(row: bytes) -> None:
    """All is in sight at once, and the windows behind the fault are smaller than what is left."""
    numbers = [number * number for number in range(3000)]  # of many lengths, or rows would fit windows exactly
    good = [row % number for number in numbers]
    dirty = b'17,"Ada"x,Paris,12.50,2026-01-31'
    seen = read_fast(b"\n".join([HEADER, *good[:1000], dirty, *good[1000:]]), CsvDialect(), chunk=1 << 20)
    assert [fault[0] for fault in seen.faults] == [2 + 1000 * len(row.splitlines())]
    assert [cells[0] for _, cells in seen.rows] == list(map(str, numbers))


def test_every_row_broken_is_read_in_linear_time() -> None:
    """A quote opens on every line and is closed on the next; each row is looked at a bounded number of times."""
    rows = 20_000
    seen = read_fast(b"id,name\n" + b'1,"a\n' * rows, CsvDialect(), chunk=1 << 20)
    assert [fault[0] for fault in seen.faults] == list(range(2, rows + 2))
    assert not seen.rows
