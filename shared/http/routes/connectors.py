"""What can be done with a connector beside keeping its definition: trying its connection."""

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from shared.domain.documents.document import Document
from shared.http.protocol.body import OptionalJsonObject
from shared.http.protocol.openapi import json_body
from shared.http.protocol.outside_calls import calling_outside
from shared.http.protocol.routing import DefinedName, FromServices, HubName, new_router

router = new_router("connectors")


class ConnectionTestRequest(Document):
    """What is to be done beside trying the connection.

    `takeOver`: each `metadata.json` of a listed entity that somebody else wrote to the destination becomes the
    connector's own, and is replaced by the next export. Of Outbound connectors only.
    """

    take_over: bool = False


class ConnectionCheck(BaseModel):
    """One thing that was tried, and what was found."""

    name: str
    ok: bool
    message: str


class ConnectionTest(BaseModel):
    """The outcome of trying a connection."""

    ok: bool
    checks: list[ConnectionCheck]


@router.post(
    "/hubs/{hub}/connectors/{name}/test",
    response_model=ConnectionTest,
    openapi_extra=json_body(ConnectionTestRequest, example={"takeOver": True}, required=False),
)
def try_connector(body: OptionalJsonObject, services: FromServices, hub: HubName, name: DefinedName) -> Response:
    """Tries the connection for real; the connector is `Ready` or `Failed` afterwards."""
    wanted = ConnectionTestRequest.from_request(body)
    with calling_outside(hub):
        checks = services.definitions.connectors.test(hub, name, take_over=wanted.take_over)
    found = [ConnectionCheck(name=check.name, ok=check.ok, message=check.message) for check in checks]
    return JSONResponse(ConnectionTest(ok=all(check.ok for check in checks), checks=found).model_dump())
