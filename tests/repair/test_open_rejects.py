"""The lines of rejected rows, out of their file as it comes."""

import csv
import io
import time
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.repair.open_rejects import lines_in_pieces

RAWS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(raws=st.lists(RAWS, max_size=8), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_wherever_the_pieces_end(raws: list[str], cuts: list[int]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("line", "raw"), *enumerate(raws, 2)])
    content = text.getvalue().encode()
    ends = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    pieces = [content[start:end] for start, end in pairwise(ends)]
    assert lines_in_pieces(pieces).tolist() == list(range(2, len(raws) + 2))


def test_a_cell_of_many_lines_costs_no_more_than_one_of_as_many_letters() -> None:
    """About: the parts of the work that go by lines are those of the library."""

    def seconds(raw: str) -> float:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([("line", "raw"), *((line, raw) for line in range(2, 200))])
        pieces = [text.getvalue().encode()]
        began = time.thread_time()
        assert lines_in_pieces(pieces).size == 198
        return time.thread_time() - began

    seconds("x")
    assert seconds("\n" * 20_000) < 30 * seconds("x" * 20_000) + 0.2
