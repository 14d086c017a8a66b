"""The generator: the same files each time, every kind at every place, and a truth that a second hand confirms."""

import csv
import io
from collections.abc import Iterator
from itertools import pairwise

import pytest

from honesty import generate
from honesty.draft import LINE_END, DirtyFile
from honesty.file_kinds import DECLARED, FILE_KINDS, REFUSED, FileKind
from honesty.row_kinds import ROW_KINDS, RowKind
from honesty.run import KINDS
from shared.csv.read_csv import WINDOW_BYTES

EVERY: list[RowKind | FileKind] = [*KINDS, *FILE_KINDS]


def files(kinds: list[RowKind | FileKind], seed: int) -> Iterator[DirtyFile]:
    for kind in kinds:
        yield from generate.row_files(kind, seed) if isinstance(kind, RowKind) else generate.file_files(kind, seed)


def kind_named(name: str) -> RowKind | FileKind:
    return next(kind for kind in EVERY if kind.name == name)


def test_a_seed_gives_the_same_files_and_another_gives_others() -> None:
    kinds = [kind_named("06 stray opening quote"), kind_named("52 gzip")]
    first, again, other = (list(files(kinds, seed)) for seed in (1, 1, 2))
    assert [(file.data, file.rows, file.spots) for file in first] == [
        (file.data, file.rows, file.spots) for file in again
    ]
    assert all(one.data != two.data for one, two in zip(first, other, strict=True))
    assert list(generate.pair_files(1, 0, 3)) == list(generate.pair_files(1, 0, 3))
    assert list(generate.pair_files(1, 0, 3)) != list(generate.pair_files(1, 1, 3))


def test_there_are_the_kinds_that_count() -> None:
    names = [kind.name for kind in EVERY]
    assert len(names) == len(set(names))
    assert len({name[:2] for name in names}) >= 50


def test_every_kind_of_a_row_stands_at_every_place() -> None:
    places = [file.place for file in generate.row_files(ROW_KINDS[0], 1)]
    beside = [f"{place}, beside quoted line ends" for place in ("first", "middle", "last")]
    assert set(places) == {"first", "middle", "last", *beside, "edge 0", "edge 1"}
    assert {file.mapping.mapping_properties.has_header for file in generate.row_files(ROW_KINDS[0], 1)} == {True}


@pytest.mark.parametrize("name", ["01 cell too few", "15 bare line end in a value", "26 header again", "32 bad byte"])
def test_the_edge_of_the_first_window_goes_through_the_dirty_lines(name: str) -> None:
    kind = kind_named(name)
    assert isinstance(kind, RowKind)
    edges = [file for file in generate.row_files(kind, 1) if file.place.startswith("edge")]
    assert len(edges) == 2
    for file in edges:
        starts = line_starts(file.data)
        at_edge = sum(start <= starts[1] + WINDOW_BYTES for start in starts)
        assert file.spots[0].line <= at_edge <= file.spots[-1].line
        assert len(file.rows) == generate.ROWS


@pytest.mark.parametrize("name", ["00 clean", "30 columns in another order", "18 semicolons declared"])
def test_the_truth_of_a_legal_file_is_what_a_second_reader_reads(name: str) -> None:
    for file in files([kind_named(name)], 1):
        delimiter = file.mapping.mapping_properties.format.column_delimiter
        header, *rows = csv.reader(io.StringIO(file.data.decode(), newline=""), delimiter=delimiter)
        for row, true in zip(rows, file.rows, strict=True):
            cells = dict(zip(header, row, strict=True))
            assert (cells["id"], cells["name"], cells["city"] or None) == true.values[:3]


def test_faults_stand_on_the_lines_that_are_told() -> None:
    for file in generate.row_files(ROW_KINDS[0], 1):
        starts = [*line_starts(file.data), len(file.data)]
        lines = [file.data[start:end] for start, end in pairwise(starts)]
        (spot,) = file.spots
        assert lines[spot.line - 1].count(b",") == 4
        (spoilt,) = [row for row in file.rows if row.first == spot.line]
        assert lines[spot.line - 1].startswith(spoilt.values[0].encode())


def line_starts(data: bytes) -> list[int]:
    return [0, *(found.end() for found in LINE_END.finditer(data))]


@pytest.mark.lengthy
def test_files_to_be_refused_have_no_clean_rows_and_all_others_have_their_rows() -> None:
    for kind in REFUSED:
        assert all(not file.rows and file.refusal for file in generate.file_files(kind, 1))
    for file in files([kind for kind in DECLARED if not kind.name.startswith("49")], 1):
        assert (len(file.rows), file.refusal) == (generate.ROWS, None)
