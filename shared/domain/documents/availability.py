"""How often a mapping's container is looked at (2017 `availability`)."""

from calendar import monthrange
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import Field as Property
from pydantic import model_validator

from shared.domain.documents.document import AnyCaseEnum, Document

_YEARS_AT_MOST = 100


class Frequency(AnyCaseEnum):
    """Unit of a mapping's interval."""

    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


_LENGTHS = {
    Frequency.MINUTE: timedelta(minutes=1),
    Frequency.HOUR: timedelta(hours=1),
    Frequency.DAY: timedelta(days=1),
    Frequency.WEEK: timedelta(weeks=1),
}
_LONGEST = {unit: timedelta(days=365 * _YEARS_AT_MOST) // length for unit, length in _LENGTHS.items()}
_LONGEST[Frequency.MONTH] = 12 * _YEARS_AT_MOST


class Availability(Document):
    """How often the container is looked at; at least 15 minutes, as in the old product."""

    interval: Annotated[int, Property(ge=1)]
    frequency: Frequency = Frequency.MINUTE

    @model_validator(mode="after")
    def _is_reasonable(self) -> Self:
        if self.frequency is Frequency.MINUTE and self.interval < 15:
            raise ValueError("the shortest interval is 15 minutes")
        if self.interval > _LONGEST[self.frequency]:
            raise ValueError(f"the longest interval is {_YEARS_AT_MOST} years")
        return self

    def next_after(self, anchor: datetime, moment: datetime) -> datetime:
        """The first of `anchor`, one interval later, two intervals later, ... that comes after `moment`.

        Counted from the anchor, so that a sweep that began late does not shift those that follow. Months are
        calendar months; where one is too short for the anchor's day, its last day counts.
        """
        if moment < anchor:
            return anchor
        if self.frequency is Frequency.MONTH:
            passed = (moment.year - anchor.year) * 12 + moment.month - anchor.month
            count = passed // self.interval
            due = _months_later(anchor, count * self.interval)
            return due if due > moment else _months_later(anchor, (count + 1) * self.interval)
        length = _LENGTHS[self.frequency] * self.interval
        return anchor + ((moment - anchor) // length + 1) * length


def _months_later(anchor: datetime, months: int) -> datetime:
    years, month = divmod(anchor.month - 1 + months, 12)
    year = anchor.year + years
    return anchor.replace(year=year, month=month + 1, day=min(anchor.day, monthrange(year, month + 1)[1]))
