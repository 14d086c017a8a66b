"""The dirty files: each kind at the first row, in the middle, at the last row, between quoted line ends, and across the
edge of a read window; then pairs of kinds. The same seed gives the same files."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle

from honesty.draft import DirtyFile, Draft, Piece
from honesty.file_kinds import FileKind
from honesty.row_kinds import LARGE, ROW_KINDS, RowKind
from honesty.table import NAMES, Record, Style, records, with_line_end
from shared.csv.read_csv import WINDOW_BYTES

ROWS = 120
# Row that the edge of the window goes through. Those before it are stretched, and none of them near a limit.
_AT_EDGE = 20
_LINE_ENDS = (b"\n", b"\r\n", b"\r")
_EDGES = 2


def row_files(kind: RowKind, seed: int) -> Iterator[DirtyFile]:
    """Files with one fault of the kind."""
    rng, ends = _chance(seed, kind.name)
    for at, place in ((0, "first"), (ROWS // 2, "middle"), (ROWS - 1, "last")):
        if kind.at_end_only and place != "last":
            continue
        yield _row_file(kind, rng, place, at, next(ends), quoted=False)
        yield _row_file(kind, rng, f"{place}, beside quoted line ends", at, next(ends), quoted=True)
    for part in range(_EDGES if kind not in LARGE else 0):
        yield _edge_file(kind, rng, part, next(ends))


def file_files(kind: FileKind, seed: int) -> Iterator[DirtyFile]:
    """Files of the kind, without and with cells that are quoted."""
    rng, ends = _chance(seed, kind.name)
    yield _whole_file(kind, rng, "plain", next(ends))
    yield _whole_file(kind, rng, "quoted", next(ends))
    for part in range(_EDGES if kind.refusal is None else 0):
        yield _whole_file(kind, rng, "edge", next(ends), part)


def pair_files(seed: int, number: int, count: int) -> Iterator[DirtyFile]:
    """Two faults in each file: side by side, a few rows apart, or far from each other.

    Args:
        number: of this lot of pairs.
        count: files in it.
    """
    rng, _ = _chance(seed, f"pairs {number}")
    kinds = [kind for kind in ROW_KINDS if not kind.at_end_only and not kind.form and kind.style == Style()]
    for _ in range(count):
        one, other = rng.sample(kinds, 2)
        first = rng.randrange(ROWS - 1)
        second = min(ROWS - 1, first + rng.choice((1, 1, 2, 5, ROWS)))
        rows = records(rng, ROWS, quoted=rng.random() < 0.5)
        pieces = _pieces(rows, Style(), {first: one, second: other})
        draft = Draft(Style(), pieces, line_ends=(rng.choice(_LINE_ENDS),), ends=rng.random() < 0.7)
        yield draft.finish("pairs of kinds", f"{one.name} in row {first}, {other.name} in row {second}")


def _chance(seed: int, name: str) -> tuple[random.Random, Iterator[bytes]]:
    """Chance that is the same each time, and line ends by turns."""
    rng = random.Random(f"{seed} {name}")
    first = rng.randrange(len(_LINE_ENDS))
    return rng, cycle(_LINE_ENDS[first:] + _LINE_ENDS[:first])


def _row_file(kind: RowKind, rng: random.Random, place: str, at: int, end: bytes, *, quoted: bool) -> DirtyFile:
    rows = _table(rng, [at - 1, at + 1] if quoted else [], quoted=quoted)
    draft = _draft(kind, _pieces(rows, kind.style, {at: kind}), end)
    draft.ends = not kind.at_end_only and (place != "last" or rng.random() < 0.5)
    return draft.finish(kind.name, place)


def _edge_file(kind: RowKind, rng: random.Random, part: int, end: bytes) -> DirtyFile:
    """The edge of the first window goes through the dirty lines: somewhere inside, and at their end."""
    rows = _table(rng, [_AT_EDGE - 1, _AT_EDGE + 1] if part % 2 else [], quoted=part % 2 == 1)
    if kind.at_end_only:
        rows = rows[: _AT_EDGE + 1]
    draft = _draft(kind, [], end)
    draft.pieces = _pieces(rows, kind.style, {_AT_EDGE: kind})
    dirty = _dirty(kind, rows[_AT_EDGE], kind.style, last=kind.at_end_only)
    # Lines that were put in come with a row that is not spoilt: the edge goes through the lines.
    last = max((number for number, piece in enumerate(dirty) if piece.spots), default=len(dirty) - 1)
    size = len(draft.text(dirty[: last + 1]))
    rows[:_AT_EDGE] = _stretched(draft, rng, rows[:_AT_EDGE], (rng.randrange(1, size - 1), size - 1)[part])
    draft.pieces = _pieces(rows, kind.style, {_AT_EDGE: kind})
    draft.ends = not kind.at_end_only
    return draft.finish(kind.name, f"edge {part}")


def _whole_file(kind: FileKind, rng: random.Random, place: str, end: bytes, part: int = 0) -> DirtyFile:
    quoted = place != "plain"
    rows = _table(rng, [0, _AT_EDGE, ROWS - 1] if quoted else [], kind.names, quoted=quoted)
    rows = rows[: kind.at_most]
    draft = _draft(kind, [], end)
    if place == "edge":
        size = len(kind.style.row(rows[_AT_EDGE]))
        rows[:_AT_EDGE] = _stretched(draft, rng, rows[:_AT_EDGE], (rng.randrange(1, size), size + 1)[part])
    draft.pieces = _pieces(rows, kind.style, {})
    kind.change(draft)
    return draft.finish(kind.name, f"{place} {part}", kind.refusal, kind.spoil_bytes)


def _table(rng: random.Random, broken: list[int], names: Sequence[str] = NAMES, *, quoted: bool) -> list[Record]:
    """The clean rows; those at `broken` have a line end in a cell."""
    rows = records(rng, ROWS, quoted=quoted, names=names)
    for at in broken:
        if 0 <= at < ROWS:
            rows[at] = with_line_end(rows[at], rng.choice(("\n", "\r\n", "\r")))
    return rows


def _draft(kind: RowKind | FileKind, pieces: list[Piece], end: bytes) -> Draft:
    joined_format = kind.style.date_format if kind.style.date_format != Style().date_format else None
    return Draft(kind.style, pieces, line_ends=(end,), form=dict(kind.form), joined_format=joined_format)


def _pieces(rows: Sequence[Record], style: Style, spoiled: dict[int, RowKind]) -> list[Piece]:
    pieces: list[Piece] = []
    for number, record in enumerate(rows):
        kind = spoiled.get(number)
        if kind is None:
            pieces.append(Piece(style.row(record), record.values))
        else:
            pieces += _dirty(kind, record, style, last=number == len(rows) - 1)
    return pieces


def _dirty(kind: RowKind, record: Record, style: Style, *, last: bool) -> list[Piece]:
    """Dirty lines and what belongs to them; lines that are no row come before the row, at the end behind it."""
    pieces = kind.spoil(record, style)
    return pieces[::-1] if last else pieces


def _stretched(draft: Draft, rng: random.Random, rows: list[Record], offset: int) -> list[Record]:
    """Rows stretched so that the window ends at `offset` of what follows them.

    The first window begins behind the header.
    """
    rows = [replace(record, city="x") for record in rows]
    size = len(draft.text(_pieces(rows, draft.style, {}), len(draft.head)))
    missing = WINDOW_BYTES - offset - size
    each, rest = divmod(missing, len(rows))
    sizes = [1 + each + (rest if number == 0 else 0) for number in range(len(rows))]
    # No run of equal letters: it would go over the limit of gzip files.
    return [replace(row, city=rng.randbytes(size // 2 + 1).hex()[:size]) for row, size in zip(rows, sizes, strict=True)]
