"""A small app with one function per kind of trigger, to try a functions host with.

What its functions saw is told by `GET /fn/seen`, a list per function name.
"""

import json
import logging
import os
import threading
import time
from typing import Any, List  # noqa: UP035 - the worker refuses `list[str]` in func.Out

import azure.functions as func
from azure.functions.timer import TimerRequest
from fastapi import APIRouter, FastAPI, Request, Response

logger = logging.getLogger(__name__)

seen: dict[str, list[Any]] = {}
_lock = threading.Lock()
_held: set[str] = set()

# The app sees paths whole, with the route prefix of host.json.
api = APIRouter(prefix="/fn")
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def note(name: str, value: Any) -> None:
    with _lock:
        seen.setdefault(name, []).append(value)


@api.get("/seen")
def get_seen() -> dict[str, list[Any]]:
    return seen


@api.get("/pid")
def get_pid() -> int:
    logger.info("asked for its pid, AccountKey=verysecret;")
    return os.getpid()


@api.get("/setting/{name}")
def get_setting(name: str) -> dict[str, str | None]:
    return {"value": os.environ.get(name)}


@api.api_route("/echo/{path:path}", methods=["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"])
async def echo(request: Request, path: str) -> Response:
    body = await request.body()
    answer = Response(body, media_type=request.headers.get("content-type"))
    answer.headers["x-path"] = path.encode("unicode_escape").decode()
    answer.headers["x-query"] = request.url.query
    answer.set_cookie("first", "1", httponly=True, samesite="lax")
    answer.set_cookie("second", "2")
    return answer


@api.get("/broken")
async def broken() -> None:
    raise RuntimeError("the app is broken, sig=verysecret")


asgi = FastAPI()
asgi.include_router(api)


@app.function_name("http_api")
@app.route(route="{*path}", auth_level=func.AuthLevel.ANONYMOUS)
async def http_api(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    return await func.AsgiMiddleware(asgi).handle_async(req, context)


@app.function_name("keyed")
@app.route(route="keyed", auth_level=func.AuthLevel.FUNCTION)
def keyed(req: func.HttpRequest) -> str:
    return "keyed"


@app.function_name("guarded")
@app.route(route="guarded", auth_level=func.AuthLevel.ADMIN)
def guarded(req: func.HttpRequest) -> str:
    return "guarded"


@app.function_name("hello")
@app.route(route="hello/{name:alpha?}", methods=["GET"])
def hello(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    logger.info("greeting, AccountKey=verysecret;")
    facts = {
        "name": req.route_params.get("name"),
        "q": req.params.get("q"),
        "invocation": context.invocation_id,
    }
    return func.HttpResponse(json.dumps(facts), mimetype="application/json")


@app.function_name("item")
@app.route(route="items/{id:int}", methods=["GET", "DELETE"])
def item(req: func.HttpRequest) -> str:
    return req.route_params["id"]


@app.function_name("sleep")
@app.route(route="sleep/{seconds}", methods=["POST"])
async def sleep(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(float(req.route_params["seconds"]))
    return func.HttpResponse(status_code=204)


@app.function_name("enqueue")
@app.route(route="enqueue/{text}", methods=["POST"])
@app.queue_output(arg_name="out", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
def enqueue(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006
    out.set([req.route_params["text"]] * int(req.params.get("times", "1")))
    return func.HttpResponse(status_code=202)


@app.function_name("tick")
@app.timer_trigger(arg_name="timer", schedule="%TICK_SCHEDULE%")
def tick(timer: TimerRequest) -> None:
    note("tick", {"pastDue": timer.past_due, "status": timer.schedule_status})


@app.function_name("beat")
@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
def beat(timer: TimerRequest) -> None:
    note("beat", {"at": time.time(), "pastDue": timer.past_due, "status": timer.schedule_status})


@app.function_name("blob_created")
@app.event_grid_trigger(arg_name="event")
def blob_created(event: func.EventGridEvent) -> None:
    data = event.get_json()
    if isinstance(data, dict) and data.get("fail"):
        raise ValueError("told to fail")
    if "flaky" in (event.subject or "") and not seen.get("flaky"):
        note("flaky", event.id)
        raise ValueError("the first delivery fails")
    note("blob_created", {"type": event.event_type, "subject": event.subject, "id": event.id, "data": data})


@app.function_name("raw_event")
@app.event_grid_trigger(arg_name="event")
def raw_event(event: str) -> None:
    note("raw_event", event)


def facts_of(message: func.QueueMessage) -> dict[str, Any]:
    return {
        "text": message.get_body().decode(),
        "count": message.dequeue_count,
        "id": message.id,
        "receipt": message.pop_receipt,
        "inserted": message.insertion_time and message.insertion_time.timestamp(),
        "expires": message.expiration_time and message.expiration_time.timestamp(),
        "at": time.time(),
    }


def hold(text: str) -> None:
    """Takes a while, and notes how many such messages are under way."""
    with _lock:
        _held.add(text)
        under_way = len(_held)
    time.sleep(0.2)
    with _lock:
        _held.discard(text)
    note("held", under_way)


@app.function_name("work")
@app.queue_trigger(arg_name="message", queue_name="%WORK_QUEUE%", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="done", queue_name="done", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage, done: func.Out[str]) -> None:
    text = message.get_body().decode()
    note("work", facts_of(message))
    if text.startswith("hold"):
        hold(text)
    if text.startswith("fail"):
        raise ValueError("told to fail")
    if text.startswith("sleep"):
        time.sleep(float(text.removeprefix("sleep ")))
        note("woke", text)
    done.set(f"done: {text}")
