"""Each function tells all that works for it how long whoever waits for it goes on waiting."""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from function_app import app
from shared.deadline import EVENT_S, WORK_S, seconds_left
from shared.domain import function_names as names
from shared.triggers import blobs, exports, upkeep

HTTP = {names.HTTP_HUBS, names.HTTP_SERVICE}
FUNCTIONS = {function.get_function_name(): function.get_user_function() for function in app.get_functions()}


CONTEXT = SimpleNamespace(invocation_id="call-1", trace_context=SimpleNamespace(trace_parent=""))


class Told(Exception):  # noqa: N818
    """What a function was told when it began to work."""


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - HTTP, key=str))
def test_a_function_works_to_a_deadline(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin() -> None:
        raise Told(seconds_left())

    for module in (blobs, exports, upkeep):
        monkeypatch.setattr(module, "services", begin)
    function: Callable[..., Any] = FUNCTIONS[name]
    with pytest.raises(Told) as told:
        function(*(CONTEXT if each == "context" else None for each in inspect.signature(function).parameters))
    (left,) = told.value.args
    longest = EVENT_S if name == names.BLOB_CREATED else WORK_S
    assert longest - 5 < left <= longest
    assert seconds_left() > WORK_S
