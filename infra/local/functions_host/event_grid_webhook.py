"""The Event Grid extension's webhook: `POST /runtime/webhooks/eventgrid?functionName=NAME`."""

import asyncio
import json
import logging
import uuid
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.functions_host import messages
from infra.local.functions_host.http_routes import read_body
from infra.local.functions_host.invocations import Invocations
from infra.local.functions_host.worker import Function, InvocationFailedError, decodes
from shared.redact import without_secrets

logger = logging.getLogger(__name__)


async def receive(request: Request, functions: dict[str, Function], invocations: Invocations) -> Response:
    """Take a delivery: 202, 500 if one event failed, 404 for an unknown function, 400 for no delivery."""
    name = request.query_params.get("functionName", "")
    # Compared case-sensitively, as the extension does.
    function = functions.get(name)
    if function is None or function.kind != "eventgridtrigger":
        return Response(f"cannot find function: '{name}'", 404)
    kind = request.headers.get("aeg-event-type", "").lower()
    if kind == "unsubscribe":
        return Response(status_code=202)
    if kind not in {"notification", "subscriptionvalidation"}:
        return Response("The header aeg-event-type is missing or has a value that is not known.", 400)
    try:
        body = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        return Response("The body is not JSON.", 400)
    return _validation(body) if kind == "subscriptionvalidation" else await _notify(body, function, invocations)


async def _notify(body: Any, function: Function, invocations: Invocations) -> Response:
    events = body if isinstance(body, list) else [body]
    runs = (invocations.run(function, messages.TypedData(json=decodable(event)), reason="event") for event in events)
    results = await asyncio.gather(*runs, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    for failure in failures:
        if not isinstance(failure, InvocationFailedError):
            logger.error("Event not delivered", exc_info=failure)
    if failures:
        return Response(without_secrets(str(failures[0])).split("\n", 1)[0], 500)
    return Response(status_code=202)


def decodable(event: Any) -> str:
    """An event as JSON that the worker can decode.

    The worker's decoder refuses what is not an object, or has a time that it cannot read, and the app would
    never see it. Such an event is handed on without its time, or as the `data` of an event that says nothing
    else, so that the app can record it.
    """
    for candidate in (event, _without_time(event), {"id": str(uuid.uuid4()), "data": event}):
        text = json.dumps(candidate)
        if decodes("eventGridTrigger", messages.TypedData(json=text)):
            return text
    raise AssertionError("an event with nothing but id and data is always decodable")


def _without_time(event: Any) -> Any:
    return {k: v for k, v in event.items() if k not in {"eventTime", "time"}} if isinstance(event, dict) else event


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
