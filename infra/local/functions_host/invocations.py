"""Runs functions: logs each run, writes its output bindings, and knows what is still running."""

import asyncio
import base64
import contextlib
import json
import logging
import os
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient

from infra.local.azurite import ACCOUNT_KEY
from infra.local.functions_host import messages
from infra.local.functions_host.current_run import enter_run, leave_run, running
from infra.local.functions_host.host_json import ConfigurationError
from infra.local.functions_host.worker import Binding, Function, InvocationFailedError
from infra.local.functions_host.workers import Workers

logger = logging.getLogger(__name__)

_DEVELOPMENT_STORAGE = (
    f"DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey={ACCOUNT_KEY};"
    "BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;"
    "TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
)
_STORAGE_CALLS_AT_ONCE = 16


class Invocations:
    """Every run of a function goes through here."""

    def __init__(self, workers: Workers, *, base64_messages: bool) -> None:
        self._workers = workers
        self._base64 = base64_messages
        self._background: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(_STORAGE_CALLS_AT_ONCE, thread_name_prefix="storage")

    async def run(
        self,
        function: Function,
        data: messages.TypedData,
        trigger_metadata: Mapping[str, messages.TypedData] | None = None,
        *,
        reason: str,
    ) -> Any:
        """Run a function and write its output bindings.

        Returns:
            What the function returned, as the worker encoded it (TypedData or None).

        Raises:
            InvocationFailedError: It raised, or an output could not be written. Logged already.
        """
        invocation_id = str(uuid.uuid4())
        token = enter_run(invocation_id, function.name)
        started = time.monotonic()
        try:
            logger.debug("Executing: %s", reason)
            answer = await self._workers.next().invoke(function, invocation_id, data, trigger_metadata)
            await self._write_outputs(function, answer)
        except InvocationFailedError as error:
            logger.error("Failed after %.0f ms (%s): %s\n%s", *_since(started, reason), error, error.stack_trace)
            raise
        else:
            logger.info("Executed in %.0f ms (%s)", *_since(started, reason))
            return answer.return_value
        finally:
            leave_run(invocation_id, token)

    def run_later(
        self,
        function: Function,
        data: messages.TypedData,
        trigger_metadata: Mapping[str, messages.TypedData] | None = None,
        *,
        reason: str,
    ) -> None:
        """Run a function without waiting for it; how it ended is in the log."""

        async def run() -> None:
            with contextlib.suppress(InvocationFailedError):
                await self.run(function, data, trigger_metadata, reason=reason)

        self.in_background(run())

    def in_background(self, work: Any) -> None:
        """Keep a coroutine going until it ends."""
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def storage_call(self, call: Any, *arguments: Any, **options: Any) -> Any:
        """Run a call of a storage SDK in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: call(*arguments, **options))

    async def drain(self, deadline: float) -> list[str]:
        """Wait until nothing runs any more, or it is `deadline` by the monotonic clock; returns what still runs."""
        while running and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        return sorted(running.values())

    async def _write_outputs(self, function: Function, answer: messages.InvocationResponse) -> None:
        given: dict[str, messages.TypedData | None] = {output.name: output.data for output in answer.output_data}
        given["$return"] = answer.return_value
        for binding in function.outputs:
            data = given.get(binding["name"])
            if binding["type"].lower() != "queue" or data is None:
                continue
            try:
                for text in output_messages(data):
                    await self.storage_call(self._send, binding, text)
            except Exception as error:
                raise InvocationFailedError(f"output binding {binding['name']}: {error}", "") from error

    def _send(self, binding: Binding, text: str) -> None:
        content = base64.b64encode(text.encode()).decode() if self._base64 else text
        with connect_queue(binding.get("connection"), binding["queueName"]) as client:
            try:
                client.send_message(content)
            except ResourceNotFoundError:
                create_queue(client)
                client.send_message(content)


def output_messages(data: messages.TypedData) -> list[str]:
    """The texts that a value for a queue output binding stands for: one, or one per element of a list."""
    value = data.value()
    if isinstance(value, bytes):
        return [value.decode()]
    if data.WhichOneof("data") != "json":
        return [str(value)]
    content = json.loads(value)
    items = content if isinstance(content, list) else [content]
    return [_message_text(item) for item in items]


def connect_queue(connection: str | None, queue_name: str) -> QueueClient:
    """A client for a queue of the storage account that an app setting names.

    Raises:
        ConfigurationError: The setting is missing.
    """
    name = connection or "AzureWebJobsStorage"
    text = os.environ.get(name, "")
    if not text:
        raise ConfigurationError(f"Queue {queue_name}: the app setting {name} with its connection string is missing.")
    if text.strip().lower().rstrip(";") == "usedevelopmentstorage=true":
        text = _DEVELOPMENT_STORAGE
    return QueueClient.from_connection_string(text, queue_name, retry_total=2, connection_timeout=5, read_timeout=15)


def create_queue(client: QueueClient) -> None:
    """Create a queue where it is not there yet."""
    with contextlib.suppress(ResourceExistsError):
        client.create_queue()


def _message_text(item: Any) -> str:
    # azure.functions encodes a QueueMessage as {"id", "body"}.
    if isinstance(item, dict) and set(item) == {"id", "body"}:
        return str(item["body"])
    return item if isinstance(item, str) else json.dumps(item)


def _since(started: float, reason: str) -> tuple[float, str]:
    return (time.monotonic() - started) * 1000, reason
