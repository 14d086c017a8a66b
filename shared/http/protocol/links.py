"""Absolute URLs of our own routes, as the caller reached us."""

from urllib.parse import quote, urlencode

from pydantic import BaseModel
from starlette.requests import Request


class Queued(BaseModel):
    """What was queued, and where to see what becomes of it."""

    message: str
    runs: str


def own_url(request: Request, path: str, query: str = "") -> str:
    """A URL of this service, by the host and scheme that the request came by."""
    address = f"{request.url.scheme}://{request.url.netloc}{quote(path, safe="/:@!$&'()*+,;=~")}"
    return f"{address}?{query}" if query else address


def link_to_runs(request: Request, hub: str, **filters: str) -> str:
    """The list of the hub's runs, filtered."""
    return own_url(request, f"/hubs/{hub}/runs", urlencode(filters))
