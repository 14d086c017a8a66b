"""How requests find their route: fixed segments in any case, names checked, one slash at the end let pass."""

import re
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from fastapi.routing import APIRoute
from starlette.convertors import StringConvertor, register_url_convertor
from starlette.requests import Request

from shared.app import Services
from shared.domain.errors import Fault, InvalidRequestError
from shared.domain.names import HUB_PATTERN, NAME_PATTERN
from shared.domain.shown import shown
from shared.http.protocol.error_answers import ErrorBody

_OF_AZURE = frozenset({"api-version", "code", "clientid"})


# These are coroutines, which do not wait for a thread: `/health/live` is answered while none is free.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _check_options(request: Request) -> None:
    """Refuses options that the route does not have, and any option of the route that stands there twice.

    Without this, a misspelt `$filter` or `state` would answer everything. Where all options of a route begin with `$`,
    other parameters are none of our business; those of Azure and of its host nowhere are.
    """
    known = {field.alias for field in request.scope["route"].dependant.query_params}
    has_plain = any(not name.startswith("$") for name in known)
    given = [name for name, _ in request.query_params.multi_items()]
    faults = [
        Fault("UnknownOption", name, f"this route does not know the option {shown(name)}; remove it")
        for name in dict.fromkeys(given)
        if name not in known and (name.startswith("$") or (has_plain and name.casefold() not in _OF_AZURE))
    ]
    faults += [
        Fault("RepeatedOption", name, "this option stands there more than once; give it once")
        for name in dict.fromkeys(given)
        if name in known and given.count(name) > 1
    ]
    if faults:
        raise InvalidRequestError(faults)


class _BeforeKey(StringConvertor):
    """The name of a type before `('`: it ends at the first bracket, wherever else the id that follows has one.

    Any other text would let the expression try each of them in turn, for a time that grows with their square.
    """

    regex = "[^/(]+"


register_url_convertor("before_key", _BeforeKey())


class AnyCaseRoute(APIRoute):
    """A route whose fixed segments match in any case, as those of the 2017 service and the Functions host do."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"/?\Z", re.IGNORECASE | re.DOTALL)


def new_router(area: str) -> APIRouter:
    """A router for one area of the API."""
    return APIRouter(
        route_class=AnyCaseRoute,
        tags=[area],
        dependencies=[Depends(_check_options)],
        responses={"default": {"model": ErrorBody, "description": "What is wrong, where, and what to do"}},
    )


FromServices = Annotated[Services, Depends(_services)]
HubName = Annotated[str, Path(pattern=HUB_PATTERN)]
DefinedName = Annotated[str, Path(pattern=NAME_PATTERN)]
