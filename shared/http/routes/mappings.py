"""What can be done with a mapping beside keeping its definition: trying it, running it, and pausing it."""

from contextlib import AbstractContextManager
from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any

from pydantic import BaseModel
from pydantic import Field as Property
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app import Services
from shared.arrivals.progress import Progress
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.document import Document
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import ConflictError
from shared.http.protocol.body import NoBody, OptionalJsonObject
from shared.http.protocol.conditions import FromConditions, FromReading, answer_written
from shared.http.protocol.links import Queued, link_to_runs, own_url
from shared.http.protocol.openapi import json_body
from shared.http.protocol.outside_calls import calling_outside, calling_outside_if_free
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router
from shared.http.resources.resource import Address

_ONE = "/hubs/{hub}/connectors/{connector}/mappings/{name}"

router = new_router("mappings")


class PreviewRequest(Document):
    """Which blob is read, and how many of its rows; without a blob, the newest one that the mapping matches."""

    blob: Annotated[str, Property(min_length=1, max_length=1024)] | None = None
    rows: Annotated[int, Property(ge=1, le=1000)] = 20


class QueuedSearch(Queued):
    """What was queued, and where to see how far it has come."""

    progress: str


class PreviewColumn(BaseModel):
    """A field, and the column of the file that fills it."""

    name: str
    type: str
    isArray: bool  # noqa: N815 - the name on the wire
    column: str


class PreviewReject(BaseModel):
    """A row that would be refused."""

    line: int
    column: str | None
    code: str
    message: str
    raw: str


class Preview(BaseModel):
    """What the first rows of a blob would become; `isCut` where an answer of bounded size has no room for more."""

    blob: str
    columns: list[PreviewColumn]
    rows: list[dict[str, Any]]
    rejects: list[PreviewReject]
    isCut: bool  # noqa: N815 - the name on the wire


@router.post(
    f"{_ONE}/preview",
    response_model=Preview,
    openapi_extra=json_body(PreviewRequest, example={"blob": "contacts/today.csv", "rows": 20}, required=False),
)
def preview_mapping(
    body: OptionalJsonObject, services: FromServices, hub: HubName, connector: DefinedName, name: DefinedName
) -> Response:
    """Reads real rows, maps and types them, and stores nothing."""
    from shared.suggest.preview import preview

    wanted = PreviewRequest.from_request(body)
    with calling_outside(hub), preview(services, hub, connector, name, wanted.blob, wanted.rows) as found:
        return JSONResponse(found)


@router.post(f"{_ONE}/run", status_code=202, response_model=QueuedSearch)
def run_mapping(
    request: Request,
    _: NoBody,
    services: FromServices,
    hub: HubName,
    connector: DefinedName,
    name: DefinedName,
) -> Response:
    """Queues every matching blob version that is not ingested yet, those whose run failed among them."""
    from shared.arrivals.sweep import request_backfill

    stored = services.definitions.mapping(hub, connector, name)
    if stored.document.is_paused:
        raise ConflictError("MappingPaused", f"the mapping {name!r} is paused; resume it, which queues the same", name)
    request_backfill(services, stored)
    links = {"runs": _link(request, hub, stored), "progress": own_url(request, f"{_path(hub, stored)}/progress")}
    queued = QueuedSearch(message="the search for new blob versions is queued", **links)
    return JSONResponse(queued.model_dump(), HTTPStatus.ACCEPTED)


@router.get(f"{_ONE}/progress", response_model=Progress)
def get_progress(
    request: Request,
    reading: FromReading,
    services: FromServices,
    hub: HubName,
    connector: DefinedName,
    name: DefinedName,
) -> Response:
    """How far the newest `run` (or first PUT, or resume) has come; a script waits for `Done` or `Failed`."""
    from shared.arrivals.progress import progress

    stored = services.definitions.mapping(hub, connector, name)
    found = progress(services, hub, stored).model_copy(update={"runs": _link(request, hub, stored)})
    return reading.answer(found.to_json())


@router.post(f"{_ONE}/pause", response_model=Mapping)
def pause_mapping(
    _: NoBody,
    conditions: FromConditions,
    services: FromServices,
    hub: HubName,
    connector: DefinedName,
    name: DefinedName,
) -> Response:
    """Pauses a mapping, which is then `Stopped`: nothing is ingested until it is resumed, and nothing is lost."""
    from shared.arrivals.pause import pause_mapping as pause

    stored = pause(services, hub, connector, name, conditions)
    return answer_written(_shown(services, hub, stored).document.to_json(), stored.etag)


@router.post(f"{_ONE}/resume", response_model=Mapping)
def resume_mapping(
    _: NoBody,
    conditions: FromConditions,
    services: FromServices,
    hub: HubName,
    connector: DefinedName,
    name: DefinedName,
) -> Response:
    """Resumes a mapping: what came during the pause, and what waited before it, is ingested."""
    from shared.arrivals.pause import resume_mapping as resume

    stored = resume(services, hub, connector, name, conditions)
    return answer_written(_shown(services, hub, stored).document.to_json(), stored.etag)


def find_all(services: Services, at: Address) -> list[Stored[Mapping]]:
    """The mappings of a connector as answers show them."""
    from shared.arrivals.reconcile import with_next_run

    return with_next_run(services, at.hub, services.definitions.mappings(at.hub, at.connector))


def find(services: Services, at: Address) -> Stored[Mapping]:
    """A mapping as answers show it, with the id of the run that was queued last."""
    stored = services.definitions.mapping(at.hub, at.connector, at.name)
    newest = services.runs.newest_of_mapping(at.hub, at.connector, at.name)
    return _shown(services, at.hub, stored, newest.run_id if newest else None)


def put(services: Services, at: Address, mapping: Mapping, conditions: Conditions) -> tuple[Stored[Mapping], bool]:
    """Creates or replaces a mapping; gives it as answers show it, and whether it was created."""
    from shared.arrivals.put_mapping import put_mapping

    def may_list() -> AbstractContextManager[bool]:
        return calling_outside_if_free(at.hub)

    stored, created = put_mapping(services, at.hub, at.connector, at.name, mapping, conditions, may_list)
    return _shown(services, at.hub, stored), created


def _shown(services: Services, hub: str, stored: Stored[Mapping], run_id: str | None = None) -> Stored[Mapping]:
    from shared.arrivals.reconcile import with_next_run

    (found,) = with_next_run(services, hub, [stored])
    return replace(found, document=found.document.model_copy(update={"run_id": run_id}))


def _link(request: Request, hub: str, stored: Stored[Mapping]) -> str:
    mapping = stored.document
    return link_to_runs(request, hub, connector=mapping.connector_name, mapping=mapping.connector_mapping_name)


def _path(hub: str, stored: Stored[Mapping]) -> str:
    mapping = stored.document
    return f"/hubs/{hub}/connectors/{mapping.connector_name}/mappings/{mapping.connector_mapping_name}"
