"""The lines of rejected rows, out of their file as it comes."""

import csv
import io
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.repair.open_rejects import lines_in

RAWS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(raws=st.lists(RAWS, max_size=8), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_wherever_the_pieces_end(raws: list[str], cuts: list[int]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("line", "raw"), *enumerate(raws, 2)])
    content = text.getvalue().encode()
    ends = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    pieces = [content[start:end] for start, end in pairwise(ends)]
    assert lines_in(pieces).tolist() == list(range(2, len(raws) + 2))
