"""The form of every document that travels over HTTP and lies in Table Storage.

Out: camelCase. In: property names and enum values in any case, booleans and numbers also as text, unknown
properties refused, read-only ones ignored.
"""

from collections.abc import Sequence
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from shared.domain.errors import FAULTS_LIMIT, Fault, InvalidRequestError
from shared.domain.refusals import refusal


class AnyCaseEnum(StrEnum):
    """An enum whose values are read in any case and written in one."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        text = str(value).casefold()
        return next((member for member in cls if member.value.casefold() == text), None)


class InconsistentError(ValueError):
    """What a validator finds wrong with a document as a whole: each becomes a fault of its own.

    Args:
        found: (property, message) pairs.
    """

    def __init__(self, found: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(message for _, message in found))
        self.found = tuple(found)


class Document(BaseModel):
    """A frozen document; `read_only` names the properties (camelCase) that only the server sets."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, allow_inf_nan=False
    )
    read_only: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _read_names_in_any_case(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, dict):
            return value
        known = _aliases(cls)
        named = {known.get(str(key).casefold(), str(key)): item for key, item in value.items()}
        if info.context == "request":
            ignored = {name.casefold() for name in cls.read_only}
            return {key: item for key, item in named.items() if key.casefold() not in ignored}
        if info.context == "stored" and cls.model_config.get("extra") == "forbid":
            return {key: item for key, item in named.items() if key in known.values()}
        return named

    @classmethod
    def from_request(cls, body: object) -> Self:
        """Reads a request body; raises InvalidRequestError naming every fault."""
        try:
            return cls.model_validate(body, context="request", by_alias=True, by_name=False)
        except ValidationError as error:
            raise invalid_request(error) from None

    @classmethod
    def from_stored(cls, document: object) -> Self:
        """Reads what was stored, also by a later release: its properties that this one does not know are left out."""
        return cls.model_validate(document, context="stored")

    def to_json(self) -> dict[str, Any]:
        """The document as JSON values with camelCase names, absent ones left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@cache
def _aliases(document: type[Document]) -> dict[str, str]:
    """The names of the properties as they are written, by the same without case."""
    return {field.alias.casefold(): field.alias for field in document.model_fields.values() if field.alias}


_CODES = {"missing": "MissingProperty", "extra_forbidden": "UnknownProperty", "enum": "UnknownValue"}


def invalid_request(
    error: ValidationError, skip: frozenset[str] = frozenset(), before: Sequence[Fault] = ()
) -> InvalidRequestError:
    """The error of a request that is not valid; of many faults it has the first, and how many more there are.

    Args:
        error: what pydantic found.
        skip: path elements that are no property (union tags).
        before: faults that were found earlier.
    """
    items = _each_once(error.errors(include_url=False))
    first = items[:FAULTS_LIMIT]
    found = [fault for item in first for fault in _faults(item, skip)]
    return InvalidRequestError([*before, *found], more=len(items) - len(first))


# What pydantic calls the two kinds of a `str | dict[str, str]`, in the place of an error.
_TEXT, _TEXTS = "str", "dict[str,str]"
_TEXT_OR_TEXTS = "text_or_texts"
# Whatever stands below it, a secret may have been put there by mistake.
_OF_CONNECTORS = "connectorProperties"


def _each_once(items: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """The errors of pydantic without those for the other kind, where a value may be a text or texts by language."""
    places = [item["loc"] for item in items]
    either = {place[: place.index(_TEXTS)] for place in places if _TEXTS in place}
    found = list[ErrorDetails]()
    for item in items:
        place = item["loc"]
        if place[-1:] == (_TEXT,) and place[:-1] in either:
            continue
        if place[-1:] == (_TEXTS,) and item["type"] == "dict_type":
            item["type"] = _TEXT_OR_TEXTS
        item["loc"] = tuple(part for part in place if part != _TEXTS)
        found.append(item)
    return found


def _faults(item: ErrorDetails, skip: frozenset[str]) -> list[Fault]:
    """What one error of pydantic says."""
    target = ""
    for part in item["loc"]:
        if isinstance(part, int):
            target += f"[{part}]"
        elif part not in skip and part != "[key]":
            target += f".{part}" if target else str(part)
    rule = item.get("ctx", {})
    cause = rule.get("error")
    if isinstance(cause, InconsistentError):
        prefix = f"{target}." if target else ""
        return [Fault("InvalidValue", f"{prefix}{name}", message) for name, message in cause.found]
    message = refusal(item["type"], item["input"], rule, is_secret=_OF_CONNECTORS in item["loc"])
    return [Fault(_CODES.get(item["type"], "InvalidValue"), target, message)]
