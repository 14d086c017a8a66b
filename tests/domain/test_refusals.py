"""What is said of a value that a model refuses: in plain words, with the rule and what to do, none of pydantic's."""

import json
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ValidationError

from shared.connectors.kinds import KINDS, connector_from_request, kind_named
from shared.domain import refusals
from shared.domain.documents.document import Document
from shared.domain.documents.entity_types import InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.kpis import Kpi
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import Fault, InvalidRequestError
from shared.http.routes.connectors import ConnectionTestRequest
from shared.http.routes.mappings import PreviewRequest
from shared.http.routes.suggestions import SuggestRequest

MODELS: dict[str, type[Document]] = {
    model.__name__: model
    for model in (
        Hub, ProfileType, InteractionType, Kpi, Mapping, ConnectionTestRequest, PreviewRequest, SuggestRequest,
    )
}  # fmt: skip
CONNECTOR = "Connector"
SCENARIOS = json.loads(Path(__file__).with_name("refusals.json").read_text(encoding="utf-8"))
# What pydantic says of itself: of a pattern, a type, a range, a length, a validator of ours.
STOCK = ("should", "Input", "Value error", "Field required", "Extra inputs", "valid dictionary", "instance of")
BAD: list[Any] = [
    None, True, 5, 0, -1, 1.5, 1e999, 10**30, "9" * 5000, "", "x", "a" * 5000, "nothing", "\ud800", "2026-13-45",
    [], [None], [5], ["\ud800"], ["x"] * 6000, {}, {"x": None}, {"x": 5}, {"x": ["y"]},
]  # fmt: skip


def faults(model: str, body: object) -> tuple[Fault, ...]:
    read = connector_from_request if model == CONNECTOR else MODELS[model].from_request
    try:
        read(body)
    except InvalidRequestError as error:
        return error.details
    return ()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_what_is_said(scenario: dict[str, Any]) -> None:
    found = {fault.target: fault.message for fault in faults(scenario["model"], scenario["body"])}
    assert {target: found.get(target) for target in scenario["says"]} == scenario["says"]
    assert not set(found) & set(scenario.get("not", []))


def places(model: type[BaseModel]) -> Iterator[list[str | int]]:
    """Where a value can stand in a body of the model, item 0 of lists and of objects what has the name `key`."""
    for field in model.model_fields.values():
        name = field.alias or ""
        yield [name]
        yield from ([name, *rest] for rest in within(field.annotation))


def within(annotation: Any) -> Iterator[list[str | int]]:
    origin, args = get_origin(annotation), get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield from places(annotation)
    elif origin in {Union, UnionType}:
        for one in args:
            yield from within(one)
    elif origin is list:
        yield [0]
        yield from ([0, *rest] for rest in within(args[0]))
    elif origin is dict:
        yield ["key"]
        yield from (["key", *rest] for rest in within(args[1]))
    elif args:  # of `Annotated`
        yield from within(args[0])


def body_with(place: list[str | int], value: Any) -> Any:
    for part in reversed(place):
        value = [value] if part == 0 else {part: value}
    return value


def bodies() -> Iterator[tuple[str, Any]]:
    for name, model in MODELS.items():
        yield from ((name, value) for value in BAD)
        for place in places(model):
            yield from ((name, body_with(place, value)) for value in BAD)
    yield from ((CONNECTOR, value) for value in BAD)
    for kind in KINDS:
        for place in places(kind.document):
            for value in BAD:
                yield CONNECTOR, {"connectorType": kind.name, **body_with(place, value)}


def kinds_of(model: str, body: object) -> set[str]:
    """The kinds of error that pydantic finds."""
    read = MODELS.get(model)
    if read is None:
        kind = kind_named(body.get("connectorType")) if isinstance(body, dict) else None
        if kind is None:
            return set()
        read = kind.document
    try:
        read.model_validate(body, context="request", by_alias=True, by_name=False)
    except ValidationError as error:
        return {item["type"] for item in error.errors(include_url=False, include_input=False)}
    return set()


def test_there_are_words_for_each_kind_that_a_model_can_raise_and_for_no_other() -> None:
    kinds = {kind for model, body in bodies() for kind in kinds_of(model, body)}
    assert kinds == set(refusals._TELLINGS) - {"text_or_texts"}


def test_no_model_says_what_pydantic_says() -> None:
    said = {fault.message: (fault.target, model) for model, body in bodies() for fault in faults(model, body)}
    assert {text: said[text] for text in said if any(stock in text for stock in STOCK)} == {}
    assert {text: said[text] for text in said if "/openapi.json" in text} == {}, "each kind has words of its own"


def test_a_value_of_either_of_two_kinds_is_refused_once() -> None:
    (fault,) = (fault for fault in faults("Hub", {"tags": 5}))
    assert fault.target == "tags"
    given = [fault for fault in faults("Kpi", {"displayName": 5}) if fault.target.startswith("displayName")]
    assert [fault.target for fault in given] == ["displayName"]


def test_an_error_that_nobody_knows_says_nothing_of_its_own() -> None:
    assert "pydantic" not in refusals.refusal("uuid_parsing", "x", {"error": "pydantic"})
    with pytest.raises(ValidationError):  # the stock wording is there to be found at all
        Hub.model_validate({"location": 5})
