"""The admin API: the host's status, and `POST /admin/functions/NAME`, which runs a non-HTTP function now."""

import json
import uuid
from datetime import UTC, datetime, timedelta

from azure.storage.queue import QueueMessage
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from infra.local.functions_host import messages
from infra.local.functions_host.invocations import Invocations
from infra.local.functions_host.refusals import refusal
from infra.local.functions_host.triggers.http_routes import read_body
from infra.local.functions_host.triggers.queues import trigger_metadata
from infra.local.functions_host.triggers.timers import Timer
from infra.local.functions_host.worker import Function

_REASON = "admin API"


async def run_function(
    request: Request, functions: dict[str, Function], timers: dict[str, Timer], invocations: Invocations
) -> Response:
    """Start a run and answer 202 at once; 404 for an unknown function, 400 where nothing can be run."""
    name = request.path_params["name"]
    function = next((f for f in functions.values() if f.name.lower() == name.lower()), None)
    if function is None:
        return refusal(404, f"There is no function {name}.")
    if function.kind == "httptrigger":
        return refusal(400, f"{function.name} is an HTTP function: call its route.")
    try:
        body = json.loads(await read_body(request))
    except (ValueError, RecursionError):
        body = None
    given = body.get("input", "") if isinstance(body, dict) else None
    if not isinstance(given, str):
        return refusal(400, 'The body must be a JSON object like {"input": "text"}.')
    if function.kind == "timertrigger":
        invocations.in_background(timers[function.name].run(reason=_REASON))
    elif function.kind == "eventgridtrigger":
        try:
            json.loads(given)
        except (ValueError, RecursionError):
            return refusal(400, "The input of an Event Grid function must be one event as JSON.")
        invocations.run_later(function, messages.TypedData(json=given), reason=_REASON)
    else:
        invocations.run_later(function, messages.TypedData(string=given), _new_message(given), reason=_REASON)
    return Response(status_code=202)


def host_status() -> Response:
    """What the real host answers once it serves."""
    return JSONResponse({"id": "local", "state": "Running", "version": "4", "processUptime": 0})


def _new_message(text: str) -> dict[str, messages.TypedData]:
    now = datetime.now(UTC)
    message = QueueMessage(content=text)
    message.id, message.pop_receipt, message.dequeue_count = str(uuid.uuid4()), "", 1
    message.inserted_on, message.next_visible_on, message.expires_on = now, now, now + timedelta(days=7)
    return trigger_metadata(message)
