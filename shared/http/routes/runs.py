"""Runs: what became of each blob version and export slot, and the rows that were refused."""

from functools import partial
from http import HTTPStatus
from typing import Annotated

from fastapi import Path, Query
from pydantic import BeforeValidator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from shared.app import Services
from shared.domain.documents.run import Run, RunKind, RunState
from shared.domain.errors import NotFoundError
from shared.domain.names import DefinitionName
from shared.http.protocol.conditions import FromReading
from shared.http.protocol.csv_answer import FromCsvRequest, StoredCsv
from shared.http.protocol.csv_body import CsvBody, csv_body, one_by_one
from shared.http.protocol.paging import DEFAULT_TOP, Page, SkipToken, Top, answer_page
from shared.http.protocol.routing import FromServices, HubName, new_router
from shared.ingest.reject_file import HEADER
from shared.ledger.stored_run import StoredRun

router = new_router("runs")

_EMPTY_IS_ANY = BeforeValidator(lambda value: value or None)

RunId = Annotated[str, Path(alias="runId")]

_NO_REJECTS = f"{','.join(HEADER)}\n".encode()
_TEXT = {"content": {"text/csv": {"schema": {"type": "string"}}}}


@router.get("/hubs/{hub}/runs", response_model=Page[Run])
def list_runs(
    request: Request,
    services: FromServices,
    hub: HubName,
    connector: Annotated[DefinitionName | None, _EMPTY_IS_ANY] = None,
    mapping: Annotated[DefinitionName | None, _EMPTY_IS_ANY] = None,
    kind: Annotated[RunKind | None, _EMPTY_IS_ANY] = None,
    state: Annotated[RunState | None, _EMPTY_IS_ANY] = None,
    top: Top = DEFAULT_TOP,
    skiptoken: SkipToken = None,
) -> Response:
    """Runs, newest first."""
    services.definitions.hub(hub)
    runs, token = services.runs.page(hub, connector, mapping, kind, state, top, skiptoken)
    return answer_page(request, [run.to_json() for run in runs], token)


@router.get("/hubs/{hub}/runs/{runId}", response_model=Run)
def get_run(reading: FromReading, services: FromServices, hub: HubName, run_id: RunId) -> Response:
    """One run."""
    return reading.answer(_run(services, hub, run_id).run.to_json())


@router.get(
    "/hubs/{hub}/runs/{runId}/rejects",
    response_class=Response,
    responses={200: _TEXT, 206: {**_TEXT, "description": "The range that was asked for, at most 64 MiB of it"}},
)
def get_rejects(
    reading: FromReading,
    asked: FromCsvRequest,
    services: FromServices,
    hub: HubName,
    run_id: RunId,
    top: Annotated[int | None, Query(alias="$top", ge=1, description="Rejects at most; all without it")] = None,
) -> Response:
    """The rows that the run refused and that are not corrected yet, as CSV: line, column, code, message, raw text.

    At most 64 MiB of it; of more, the first with `$top`, or one `Range` of bytes after the other.
    """
    csv = _rejects(services, hub, _run(services, hub, run_id))
    return reading.unchanged(csv.etag) or asked.answer(csv, top)


@router.post(
    "/hubs/{hub}/runs/{runId}/rejects",
    status_code=202,
    response_model=Run,
    responses={200: {"model": Run, "description": "These very rows were taken before; nothing changes"}},
    openapi_extra=csv_body("line,id,name,age\n7,C7,Ann,41\n"),
)
def correct_rejects(body: CsvBody, services: FromServices, hub: HubName, run_id: RunId) -> Response:
    """Ingests corrected rows under the same run, once.

    The CSV has the columns of the file. Its column `line` names the reject that a row replaces; without it rows stand
    for the open rejects in their order.
    """
    from shared.repair.request_correction import bytes_to_read, request_correction

    stored = _run(services, hub, run_id)
    work = partial(request_correction, services, stored.hub, stored.run.run_id, body.content, body.encoding)
    taken = one_by_one(hub, bytes_to_read(services, stored, body.content), work)
    status = HTTPStatus.OK if taken.run.state.is_final else HTTPStatus.ACCEPTED
    return JSONResponse(taken.run.to_json(), status)


def _run(services: Services, hub: str, run_id: str) -> StoredRun:
    services.definitions.hub(hub)
    # Ids are hexadecimal; what is none is not looked up, since keys of a table take few characters.
    stored = services.runs.get(hub, run_id.lower()) if run_id.isalnum() and run_id.isascii() else None
    if stored is None:
        raise NotFoundError("RunNotFound", f"the hub {hub!r} has no such run; /runs lists them", "runId")
    return stored


def _rejects(services: Services, hub: str, stored: StoredRun) -> StoredCsv:
    if (path := stored.rejects) is not None:
        found = services.run_files.properties(path)
        return StoredCsv(hub, found.etag, found.size, partial(services.run_files.read, path, found.etag))
    if stored.run.rows_rejected:
        raise NotFoundError("RejectsMissing", "the file of the run's rejects is not known any more", "runId")
    return StoredCsv(hub, "none", len(_NO_REJECTS), lambda start, end: iter([_NO_REJECTS[start:end]]))
