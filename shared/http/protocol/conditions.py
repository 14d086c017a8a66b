"""ETags: what a request asks of them, and the answers that carry them."""

import hashlib
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header
from starlette.responses import Response

from shared.definitions.store.definition_store import Conditions
from shared.domain.blob_version import bare_etag
from shared.domain.errors import Fault, InvalidRequestError, PreconditionError
from shared.http.protocol.json_answer import json_answer, json_pieces

_IfMatch = Annotated[str | None, Header(description="ETag that the resource must have, or `*`")]


class Reading:
    """The conditions of a GET, and the answer that they lead to."""

    def __init__(
        self,
        if_match: _IfMatch = None,
        if_none_match: Annotated[
            str | None, Header(description="ETag of the copy at hand; 304 where it is still good")
        ] = None,
    ) -> None:
        self._if_match = if_match
        self._if_none_match = if_none_match

    def answer(self, body: Mapping[str, Any], etag: str | None = None) -> Response:
        """Answers with one resource, or 304 where the reader has it already.

        Args:
            etag: bare; without it, a hash of the body is the ETag.

        Raises:
            PreconditionError: the reader's `If-Match` does not hold.
        """
        tag = etag or _hash_of(body)
        return self.unchanged(tag) or answer_written(body, tag)

    def unchanged(self, etag: str) -> Response | None:
        """The answer 304 where the reader has it already; raises PreconditionError as `answer` does."""
        if self._if_match is not None and not _names(self._if_match, etag):
            raise PreconditionError("PreconditionFailed", "the resource has another ETag; read it again")
        if self._if_none_match is not None and _names(self._if_none_match, etag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": f'"{etag}"'})
        return None


def _writing(
    if_match: _IfMatch = None,
    if_none_match: Annotated[str | None, Header(description="`*`: create the resource, do not replace it")] = None,
) -> Conditions:
    faults = []
    if if_match is not None and "," in if_match:
        faults.append(Fault("InvalidValue", "If-Match", "name one ETag, or *"))
    if if_none_match is not None and if_none_match.strip() != "*":
        faults.append(Fault("InvalidValue", "If-None-Match", "only * is taken here: create, do not replace"))
    if faults:
        raise InvalidRequestError(faults)
    return Conditions(
        if_match=None if if_match is None else bare_etag(if_match), if_none_match=if_none_match is not None
    )


FromReading = Annotated[Reading, Depends()]
FromConditions = Annotated[Conditions, Depends(_writing)]


def answer_written(body: Mapping[str, Any], etag: str, status: int = HTTPStatus.OK) -> Response:
    """Answers with a resource as it is now stored."""
    return json_answer(body, status, {"ETag": f'"{etag}"'})


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in {bare_etag(item) for item in header.split(",")}


def _hash_of(body: Mapping[str, Any]) -> str:
    hashed = hashlib.sha256()
    for piece in json_pieces(body, is_sorted=True):
        hashed.update(piece)
    return hashed.hexdigest()[:32]
