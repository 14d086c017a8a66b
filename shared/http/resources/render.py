"""The routes of a kind of definition, from its row."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from shared.domain.documents.document import Document
from shared.http.protocol.body import read_object, read_optional_object, require_same_name
from shared.http.protocol.conditions import FromConditions, FromReading, answer_written
from shared.http.protocol.openapi import json_body
from shared.http.protocol.order import OrderBy, answer_sorted
from shared.http.protocol.paging import DEFAULT_TOP, SkipToken, Top
from shared.http.protocol.routing import FromServices, new_router
from shared.http.resources.resource import Address, Resource


def routes_of[D: Document](row: Resource[D]) -> list[BaseRoute]:
    """The four routes of a row, and the actions beside them."""
    router = new_router(row.area)
    _add_reads(router, row)
    _add_writes(router, row)
    return [*router.routes, *(row.actions.routes if row.actions else ())]


def _add_reads[D: Document](router: APIRouter, row: Resource[D]) -> None:
    name, says = f"list_{row.plural}", row.find_all.says

    @router.get(row.list_path, response_model=row.model.page, name=name, description=says)
    def find_all(
        request: Request,
        services: FromServices,
        at: Annotated[Address, Depends(row.place.owner)],
        top: Top = DEFAULT_TOP,
        skiptoken: SkipToken = None,
        orderby: OrderBy = None,
    ) -> Response:
        row.place.require(services, at)
        found = [stored.document.to_json() for stored in row.find_all.do(services, at)]
        return answer_sorted(request, found, row.columns, orderby, top, skiptoken)

    @router.get(row.path, response_model=row.model.answer, name=f"get_{row.singular}", description=row.find.says)
    def find(reading: FromReading, services: FromServices, at: Annotated[Address, Depends(row.place.one)]) -> Response:
        stored = row.find.do(services, at)
        return reading.answer(stored.document.to_json(), stored.etag)


def _add_writes[D: Document](router: APIRouter, row: Resource[D]) -> None:
    model = row.model

    @router.put(
        row.path,
        response_model=model.answer,
        responses={201: {"model": model.answer, "description": "Created"}},
        openapi_extra=json_body(*model.forms, example=row.example, required=not row.may_be_empty),
        name=f"put_{row.singular}",
        description=row.put.says,
    )
    def put(
        body: Annotated[dict[str, Any], Depends(read_optional_object if row.may_be_empty else read_object)],
        conditions: FromConditions,
        services: FromServices,
        at: Annotated[Address, Depends(row.place.one)],
    ) -> Response:
        if row.is_held_to_name:
            require_same_name(body, row.columns[0], at.name)
        stored, created = row.put.do(services, at, model.read(body), conditions)
        status = HTTPStatus.CREATED if created else HTTPStatus.OK
        return answer_written(stored.document.to_json(), stored.etag, status)

    @router.delete(row.path, status_code=204, name=f"delete_{row.singular}", description=row.delete.says)
    def delete(
        conditions: FromConditions, services: FromServices, at: Annotated[Address, Depends(row.place.one)]
    ) -> Response:
        row.delete.do(services, at, conditions)
        return Response(status_code=HTTPStatus.NO_CONTENT)
