"""Answering with a CSV out of storage: all of it, its first records, or a range of its bytes.

Azure's bridge holds an answer in memory until it is sent, however it is handed over. So none is larger than a limit,
and those that are not small are read and sent one at a time, of every hub in turn.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request
from starlette.responses import Response

from shared.domain.errors import RequestTooLargeError, ThrottledError
from shared.domain.names import name_key
from shared.http.protocol.byte_range import AskedRange
from shared.http.protocol.gateway import IS_HEAD
from shared.permits import Permits

ANSWER_BYTES = 64 * 1024**2
# So much of an answer is held outside of a permit.
LITTLE_BYTES = 1024**2
_LARGE_ANSWERS = Permits(most_of_one=4, most=8, within_s=10.0)
# One thread reads them: what is given back stays with the thread for its next one, and would stay with each of many.
_reader = ThreadPoolExecutor(1, "large-answers")
_MEDIA_TYPE = "text/csv; charset=utf-8"


@dataclass(frozen=True, slots=True)
class StoredCsv:
    """One version of a CSV.

    Attributes:
        hub: whose it is.
        etag: without quotes.
        size: bytes.
        read: its bytes from one place up to another, in pieces.
    """

    hub: str
    etag: str
    size: int
    read: Callable[[int, int], Iterator[bytes]]


async def _until_sent() -> AsyncIterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class CsvRequest:
    """How a CSV is asked for."""

    def __init__(
        self,
        request: Request,
        asked_range: Annotated[AskedRange, Depends()],
        until_sent: Annotated[ExitStack, Depends(_until_sent)],
    ) -> None:
        self._is_head = bool(request.scope.get(IS_HEAD))
        self._asked_range = asked_range
        self._until_sent = until_sent

    def answer(self, csv: StoredCsv, top: int | None) -> Response:
        """Answers with `top` records, or with the range that is asked for, as far as an answer goes, or with all.

        All of the answer is here before it begins: storage that fails midway is an error, not a short file.

        Raises:
            RequestTooLargeError: it would be over the limit. RangeError: there are no such bytes.
            ThrottledError: others are getting large answers; those of other hubs only as long as each gets one.
        """
        if self._is_head:
            return _head(csv, top)
        if top is not None:
            return Response(self._first(csv, top), HTTPStatus.OK, _headers(csv, top), _MEDIA_TYPE)
        part = self._asked_range.of(csv.size, csv.etag)
        if part is None and csv.size > ANSWER_BYTES:
            raise _too_large(_in_pieces(csv.size))
        content = self._bytes(csv, range(csv.size) if part is None else part[:ANSWER_BYTES])
        if part is None:
            return Response(content, HTTPStatus.OK, _headers(csv, top), _MEDIA_TYPE)
        place = {"Content-Range": f"bytes {part.start}-{part.start + len(content) - 1}/{csv.size}"}
        return Response(content, HTTPStatus.PARTIAL_CONTENT, _headers(csv, top) | place, _MEDIA_TYPE)

    def _first(self, csv: StoredCsv, top: int) -> bytes:
        little = _gathered(_first_records(csv.read(0, min(csv.size, LITTLE_BYTES)), top + 1))
        if len(little) < LITTLE_BYTES:
            return little
        message = f"the first {top} records are over {ANSWER_BYTES} bytes; ask for fewer, or without $top in ranges"
        return self._one_by_one(csv, lambda: _gathered(_first_records(csv.read(0, csv.size), top + 1), message))

    def _bytes(self, csv: StoredCsv, part: range) -> bytes:
        def read() -> bytes:
            return _gathered(csv.read(part.start, part.stop))

        return read() if len(part) <= LITTLE_BYTES else self._one_by_one(csv, read)

    def _one_by_one(self, csv: StoredCsv, read: Callable[[], bytes]) -> bytes:
        """What `read` gives, in a permit that ends when the answer is sent."""
        if not self._until_sent.enter_context(_LARGE_ANSWERS.permit(name_key(csv.hub))):
            message = "others are getting large answers of this app; repeat the request, or ask for less with $top"
            raise ThrottledError("LargeAnswersBusy", message)
        return _reader.submit(copy_context().run, read).result()


FromCsvRequest = Annotated[CsvRequest, Depends()]


def _headers(csv: StoredCsv, top: int | None) -> dict[str, str]:
    return {"ETag": f'"{csv.etag}"', **({} if top else {"Accept-Ranges": "bytes"})}


def _head(csv: StoredCsv, top: int | None) -> Response:
    answer = Response(None, HTTPStatus.OK, _headers(csv, top), _MEDIA_TYPE)
    if top:
        del answer.headers["Content-Length"]  # that of no body; the records were not counted
    else:
        answer.headers["Content-Length"] = str(csv.size)
    return answer


def _gathered(pieces: Iterable[bytes], message: str = "") -> bytes:
    """The pieces in one, since the bridge copies what it gets in several; raises RequestTooLargeError."""
    content = BytesIO()
    for piece in pieces:
        if content.tell() + len(piece) > ANSWER_BYTES:
            raise _too_large(message)
        content.write(piece)
    return content.getvalue()


def _first_records(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """The first records of a CSV of ours: a line end counts where the quotes before it are even in number."""
    rest, quotes = b"", 0
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
            quotes += line.count(b'"')
            count -= quotes % 2 == 0
            if count == 0:
                return
    yield rest


def _in_pieces(size: int) -> str:
    first, second = f"0-{ANSWER_BYTES - 1}", f"{ANSWER_BYTES}-{2 * ANSWER_BYTES - 1}"
    return (
        f"all of it is {size} bytes, and an answer has {ANSWER_BYTES} at most; ask for the first records with $top, "
        f"or for one range of bytes after the other: `curl -r {first}`, `curl -r {second}` and so on"
    )


def _too_large(message: str) -> RequestTooLargeError:
    return RequestTooLargeError("AnswerTooLarge", message)
