"""Lists: a page of `$top` items, and the URL of the next one where there is one."""

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import unquote_plus

from fastapi import Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from shared.http.protocol.json_answer import json_answer
from shared.http.protocol.links import own_url

DEFAULT_TOP = 30
MAX_TOP = 1000

Top = Annotated[int, Query(alias="$top", ge=1, le=MAX_TOP, description="Items of a page at most")]
SkipToken = Annotated[
    str | None, Query(alias="$skiptoken", min_length=1, description="Where the page starts; taken from a `nextLink`")
]


class Page[T](BaseModel):
    """One page of a list; without `nextLink` it is the last."""

    value: list[T]
    nextLink: str | None = None  # noqa: N815 - the name on the wire


def answer_page(request: Request, items: Sequence[Any], token: str | None = None) -> Response:
    """Answers with one page.

    Args:
        token: what the next page is asked for with as `$skiptoken`; None on the last page.
    """
    body: dict[str, Any] = {"value": list(items)}
    if token is not None:
        body["nextLink"] = _next_link(request, token)
    return json_answer(body)


def _next_link(request: Request, token: str) -> str:
    query = request.scope["query_string"].decode("utf-8", "replace")
    kept = [option for option in query.split("&") if option and unquote_plus(option.partition("=")[0]) != "$skiptoken"]
    return own_url(request, request.scope["path"], "&".join([*kept, f"$skiptoken={token}"]))
