"""Instances of types and values of KPIs, as they are now."""

import re
from collections.abc import Iterable
from itertools import product
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import RootModel
from starlette.requests import Request
from starlette.responses import Response

from shared.app import Services
from shared.domain.documents.entity_types import EntityType
from shared.domain.errors import ConflictError, NotFoundError
from shared.domain.names import NAME_PATTERN, check_name
from shared.domain.skip_token import read_key, write_token
from shared.http.protocol.conditions import FromReading
from shared.http.protocol.paging import DEFAULT_TOP, Page, SkipToken, Top, answer_page
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router
from shared.http.routes.origin import Expand, wants_origin, with_origin

router = new_router("data")

_ENCODED_SLASH = re.compile("%2F", re.IGNORECASE)
_MOST_SLASHES = 8  # of an id of which every way to write it is looked for

TypeName = Annotated[str, Path(alias="type", pattern=NAME_PATTERN)]
Filter = Annotated[
    str | None, Query(alias="$filter", description="OData condition, as in `Name eq 'Ann' and Age gt 17`")
]


class Instance(RootModel[dict[str, Any]]):
    """Values by the name of their field."""


_INSTANCE: dict[int | str, dict[str, Any]] = {200: {"description": "The instance; its fields by name"}}


# The order counts: the first route that matches answers, and `KPIs` is no type here.
@router.get("/hubs/{hub}/data/KPIs/{kpi}", response_model=Page[Instance])
def list_kpi_values(
    request: Request,
    services: FromServices,
    hub: HubName,
    kpi: DefinedName,
    top: Top = DEFAULT_TOP,
    skiptoken: SkipToken = None,
) -> Response:
    """The values of a KPI: the fields it is grouped by, `Timestamp`, `Value` and `CalculationTime`."""
    from shared.lake.read.instances import kpi_values

    start = None if skiptoken is None else read_key(skiptoken)
    stored = services.definitions.kpi(hub, kpi)
    with services.definitions.while_there(hub, stored):
        page = kpi_values(services.lake, stored.document, top, start)
    return answer_page(request, page.rows, None if page.next_key is None else write_token(page.next_key))


@router.get("/hubs/{hub}/data/{type:before_key}('{key:path}')", response_model=Instance, responses=_INSTANCE)
def get_instance_by_odata_key(
    reading: FromReading,
    services: FromServices,
    hub: HubName,
    type_name: Annotated[str, Path(alias="type")],
    key: str,
    expand: Expand = None,
) -> Response:
    """One instance by its id; a quote in the id is doubled."""
    return _answer_instance(reading, services, hub, check_name(type_name, "type"), key.replace("''", "'"), expand)


@router.get("/hubs/{hub}/data/{type}", response_model=Page[Instance])
def list_instances(
    request: Request,
    services: FromServices,
    hub: HubName,
    type_name: TypeName,
    top: Top = DEFAULT_TOP,
    skiptoken: SkipToken = None,
    where: Filter = None,
) -> Response:
    """The instances of a profile or interaction type, profiles in their merged state, by id."""
    from shared.expressions.odata_filter import condition
    from shared.lake.read.instances import instances

    start = None if skiptoken is None else read_key(skiptoken)
    stored = services.definitions.type_named(hub, type_name)
    wanted = None if where is None else condition(where, stored.document)
    with services.definitions.while_there(hub, stored):
        page = instances(services.lake, stored.document, wanted, top, start)
    return answer_page(request, page.rows, None if page.next_key is None else write_token(page.next_key))


@router.get("/hubs/{hub}/data/{type}/{key:path}", response_model=Instance, responses=_INSTANCE)
def get_instance(
    reading: FromReading,
    services: FromServices,
    hub: HubName,
    type_name: TypeName,
    key: str,
    expand: Expand = None,
) -> Response:
    """One instance by its id: of a profile the value of its first strong id, composite ones joined with `_`."""
    return _answer_instance(reading, services, hub, type_name, key, expand)


def _answer_instance(
    reading: FromReading, services: Services, hub: str, type_name: str, key: str, expand: str | None
) -> Response:
    find = with_origin if wants_origin(expand) else _instance
    stored = services.definitions.type_named(hub, type_name)
    entity_type = stored.document
    with services.definitions.while_there(hub, stored):
        found = find(services, hub, entity_type, _meant(services, entity_type, key))
    if found is None:
        raise NotFoundError("InstanceNotFound", f"the type {entity_type.type_name!r} has no instance of this id", "id")
    return reading.answer(found)


def _meant(services: Services, entity_type: EntityType, key: str) -> str:
    """The key that a request names.

    The Functions host decodes a path once, but leaves an encoded slash as it came: each `%2F` may mean either.

    Raises:
        ConflictError: there are instances of more than one such key.
    """
    first, *others = _ENCODED_SLASH.split(key)
    if not others:
        return key
    from shared.lake.read.instances import present_keys

    ways: Iterable[tuple[str, ...]] = product(("/", "%2F"), repeat=len(others))
    if len(others) > _MOST_SLASHES:
        ways = [("/",) * len(others), ("%2F",) * len(others)]
    keys = [first + "".join(map("".join, zip(signs, others, strict=True))) for signs in ways]
    found = present_keys(services.lake, entity_type, keys)
    if len(found) > 1:
        message = "there is an instance with '/' in its id and one with '%2F'; ask for the one that is meant by $filter"
        raise ConflictError("AmbiguousId", message, "id")
    return found[0] if found else key


def _instance(services: Services, _hub: str, entity_type: EntityType, key: str) -> dict[str, Any] | None:
    from shared.lake.read.instances import instance

    return instance(services.lake, entity_type, key)
