"""Rows that two stray quotes glue together: where the glued row is refused, the rows between are not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.casts.type_rows import RowTyper
from shared.connectors.azure_blob.reader import read_rows
from shared.domain.documents.entity_types import InteractionType
from shared.domain.documents.mappings import Mapping
from shared.domain.reject import Reject
from shared.ingest.lines_apart import LinesApart
from shared.ingest.stage import header_of, typed_rows
from shared.settings import Settings
from tests.casts.typing_cases import NOW, RUN
from tests.thorough import examples, only_thorough

KIND = InteractionType.from_request(
    {"fields": [{"fieldName": "Word", "fieldType": "Edm.String"}, {"fieldName": "Count", "fieldType": "Edm.Int32"}]}
)
MAPPING = Mapping.from_request(
    {
        "entityType": "Interaction",
        "entityTypeName": "Thing",
        "mappingProperties": {
            "folderPath": "inbox",
            "format": {"commentCharacter": "#"},
            "errorManagement": {"errorManagementType": "RejectAndContinue"},
            "structure": [
                {"propertyName": "Word", "columnName": "word"},
                {"propertyName": "Count", "columnName": "count"},
            ],
        },
    }
)


def read(text: str, encoding: str = "utf-8") -> tuple[list[tuple[int, int]], list[Reject]]:
    """Line and count of the rows, and the rejects."""
    reader = read_rows([text.encode(encoding)], MAPPING, Settings(), gzipped=False)
    rows: list[tuple[int, int]] = []
    rejects: list[Reject] = []
    with RowTyper(KIND, MAPPING, header_of(reader), "a.csv", RUN, 7, NOW, Settings()) as typer:
        apart = LinesApart(reader, typer)
        with typed_rows(iter(reader), apart) as typed:
            for table, refused in typed:
                rows += zip(table.column("_line").to_pylist(), table.column("Count").to_pylist(), strict=True)
                rejects += refused
    assert reader.rows + reader.rejected + apart.more == len(rows) + len(rejects)
    return rows, rejects


def lines(count: int, end: str, *strays: int) -> str:
    """Rows numbered from 1, with a quote before the number of the first, behind that of the second and so on."""
    cells = {number: f'"{number}' if at % 2 == 0 else f'{number}"' for at, number in enumerate(strays)}
    rows = [f"w{number},{cells.get(number, number)}" for number in range(1, count + 1)]
    return end.join(["word,count", *rows]) + end


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_only_the_rows_with_the_quotes_are_refused(end: str, encoding: str) -> None:
    rows, rejects = read(lines(1000, end, 5, 60), encoding)
    assert rows == [(number + 1, number) for number in range(1, 1001) if number not in {5, 60}]
    assert [(reject.line, reject.column, reject.code, reject.raw) for reject in rejects] == [
        (6, "count", "UnclosedQuote", 'w5,"5'),
        (61, "count", "BareQuote", 'w60,60"'),
    ]


@given(
    strays=st.lists(st.integers(1, 200), min_size=2, max_size=8, unique=True).map(sorted),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
@settings(max_examples=examples(60), deadline=None)
def test_whatever_is_glued_no_row_is_wrong_and_every_line_is_told(strays: list[int], end: str) -> None:
    rows, rejects = read(lines(200, end, *strays))
    assert all(line == number + 1 and number not in strays for line, number in rows)
    covered = {line for line, _ in rows}
    for reject in rejects:
        covered |= set(range(reject.line, reject.line + reject.raw.count(end) + 1))
    assert covered == set(range(2, 202))
    is_even = len(strays) % 2 == 0
    if is_even and all(after - before > 1 for before, after in zip(strays[::2], strays[1::2], strict=True)):
        assert len(rows) == 200 - len(strays)


@only_thorough
def test_a_file_that_is_glued_all_over_is_refused_row_by_row_in_the_end() -> None:
    glued = range(1, 6001, 3)
    rows, rejects = read(lines(6000, "\n", *(stray for first in glued for stray in (first, first + 2))))
    assert len(rows) == 1000
    assert len(rejects) == 2 * 1000 + 1000
    assert rejects[-1].message.endswith("by its quotes, the row goes on to line 6001")


def test_values_that_fit_are_one_cell() -> None:
    rows, rejects = read('word,count\n"a,1\nb,2\nc",3\n')
    assert rows == [(2, 3)]
    assert rejects == []


def test_a_glued_row_of_comments_alone_is_refused() -> None:
    rows, rejects = read('word,count\na,"1\n#b,2\n#c"\nd,4\n')
    assert rows == [(5, 4)]
    assert [(reject.line, reject.code) for reject in rejects] == [(2, "NotAnInteger")]
