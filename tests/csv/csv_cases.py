"""CSV texts for property tests, clean ones and dirty ones, and what a reader makes of them."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st

from shared.csv.explain_row import LINE_END, CarefulReader
from shared.csv.read_csv import BATCH_ROWS, WINDOW_BYTES, read_csv
from shared.domain.csv_dialect import CsvDialect, CsvLimits
from shared.domain.errors import DataError
from shared.domain.reject import Reject
from tests.csv import oracle

WINDOWS = st.sampled_from([64, 65, 80, 100, 128, 257, 1024, 1 << 20])
CHUNKS = st.integers(1, 300)
CELLS = st.text(
    alphabet=st.one_of(
        st.sampled_from([*"ab ,;|\\t\"'\n\r0é山😀\u2028\ufeff"]),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=12,
)
FAST = st.builds(
    CsvDialect,
    delimiter=st.sampled_from([",", ";", "|", "\t", " ", "\x01"]),
    quote=st.sampled_from(['"', "'"]),
    escape=st.just(""),
)
DIALECTS = st.one_of(
    FAST,
    st.builds(
        CsvDialect,
        delimiter=st.sampled_from([",", ";", "||", "§", "<==>"]),
        quote=st.sampled_from(['"', "'", "“"]),
        escape=st.sampled_from(["", "\\", '"', "'"]),
        bare_quotes=st.sampled_from(["Reject", "Literal"]),
    ),
    st.builds(CsvDialect, delimiter=st.sampled_from([",", "~~"]), quote=st.just("")),
    st.builds(
        CsvDialect,
        delimiter=st.sampled_from([",", "|"]),
        quote=st.sampled_from(['"', '"', "'", ""]),
        skip_rows=st.integers(0, 3),
        comment=st.sampled_from(["#", "#", "0", "§", ""]),
    ),
)
LIMITS = st.sampled_from(
    [
        CsvLimits(),
        CsvLimits(max_row_lines=2),
        CsvLimits(max_field_bytes=9),
        CsvLimits(max_row_bytes=40, max_row_lines=3),
        CsvLimits(max_row_bytes=70, max_field_bytes=20),
    ]
)

# What may stand in a line that is no row.
OTHER_LINES = st.sampled_from(["", "x", 'said "yes', '","', ',"', '"', "'", ",,,,", '""",', "é" * 70])


@dataclass
class Read:
    """What a reader made of a file, in the oracle's words."""

    header: list[str] | None = None
    rows: list[tuple[int, list[str | None]]] = field(default_factory=list)
    faults: list[tuple[int, str, str | None]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    blank_lines: int = 0
    comments: int = 0
    skipped: int = 0
    header_fault: str | None = None
    batches: int = 0


def in_chunks(data: bytes, size: int) -> Iterable[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read_fast(
    data: bytes,
    dialect: CsvDialect,
    limits: CsvLimits | None = None,
    *,
    chunk: int = 1 << 16,
    gzipped: bool = False,
    window_bytes: int = WINDOW_BYTES,
    batch_rows: int = BATCH_ROWS,
) -> Read:
    """Reads with the product's reader, and checks its counters against what it gave out."""
    reader = read_csv(
        in_chunks(data, chunk), dialect, limits, gzipped=gzipped, window_bytes=window_bytes, batch_rows=batch_rows
    )
    seen = Read()
    try:
        seen.header = reader.read_header()
    except DataError as error:
        seen.header_fault = error.code
        return seen
    for batch in reader:
        seen.batches += 1
        columns = [column.to_pylist() for column in batch.cells.columns]
        assert batch.cells.num_rows == len(batch.lines)
        assert not batch.lines.size or batch.cells.column_names == seen.header
        seen.rows += zip(batch.lines.tolist(), map(list, zip(*columns, strict=True)), strict=True)
        seen.raw += [batch.raw(row) for row in range(len(batch.lines))]
        seen.rejects += batch.rejects
    seen.faults = [(reject.line, reject.code, reject.column) for reject in seen.rejects]
    seen.blank_lines, seen.comments, seen.skipped = reader.blank_lines, reader.comment_lines, reader.skipped_lines
    assert (reader.rows, reader.rejected) == (len(seen.rows), len(seen.rejects))
    return seen


def read_carefully(data: bytes, dialect: CsvDialect, limits: CsvLimits) -> Read:
    """Reads with nothing but the careful reader; the whole file is in sight."""
    careful = CarefulReader(dialect, limits)
    seen = Read()
    width: int | None = None
    at, line = 0, 1
    while at < len(data) and seen.skipped < dialect.skip_rows:
        at, line, seen.skipped = next_line(data, at), line + 1, seen.skipped + 1
    while at < len(data):
        if dialect.comment and data.startswith(dialect.comment.encode(), at):
            at, line, seen.comments = next_line(data, at), line + 1, seen.comments + 1
            continue
        if blank := LINE_END.match(data, at):
            at, line, seen.blank_lines = blank.end(), line + 1, seen.blank_lines + 1
            continue
        row = careful.read(data, at, at_end=True, width=width)
        assert row is not None
        if width is None and not dialect.has_header and not (row.fault and row.fault.first_line_only):
            width = len(row.cells)
            seen.header = [f"column{number}" for number in range(1, width + 1)]
        if width is None and dialect.has_header:
            if row.fault:
                seen.header_fault = "TooManyColumns" if row.fault.code == "TooManyColumns" else "UnreadableHeader"
                return seen
            seen.header, width = [cell.decode() for cell in row.cells], len(row.cells)
        elif row.fault:
            cell = row.fault.cell
            seen.faults.append((line, row.fault.code, column_of(seen.header, cell)))
        else:
            seen.rows.append((line, [cell.decode() or None for cell in row.cells]))
        at, line = row.after, line + row.lines
        if row.unfinished:
            at = next_line(data, at)
    return seen


def next_line(data: bytes, at: int) -> int:
    found = LINE_END.search(data, at)
    return found.end() if found else len(data)


def column_of(header: list[str] | None, cell: int | None) -> str | None:
    """Name of the column that a reject carries. Before the columns are known, they are numbered."""
    if cell is None:
        return None
    if header is None:
        return f"column{cell + 1}"
    return header[cell] if cell < len(header) else None


def assert_said(seen: Read, said: oracle.Said) -> None:
    if said.header_fault is not None:
        expected = "TooManyColumns" if said.header_fault == "TooManyColumns" else "UnreadableHeader"
        assert seen.header_fault == expected
        return
    assert seen.header_fault is None
    assert (seen.header or None) == said.header
    assert seen.rows == said.rows
    faults = [
        (line, code, column_of(said.header if line >= said.header_line else None, cell))
        for line, code, cell in said.faults
    ]
    assert seen.faults == faults
    assert (seen.blank_lines, seen.comments, seen.skipped) == (said.blank_lines, said.comments, said.skipped)


@st.composite
def clean_files(draw: st.DrawFn) -> tuple[CsvDialect, bytes, list[list[str]]]:
    """A legal file of any dialect, with the rows that are in it."""
    dialect = draw(DIALECTS)
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    width = draw(st.integers(1, 5))
    rows = draw(st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=30))
    # Long enough to come back from the careful reader to the scan.
    rows = rows * draw(st.sampled_from([1, 1, 2, 8]))
    if not dialect.quote:
        rows = [[plain(cell, dialect) for cell in row] for row in rows]
        rows = [row for row in rows if not (dialect.comment and row[0].startswith(dialect.comment))]
        rows = [row for row in rows if row != [""]]  # without quotes it would be a blank line
    quote_all = draw(st.booleans())
    text = "".join(draw(OTHER_LINES) + line_end for _ in range(dialect.skip_rows))
    text += dialect.delimiter.join(f"h{number}" for number in range(width)) + line_end
    for row in rows:
        if draw(st.integers(0, 9)) == 0:
            text += draw(st.sampled_from(["\n", "\r\n", "\r"]))
        if dialect.comment and draw(st.integers(0, 4)) == 0:
            text += dialect.comment + draw(OTHER_LINES) + line_end
        looks_like_comment = dialect.comment != "" and row[0].startswith(dialect.comment)
        quoted = quote_all or row == [""] or looks_like_comment
        text += dialect.delimiter.join(written(cell, dialect, quoted) for cell in row)
        text += line_end
    if len(rows) > 0 and draw(st.booleans()):
        text = text[: -len(line_end)]
    return dialect, text.encode(), rows


def plain(cell: str, dialect: CsvDialect) -> str:
    return "".join(char for char in cell if char not in f"\r\n{dialect.delimiter}")


def written(cell: str, dialect: CsvDialect, quoted: bool) -> str:
    quote, escape = dialect.quote, dialect.escape or dialect.quote
    if not quote or not (quoted or any(char in cell for char in f"\r\n{quote}{dialect.delimiter}")):
        return cell
    if escape != quote:
        cell = cell.replace(escape, escape * 2)
    return quote + cell.replace(quote, escape + quote) + quote


@st.composite
def dirty_files(draw: st.DrawFn) -> tuple[CsvDialect, bytes]:
    """A legal file in which up to five times some bytes were put in, lost or replaced; its header mostly stands."""
    dialect, data, _ = draw(clean_files())
    spoiled = bytearray(data)
    header = LINE_END.search(data)
    start = header.end() if header and draw(st.integers(0, 9)) else 0
    delimiter, quote, escape = (token.encode() for token in (dialect.delimiter, dialect.quote, dialect.escape))
    pieces = [delimiter, quote, quote, quote * 2, escape, escape + quote, delimiter + quote, quote + delimiter]
    pieces += [b"\n", b"\n\n", b"\r", b"\n" * 9, b"\0", b"\xff", b"\xe2\x82", b"x", b" ", b"\xef\xbb\xbf", b"y" * 25]
    pieces += [b"#", b"\n#", b'\n#"', b'\r#,"x', b'\n#""",\n']
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(start, max(start, len(spoiled))))
        piece = draw(st.sampled_from(pieces))
        lost = draw(st.sampled_from([0, 0, 1, len(piece)]))
        spoiled[at : at + lost] = piece
    if draw(st.integers(0, 9)) == 0:
        dialect = replace(dialect, has_header=False)
    return dialect, bytes(spoiled)
