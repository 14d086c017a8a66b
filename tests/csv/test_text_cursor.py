"""The cursor: what is in sight, and the physical line, whatever the pieces are."""

import pytest

from shared.csv.text_cursor import TextCursor
from shared.domain.errors import AccountingError


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_the_rest_of_a_line_is_skipped_to_its_end(line_end: bytes, size: int) -> None:
    text = b"xxxxxx" + line_end + b"next" + line_end
    cursor = TextCursor(text[start : start + size] for start in range(0, len(text), size))
    cursor.fill(1)
    cursor.skip_rest_of_line()
    cursor.fill(4)
    assert cursor.data[cursor.at : cursor.at + 4] == b"next"


def test_the_rest_of_the_last_line_ends_with_the_text() -> None:
    for text in (b"xx", b"xx\r", b"xx\n"):
        cursor = TextCursor([text[:1], text[1:]])
        cursor.skip_rest_of_line()
        assert cursor.left == 0


@pytest.mark.parametrize("size", [1, 2, 100])
def test_blank_lines_are_counted_and_skipped(size: int) -> None:
    text = b"\r\n\n\r\r\nx"
    cursor = TextCursor(text[start : start + size] for start in range(0, len(text), size))
    assert cursor.skip_to_row()
    assert (cursor.blank_lines, cursor.line, cursor.data[cursor.at :]) == (4, 5, b"x")
    cursor.move(len(cursor.data), 1)
    assert not cursor.skip_to_row()
    cursor.check_lines()
    assert cursor.bytes_read == len(text)


def test_a_line_that_is_lost_is_found_out() -> None:
    cursor = TextCursor([b"a\r", b"\nb\r", b"c"])
    cursor.fill(100)
    cursor.move(len(cursor.data), 3)
    cursor.check_lines()
    cursor.move(cursor.at, 1)
    with pytest.raises(AccountingError, match="4 lines were read where the file has 3"):
        cursor.check_lines()
