"""What belongs to no hub: health and the OpenAPI document."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from http import HTTPStatus

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app import Services
from shared.deadline import deadline
from shared.domain.errors import HubError, MissingError, RefusedError
from shared.http.protocol.conditions import FromReading
from shared.http.protocol.error_answers import RETRY_AFTER_S, ErrorContent, ErrorDetail
from shared.http.protocol.routing import FromServices, new_router

router = new_router("service")

_READY_WITHIN_S = 10.0
# One thread for each dependency, shared by all requests: a dependency that hangs holds one thread, not one per request.
_probes = ThreadPoolExecutor(4, "readiness")


class Live(BaseModel):
    """The process answers."""

    status: str


class Dependency(BaseModel):
    """The state of one thing that the app cannot do without."""

    name: str
    ok: bool
    message: str


class Readiness(BaseModel):
    """Whether requests can be served, and what stands in the way; `error` says it as every other route does."""

    status: str
    dependencies: list[Dependency]
    error: ErrorContent | None = None


@router.get("/health/live", response_model=Live)
async def get_live() -> Response:
    """Whether the process answers, also while every thread waits for something else."""
    return JSONResponse({"status": "Live"})


@router.get("/health/ready", response_model=Readiness, responses={503: {"model": Readiness}})
def get_ready(services: FromServices) -> Response:
    """Whether storage and vault answer."""
    running = {name: _probes.submit(_reach, reach, services) for name, reach in _REACH.items()}
    wait(running.values(), timeout=_READY_WITHIN_S)
    found = [_state(name, future) for name, future in running.items()]
    missing = [dependency for dependency in found if not dependency.ok]
    if not missing:
        return JSONResponse(Readiness(status="Ready", dependencies=found).model_dump(exclude_none=True))
    error = ErrorContent(
        code="NotReady",
        message="; ".join(f"{item.name}: {item.message}" for item in missing),
        target=missing[0].name,
        details=[ErrorDetail(code="NotReady", target=item.name, message=item.message) for item in missing],
    )
    body = Readiness(status="NotReady", dependencies=found, error=error)
    return JSONResponse(body.model_dump(), HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(RETRY_AFTER_S)})


@router.get("/openapi.json")
def get_openapi(request: Request, reading: FromReading) -> Response:
    """This document."""
    return reading.answer(request.app.openapi())


def _reach_tables(services: Services) -> None:
    services.bad_events.get("readiness", "readiness")


def _reach_blobs(services: Services) -> None:
    services.run_files.exists()


def _reach_queues(services: Services) -> None:
    services.ingest_queue.ensure()


def _reach_vault(services: Services) -> None:
    if not services.settings.key_vault_url:
        raise RefusedError("VaultMissing", "no vault is configured; set KEY_VAULT_URL")
    # A vault that answers that it has no such secret has let us in.
    with suppress(MissingError):
        services.vaults.get(f"{services.settings.key_vault_url.rstrip('/')}/secrets/readiness")


def _reach(reach: Callable[[Services], None], services: Services) -> None:
    # So that a thread is free again when its dependency answers.
    with deadline(_READY_WITHIN_S):
        reach(services)


_REACH = {"tables": _reach_tables, "blobs": _reach_blobs, "queues": _reach_queues, "vault": _reach_vault}


def _state(name: str, future: "Future[None]") -> Dependency:
    if not future.done():
        future.cancel()
        return Dependency(name=name, ok=False, message=f"no answer within {_READY_WITHIN_S:.0f} s")
    error = future.exception()
    if error is None:
        return Dependency(name=name, ok=True, message="answers")
    if isinstance(error, HubError):
        return Dependency(name=name, ok=False, message=error.message)
    return Dependency(name=name, ok=False, message=f"the check failed: {type(error).__name__}")
