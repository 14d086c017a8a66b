"""`Range` and `If-Range` of a GET: which of its bytes are asked for."""

from typing import Annotated

from fastapi import Header

from shared.domain.errors import RangeError

_DIGITS = 18


class AskedRange:
    """The range of a GET that names one; what is no range of bytes, or several of them, counts as none at all."""

    def __init__(
        self,
        asked: Annotated[
            str | None, Header(alias="Range", description="`bytes=0-1023`, `bytes=1024-` or `bytes=-1024`; one only")
        ] = None,
        if_range: Annotated[
            str | None, Header(description="ETag of what the range is to be of; all is given where it has changed")
        ] = None,
    ) -> None:
        self._asked = asked
        self._if_range = if_range

    def of(self, size: int, etag: str) -> range | None:
        """The bytes that are asked for of so many; None where that is all of them.

        Args:
            size: bytes that there are.
            etag: of what has them, without quotes.

        Raises:
            RangeError: it has none of the bytes that are asked for.
        """
        if self._asked is None or (self._if_range is not None and self._if_range.strip() != f'"{etag}"'):
            return None
        unit, _, places = self._asked.partition("=")
        first, dash, last = (part.strip() for part in places.partition("-"))
        numbers = [part for part in (first, last) if part]
        if unit.strip().casefold() != "bytes" or not dash or not numbers or not all(map(str.isdecimal, numbers)):
            return None
        start, end = (_number(first), _number(last) + 1 if last else size) if first else (size - _number(last), size)
        if first and last and end <= start:
            return None
        found = range(max(start, 0), min(end, size))
        if not found:
            raise RangeError("RangeNotSatisfiable", f"it has {size} bytes, and none of those of Range", "Range", size)
        return found


def _number(digits: str) -> int:
    # By its length first: `int` refuses thousands of digits.
    return int(digits) if len(digits) <= _DIGITS else 10**_DIGITS
