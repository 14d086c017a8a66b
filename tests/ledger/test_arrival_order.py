"""The places of blob versions: later ones have higher places, whatever announced them."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.arrival_order import ArrivalOrder

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SEQUENCERS = st.integers(0, 2**26 - 1).map(lambda number: f"{0x442 << 64 | number:048x}")


@given(st.lists(st.tuples(st.integers(0, 3), SEQUENCERS), min_size=2, max_size=30))
def test_announced_ones_stand_by_second_and_sequencer(versions: list[tuple[int, str]]) -> None:
    arrivals = ArrivalOrder()
    places = [arrivals.position(NOON + timedelta(seconds=second), sequencer) for second, sequencer in versions]
    assert sorted(range(len(versions)), key=lambda n: (versions[n], n)) == sorted(
        range(len(versions)), key=lambda n: (places[n], n)
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=2, max_size=30))
def test_those_that_come_one_after_the_other_stand_so(steps: list[tuple[int, bool]]) -> None:
    """Each is taken before the next is uploaded, be it found by listing or announced."""
    arrivals, moment, places = ArrivalOrder(), NOON, []
    for number, (seconds, is_announced) in enumerate(steps):
        moment += timedelta(seconds=seconds)
        places.append(arrivals.position(moment, f"{1000 + number:x}" if is_announced else None))
    assert places == sorted(set(places))
    assert max(places) < 2**63


def test_a_sequencer_that_is_none_is_no_matter() -> None:
    arrivals = ArrivalOrder()
    first = arrivals.position(NOON, "not hexadecimal")
    assert arrivals.position(NOON, None) == first + 1
