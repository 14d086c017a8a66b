"""What HTTP needs to know about a kind of definition: a row of the table in `routes/table.py`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from shared.app import Services
from shared.definitions.store.definition_store import Conditions, Stored
from shared.domain.documents.document import Document
from shared.http.protocol.paging import Page
from shared.http.protocol.routing import DefinedName, HubName


@dataclass(frozen=True)
class Address:
    """The names in a path; empty are those that it does not have. A hub is named by `hub` and `name`."""

    hub: str = ""
    connector: str = ""
    name: str = ""


@dataclass(frozen=True)
class Place:
    """Where definitions are.

    Attributes:
        path: of what they belong to; empty if that is the service itself.
        parameter: of the path of one definition, which takes its name.
        owner: dependency of a route that gives the address of what they belong to.
        one: dependency of a route that gives the address of one of them.
        require: raises NotFoundError if what they belong to does not exist.
    """

    path: str
    parameter: str
    owner: Callable[..., Awaitable[Address]]
    one: Callable[..., Awaitable[Address]]
    require: Callable[[Services, Address], object]


@dataclass(frozen=True)
class Model[D: Document]:
    """The documents of a kind as they travel.

    Attributes:
        answer: what an answer holds, for the OpenAPI document.
        page: what a page of their list holds.
        forms: the documents that a body may be, one or several.
        read: reads a body; raises InvalidRequestError naming every fault.
    """

    answer: Any
    page: type[BaseModel]
    forms: tuple[type[D], ...]
    read: Callable[[dict[str, Any]], D]


@dataclass(frozen=True)
class Read[F: Callable[..., Any]]:
    """An action that changes nothing.

    Attributes:
        says: its description in the OpenAPI document.
        do: carries it out.
    """

    says: str
    do: F


@dataclass(frozen=True)
class Write[F: Callable[..., Any]]:
    """An action that changes what is stored, if the conditions of the request are met.

    Attributes:
        says: its description in the OpenAPI document.
        do: carries it out.
    """

    says: str
    do: F


type FindAll[D] = Callable[[Services, Address], Sequence[Stored[D]]]
type Find[D] = Callable[[Services, Address], Stored[D]]
type Put[D] = Callable[[Services, Address, D, Conditions], tuple[Stored[D], bool]]
type Delete = Callable[[Services, Address, Conditions], object]


@dataclass(frozen=True)
class Resource[D: Document]:
    """One kind of definition.

    Each of its actions is a `Read` or a `Write`; whoever has a function key may do both.

    Attributes:
        area: heading of its routes in the OpenAPI document.
        place: where its definitions are.
        collection: last segment of the path of their list.
        singular, plural: what the routes of one definition, and of the list, are named after.
        model: its documents.
        columns: those that `$orderby` takes; the first one holds the name.
        example: of the body of a PUT.
        find_all: gives the definitions of an owner that exists, in the order of their names.
        find: gives one definition; raises NotFoundError if it, or what it belongs to, does not exist.
        put: creates or replaces one; tells whether it was created.
        delete: does nothing if there is nothing to delete.
        may_be_empty: whether a PUT needs no body.
        is_held_to_name: whether a body that names itself otherwise than the path is refused.
        actions: the routes that this kind has beside the four.
    """

    area: str
    place: Place
    collection: str
    singular: str
    plural: str
    model: Model[D]
    columns: tuple[str, ...]
    example: dict[str, Any]
    find_all: Read[FindAll[D]]
    find: Read[Find[D]]
    put: Write[Put[D]]
    delete: Write[Delete]
    may_be_empty: bool = False
    is_held_to_name: bool = False
    actions: APIRouter | None = None

    @property
    def list_path(self) -> str:
        """The path of the list."""
        return f"{self.place.path}/{self.collection}"

    @property
    def path(self) -> str:
        """The path of one definition."""
        return f"{self.list_path}/{{{self.place.parameter}}}"


def model_of[D: Document](form: type[D]) -> Model[D]:
    """The model of a kind whose documents have one form."""
    return Model(form, Page[form], (form,), form.from_request)  # type: ignore[valid-type] # known when it runs


# Coroutines do not wait for a thread.
async def _service() -> Address:
    return Address()


async def _hub_itself(hub: HubName) -> Address:
    return Address(hub, name=hub)


async def _hub(hub: HubName) -> Address:
    return Address(hub)


async def _in_hub(hub: HubName, name: DefinedName) -> Address:
    return Address(hub, name=name)


async def _connector(hub: HubName, connector: DefinedName) -> Address:
    return Address(hub, connector)


async def _in_connector(hub: HubName, connector: DefinedName, name: DefinedName) -> Address:
    return Address(hub, connector, name)


IN_SERVICE = Place("", "hub", _service, _hub_itself, lambda _, __: None)
IN_HUB = Place("/hubs/{hub}", "name", _hub, _in_hub, lambda services, at: services.definitions.hub(at.hub))
IN_CONNECTOR = Place(
    "/hubs/{hub}/connectors/{connector}",
    "name",
    _connector,
    _in_connector,
    lambda services, at: services.definitions.connector(at.hub, at.connector),
)
