"""The number that a log remembers of a blob version."""

from hypothesis import given
from hypothesis import strategies as st

from shared.lake.changes.arrival import Fence

FENCES = st.builds(Fence, st.integers(1, 2**38 - 1), st.integers(0, 2**23 - 1), st.booleans())


@given(fence=FENCES)
def test_a_fence_comes_back_as_it_was(fence: Fence) -> None:
    assert Fence.unpack(fence.pack()) == fence
    assert 0 < fence.pack() < 2**63


@given(one=FENCES, other=FENCES)
def test_numbers_ascend_as_fences_do(one: Fence, other: Fence) -> None:
    assert (one < other) == (one.pack() < other.pack())
