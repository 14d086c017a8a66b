"""The Event Grid extension's webhook: `/runtime/webhooks/eventgrid?functionName=NAME`, as its version 3.4.4 serves it.

`POST` delivers events in the Event Grid schema or as CloudEvents, one or an array of them, and validates
subscriptions in the first; `OPTIONS` validates subscriptions in the second. Kinder than the extension in one thing:
that answers 500 for an event that is no object before the app sees it, which Event Grid never sends; here it is
handed on, as the worker library takes it, so that the app's own answer can be tried.
"""

import asyncio
import json
import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.functions_host import messages
from infra.local.functions_host.invocations import Invocations
from infra.local.functions_host.triggers.http_routes import read_body
from infra.local.functions_host.worker import Function, InvocationFailedError
from shared.redact import without_secrets

logger = logging.getLogger(__name__)

METHODS = ["POST", "OPTIONS"]
_PUBLIC_CLOUD = "eventgrid.azure.net"
_ORIGINS = frozenset(
    {
        _PUBLIC_CLOUD,
        "eventgrid.azure.us",
        "eventgrid.azure.cn",
        "eventgrid.azure.eaglex.ic.gov",
        "eventgrid.azure.microsoft.scloud",
    }
)


async def receive(request: Request, functions: dict[str, Function], invocations: Invocations) -> Response:
    """Take a delivery: 202, 500 if one event failed, 404 for an unknown function, 400 for no delivery."""
    name = request.query_params.get("functionName", "")
    # Compared case-sensitively, as the extension does.
    function = functions.get(name)
    if function is None or function.kind != "eventgridtrigger":
        return Response(f"cannot find function: '{name}'", 404)
    if request.method == "OPTIONS":
        return _permission(request.headers.get("webhook-request-origin", ""))
    return await _take(request, function, invocations)


async def _take(request: Request, function: Function, invocations: Invocations) -> Response:
    kind = request.headers.get("aeg-event-type", "").lower()
    if kind == "unsubscribe":
        return Response(status_code=202)
    if kind not in {"notification", "subscriptionvalidation"}:
        return Response("The header aeg-event-type is missing or has a value that is not known.", 400)
    try:
        body = json.loads(await read_body(request))
        if kind == "subscriptionvalidation":
            return _validation(body)
        events = [json.dumps(event) for event in (body if isinstance(body, list) else [body])]
    except (ValueError, RecursionError):
        return Response("The body is not JSON.", 400)
    return await _notify(events, function, invocations)


async def _notify(events: list[str], function: Function, invocations: Invocations) -> Response:
    runs = (invocations.run(function, messages.TypedData(json=event), reason="event") for event in events)
    results = await asyncio.gather(*runs, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, InvocationFailedError):
            logger.error("Event not delivered", exc_info=failure)
    if failures:
        return Response(without_secrets(str(failures[0])).split("\n", 1)[0], 500)
    return Response(status_code=202)


def _permission(origin: str) -> Response:
    """The answer to https://github.com/cloudevents/spec/blob/v1.0/http-webhook.md#4-abuse-protection."""
    return Response(headers={"WebHook-Allowed-Origin": origin if origin in _ORIGINS else _PUBLIC_CLOUD})


def _validation(body: Any) -> Response:
    try:
        if isinstance(body, list):
            code = body[0]["data"]["validationCode"]
        else:
            # For a CloudEvents subscription, data is JSON inside a string.
            data = body["data"]
            code = (json.loads(data) if isinstance(data, str) else data)["validationCode"]
    except (KeyError, IndexError, TypeError, ValueError):
        return Response("The body carries no data.validationCode.", 400)
    return JSONResponse({"validationResponse": code})
