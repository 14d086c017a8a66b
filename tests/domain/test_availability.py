"""When a mapping is due: never twice, never skipped, on the calendar where it counts in months."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.documents.availability import Availability, Frequency
from shared.domain.errors import InvalidRequestError

START = datetime(2026, 1, 31, 8, 5, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("interval", "frequency", "after", "expected"),
    [
        (15, "Minute", START, START + timedelta(minutes=15)),
        (15, "Minute", START - timedelta(days=1), START),
        (15, "minute", START + timedelta(minutes=14, seconds=59), START + timedelta(minutes=15)),
        (15, "Minute", START + timedelta(minutes=15), START + timedelta(minutes=30)),
        (2, "Hour", START + timedelta(hours=9), START + timedelta(hours=10)),
        (1, "Day", START + timedelta(days=40, hours=1), START + timedelta(days=41)),
        (2, "Week", START + timedelta(days=13), START + timedelta(days=14)),
        (1, "Month", START, datetime(2026, 2, 28, 8, 5, 13, tzinfo=UTC)),
        (1, "Month", datetime(2026, 2, 28, 8, 5, 13, tzinfo=UTC), datetime(2026, 3, 31, 8, 5, 13, tzinfo=UTC)),
        (1, "Month", datetime(2028, 2, 1, tzinfo=UTC), datetime(2028, 2, 29, 8, 5, 13, tzinfo=UTC)),
        (5, "Month", START, datetime(2026, 6, 30, 8, 5, 13, tzinfo=UTC)),
        (5, "Month", datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 4, 30, 8, 5, 13, tzinfo=UTC)),
    ],
)
def test_the_next_time(interval: int, frequency: str, after: datetime, expected: datetime) -> None:
    availability = Availability.from_request({"interval": interval, "frequency": frequency})
    assert availability.next_after(START, after) == expected


@given(
    st.sampled_from(Frequency),
    st.integers(15, 1_000),
    st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 - made aware below
    st.timedeltas(timedelta(), timedelta(days=20_000)),
)
def test_every_time_comes_once_and_in_order(
    frequency: Frequency, interval: int, anchor: datetime, passed: timedelta
) -> None:
    anchor = anchor.replace(tzinfo=UTC)
    availability = Availability(interval=interval, frequency=frequency)
    moment = anchor + passed
    due = availability.next_after(anchor, moment)
    assert due > moment
    assert availability.next_after(anchor, due - timedelta(microseconds=1)) == due
    assert availability.next_after(anchor, due) > due


@pytest.mark.parametrize(
    "body", [{"interval": 14}, {"interval": 0, "frequency": "Day"}, {"interval": 1_201, "frequency": "Month"}]
)
def test_intervals_that_make_no_sense_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        Availability.from_request(body)
