"""Microsoft's worker library, in a thread of its own as the real host has it in a process of its own.

So the host goes on answering, and keeps messages invisible, while an `async` function blocks its loop.
"""

import asyncio
import json
import os
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import azure_functions_runtime as library

from infra.local.functions_host import messages
from infra.local.functions_host.host_json import ConfigurationError, resolve_settings

type Binding = dict[str, Any]


class InvocationFailedError(Exception):
    """The app's function raised, or the worker refused its result."""

    def __init__(self, message: str, stack_trace: str) -> None:
        super().__init__(message)
        self.stack_trace = stack_trace


@dataclass(frozen=True)
class Function:
    """An indexed function; `%NAME%` in its bindings is resolved."""

    name: str
    function_id: str
    trigger: Binding
    outputs: tuple[Binding, ...]

    @property
    def kind(self) -> str:
        """Its trigger's type in lower case, such as `httptrigger`."""
        return str(self.trigger["type"]).lower()


class Worker:
    """The indexed app. One per process: the library keeps the app in module globals."""

    def __init__(self, app_dir: Path) -> None:
        """Index `function_app.py`.

        Raises:
            ConfigurationError: The worker refuses the app, or a setting is missing; the message says why.
        """
        # The library imports the app from sys.path, and the app expects to run in its own folder.
        sys.path.insert(0, str(app_dir))
        os.chdir(app_dir)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="worker", daemon=True).start()
        library.start_threadpool_executor()
        self.functions = asyncio.run_coroutine_threadsafe(_index(app_dir), self._loop).result()

    async def invoke(
        self,
        function: Function,
        invocation_id: str,
        data: messages.TypedData,
        trigger_metadata: Mapping[str, messages.TypedData] | None = None,
    ) -> messages.InvocationResponse:
        """Run a function once and wait for its end.

        Raises:
            InvocationFailedError: It raised.
        """
        request = SimpleNamespace(
            invocation_id=invocation_id,
            function_id=function.function_id,
            input_data=[messages.ParameterBinding(name=function.trigger["name"], data=data)],
            trigger_metadata=dict(trigger_metadata or {}),
            trace_context=SimpleNamespace(
                trace_parent=f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01",
                trace_state="",
                attributes={},
            ),
            retry_context=SimpleNamespace(retry_count=0, max_retry_count=0, exception=None),
        )
        call = library.invocation_request(_request("invocation_request", request))
        answer = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(call, self._loop))
        if answer.result.status != messages.StatusResult.Success:
            raise InvocationFailedError(answer.result.exception.message, answer.result.exception.stack_trace)
        return answer  # type: ignore[no-any-return]


async def _index(app_dir: Path) -> dict[str, Function]:
    initial = SimpleNamespace(capabilities={}, function_app_directory=str(app_dir))
    _accepted(await library.worker_init_request(_request("worker_init_request", initial)))
    answer = await library.functions_metadata_request(_request("functions_metadata_request", SimpleNamespace()))
    _accepted(answer)
    if not answer.function_metadata_results:
        raise ConfigurationError(f"{app_dir} has no functions: function_app.py is missing or registers none.")
    functions = {}
    for metadata in answer.function_metadata_results:
        load = SimpleNamespace(function_id=metadata.function_id, metadata=metadata)
        _accepted(await library.function_load_request(_request("function_load_request", load)))
        bindings = [resolve_settings(json.loads(raw), f"Function {metadata.name}") for raw in metadata.raw_bindings]
        functions[metadata.name] = Function(
            metadata.name,
            metadata.function_id,
            next(b for b in bindings if b["type"].lower().endswith("trigger")),
            tuple(b for b in bindings if str(b["direction"]).lower() in {"out", "1"}),
        )
    return functions


def _request(name: str, content: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(
        request=SimpleNamespace(**{name: content}), properties={"host": "127.0.0.1", "protos": messages}
    )


def _accepted(answer: Any) -> None:
    if answer.result.status != messages.StatusResult.Success:
        exception = answer.result.exception
        raise ConfigurationError(f"The worker refuses the app: {exception.message}\n{exception.stack_trace}")
