"""HTTP triggers: from a request to a function by the bindings' routes, and from its result to an answer."""

import re
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote, unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from infra.local.functions_host import messages
from infra.local.functions_host.invocations import Invocations
from infra.local.functions_host.worker import Function, InvocationFailedError

# https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger#limits
_BODY_LIMIT = 100 * 1024 * 1024
_CONSTRAINTS = {
    "int": r"-?\d+",
    "long": r"-?\d+",
    "alpha": r"[A-Za-z]+",
    "bool": r"(?:true|false)",
    "guid": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "decimal": r"-?\d+(?:\.\d+)?",
    "float": r"-?\d+(?:\.\d+)?",
}
_WITHOUT_BODY = frozenset({204, 205, 304})
_SAME_SITE: dict[int, Literal["lax", "strict", "none"]] = {1: "lax", 2: "strict", 3: "none"}


class HttpRoutes:
    """The HTTP functions, literal routes before those with parameters, catch-alls last."""

    def __init__(self, functions: list[Function], prefix: str) -> None:
        found = []
        for function in functions:
            route = _route(function)
            methods = frozenset(method.upper() for method in function.trigger.get("methods") or ())
            found.append((_precedence(route), route_pattern(prefix, route), methods, function))
        self._routes = sorted(found, key=lambda r: r[0])

    def find(self, method: str, path: str) -> tuple[Function, dict[str, str]] | None:
        """The function for a method and a decoded path, with its route parameters."""
        for _, pattern, methods, function in self._routes:
            if (match := pattern.fullmatch(path)) and (not methods or method in methods):
                return function, {name: value for name, value in match.groupdict().items() if value}
        return None


def route_pattern(prefix: str, route: str) -> re.Pattern[str]:
    """An ASP.NET route template as a pattern over the whole path, case-insensitive."""
    pattern = ""
    for segment in filter(None, f"{prefix}/{route}".split("/")):
        if segment.startswith("{*"):
            name = segment.strip("{*}").partition(":")[0]
            pattern += rf"(?:/(?P<{name}>.*))?"
        elif segment.startswith("{") and segment.endswith("}"):
            inner = segment[1:-1]
            name, *constraints = inner.removesuffix("?").split(":")
            accepted = next((_CONSTRAINTS[c] for c in constraints if c in _CONSTRAINTS), "[^/]+")
            pattern += rf"(?:/(?P<{name}>{accepted}))" + ("?" if inner.endswith("?") else "")
        else:
            pattern += "/" + re.escape(segment)
    return re.compile(f"{pattern}/?", re.IGNORECASE | re.DOTALL)


async def serve(request: Request, routes: HttpRoutes, invocations: Invocations) -> Response:
    """Answer a request by the function whose route it matches.

    Raises:
        HTTPException: 404, there is none; 413, the body is over the host's limit.
    """
    path = request_path(request)
    found = routes.find(request.method, path)
    if found is None:
        raise HTTPException(404, "No function has this route and method.")
    function, parameters = found
    body = await read_body(request)
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        query[name] = f"{query[name]},{value}" if name in query else value
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    suffix = f"?{request.url.query}" if request.url.query else ""
    data = messages.TypedData(
        http=messages.RpcHttp(
            method=request.method,
            url=f"{request.url.scheme}://{request.url.netloc}{quote(path, safe="/:@!$&'()*+,;=~")}{suffix}",
            headers=headers,
            query=query,
            params=parameters,
            body=messages.TypedData(bytes=body),
        )
    )
    try:
        result = await invocations.run(function, data, reason=f"{request.method} {_route(function)}")
    except InvocationFailedError:
        return Response(status_code=500)
    return to_response(result, request.method)


def request_path(request: Request) -> str:
    """The decoded path; what is not UTF-8 stays percent-encoded, and so does an encoded slash."""
    raw: bytes = request.scope["raw_path"]
    raw = re.sub(rb"(?i)%2f", b"%252F", raw)
    return re.sub(
        r"[\udc80-\udcff]",
        lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}",
        unquote_to_bytes(raw).decode("utf-8", "surrogateescape"),
    )


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        HTTPException: 413, it is over the host's limit of 100 MB.
    """
    too_large = HTTPException(413, "The request body is larger than 100 MB.")
    if int(request.headers.get("content-length") or 0) > _BODY_LIMIT:
        raise too_large
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise too_large
    return bytes(body)


def to_response(result: messages.TypedData | None, method: str) -> Response:
    """The answer that a function's return value stands for; nothing returned is 204."""
    kind = result.WhichOneof("data") if result is not None else None
    if result is None or kind is None:
        return Response(status_code=204)
    if kind != "http":
        media = {"json": "application/json", "bytes": "application/octet-stream"}.get(kind, "text/plain")
        value = result.value()
        return Response(value if isinstance(value, (bytes, str)) else str(value), media_type=media)
    answer = result.value()
    body = answer.body.value() if answer.body is not None else b""
    body = body.encode() if isinstance(body, str) else bytes(body or b"")
    status = int(answer.status_code)
    response = Response(b"" if status in _WITHOUT_BODY else body, status)
    for name, value in answer.headers.items():
        # Length and framing are the server's; for HEAD only the app knows the length of what is not sent.
        if name.lower() == "transfer-encoding" or (name.lower() == "content-length" and method != "HEAD"):
            continue
        response.headers[name] = value
    if status in _WITHOUT_BODY:
        _drop(response.headers, "content-length", "content-type")
    for cookie in answer.cookies or ():
        _set_cookie(response, cookie)
    return response


def _route(function: Function) -> str:
    route = function.trigger.get("route")
    return function.name if route is None else str(route)


def _precedence(route: str) -> tuple[tuple[int, ...], str]:
    literal, end, constrained, parameter, rest = range(5)

    def rank(segment: str) -> int:
        if segment.startswith("{*"):
            return rest
        if "{" not in segment:
            return literal
        return constrained if ":" in segment else parameter

    return (*(rank(segment) for segment in filter(None, route.split("/"))), end), route


def _drop(headers: MutableHeaders, *names: str) -> None:
    for name in names:
        if name in headers:
            del headers[name]


def _set_cookie(response: Response, cookie: messages.RpcHttpCookie) -> None:
    def value(name: str) -> Any:
        return getattr(getattr(cookie, name, None), "value", None) or None

    expires = value("expires")
    max_age = value("max_age")
    response.set_cookie(
        cookie.name,
        cookie.value,
        max_age=None if max_age is None else int(max_age),
        expires=None if expires is None else datetime.fromtimestamp(expires.seconds, UTC),
        path=value("path") or "/",
        domain=value("domain"),
        secure=bool(value("secure")),
        httponly=bool(value("http_only")),
        samesite=_SAME_SITE.get(cookie.same_site),
    )
