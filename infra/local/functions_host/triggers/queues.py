"""Storage queue triggers: one listener per function, with the semantics of the queues extension."""

import asyncio
import base64
import binascii
import contextlib
import json
import logging
import os
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue import QueueMessage

from infra.local.functions_host import messages
from infra.local.functions_host.host_json import QueueOptions
from infra.local.functions_host.invocations import Invocations, connect_queue, create_queue
from infra.local.functions_host.worker import Function, InvocationFailedError

logger = logging.getLogger(__name__)

_POISON = "-poison"
# The real host hides a message for ten minutes. Here a run that a crash interrupted has to be taken up again soon;
# and yet storage may stop for ten seconds without a second delivery. Tests of crashes need not wait as long.
_INVISIBLE_S = int(os.environ.get("LOCAL_QUEUE_INVISIBLE_S", "20"))
_RENEW_EVERY_S = _INVISIBLE_S / 4
_IDLE_AT_LEAST_S = 0.02
_IDLE_AT_MOST_S = 0.25
_AFTER_STORAGE_ERROR_S = 1.0


class QueueListener:
    """Takes messages of one queue, runs its function for each, and settles them."""

    def __init__(self, function: Function, options: QueueOptions, invocations: Invocations) -> None:
        self._function = function
        self._options = options
        self._invocations = invocations
        name = function.trigger["queueName"]
        connection = function.trigger.get("connection")
        self._queue = connect_queue(connection, name)
        # As in the extension: the poison queue of a poison queue is none.
        self._poison = None if name.endswith(_POISON) else connect_queue(connection, name + _POISON)
        self._running: set[asyncio.Task[None]] = set()

    async def listen(self, stopping: asyncio.Event) -> None:
        """Take messages until told to stop; returns when those that run then are settled."""
        await self._create_queues(stopping)
        idle = _IDLE_AT_LEAST_S
        while not stopping.is_set():
            if len(self._running) > self._options.new_batch_threshold:
                await asyncio.wait(self._running, timeout=_IDLE_AT_MOST_S, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                batch = await self._call(self._receive)
            except AzureError as error:
                logger.warning("Queue %s cannot be read: %s", self._queue.queue_name, error)
                await _sleep(stopping, _AFTER_STORAGE_ERROR_S)
                continue
            for message in batch:
                task = asyncio.create_task(self._process(message))
                self._running.add(task)
                task.add_done_callback(self._running.discard)
            idle = _IDLE_AT_LEAST_S if batch else min(idle * 2, _IDLE_AT_MOST_S)
            await _sleep(stopping, idle)
        if self._running:
            await asyncio.wait(self._running)

    async def _create_queues(self, stopping: asyncio.Event) -> None:
        for client in filter(None, (self._queue, self._poison)):
            while not stopping.is_set():
                try:
                    await self._call(create_queue, client)
                    break
                except AzureError as error:
                    logger.warning("Queue %s cannot be created: %s", client.queue_name, error)
                    await _sleep(stopping, _AFTER_STORAGE_ERROR_S)

    def _receive(self) -> list[QueueMessage]:
        try:
            pages = self._queue.receive_messages(
                max_messages=self._options.batch_size,
                messages_per_page=self._options.batch_size,
                visibility_timeout=_INVISIBLE_S,
            ).by_page()
            return list(next(pages, ()))
        except ResourceNotFoundError:
            create_queue(self._queue)
            return []

    async def _process(self, message: QueueMessage) -> None:
        raw = message.content
        if self._poison is not None and (message.dequeue_count or 0) > self._options.max_dequeue_count:
            # Its last attempt was not settled: it ended with the host that made it.
            await self._settle(self._move_to_poison, message, raw)
            return
        try:
            data = _decode(raw) if self._options.base64 else messages.TypedData(string=raw)
        except (binascii.Error, ValueError):
            logger.error("Queue %s: message %s is not base64", self._queue.queue_name, message.id)
            await self._settle(self._move_to_poison, message, raw)
            return
        renewing = asyncio.create_task(self._keep_invisible(message))
        try:
            reason = f"message {message.id}, delivery {message.dequeue_count}"
            await self._invocations.run(self._function, data, trigger_metadata(message), reason=reason)
            failed = False
        except InvocationFailedError:
            failed = True
        finally:
            renewing.cancel()
            # A renewal under way changes the receipt that the next call needs.
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
        if not failed:
            await self._settle(self._delete, message)
        elif self._poison is None:
            return  # As the extension does: it stays invisible until its time is over, so it does not spin.
        elif (message.dequeue_count or 0) >= self._options.max_dequeue_count:
            await self._settle(self._move_to_poison, message, raw)
        else:
            await self._settle(self._release, message)

    async def _keep_invisible(self, message: QueueMessage) -> None:
        while True:
            await asyncio.sleep(_RENEW_EVERY_S)
            renewal = asyncio.ensure_future(self._call(self._renew, message, _INVISIBLE_S))
            try:
                await asyncio.shield(renewal)
            except asyncio.CancelledError:
                with contextlib.suppress(AzureError):
                    await renewal
                raise
            except AzureError as error:
                logger.warning("Message %s could not be kept invisible: %s", message.id, error)

    async def _settle(self, step: Any, message: QueueMessage, *arguments: Any) -> None:
        try:
            await self._call(step, message, *arguments)
        except ResourceNotFoundError:
            # Settled already: an answer that was lost on the way, or the message ran out of its time.
            logger.warning("Message %s is no longer ours", message.id)
        except AzureError as error:
            logger.error("Message %s could not be settled and will come again: %s", message.id, error)

    def _renew(self, message: QueueMessage, visible_in: float) -> None:
        renewed = self._queue.update_message(message, visibility_timeout=round(visible_in))
        message.pop_receipt = renewed.pop_receipt

    def _release(self, message: QueueMessage) -> None:
        self._renew(message, self._options.visibility_timeout)

    def _delete(self, message: QueueMessage) -> None:
        self._queue.delete_message(message)

    def _move_to_poison(self, message: QueueMessage, raw: str) -> None:
        if self._poison is not None:
            try:
                self._poison.send_message(raw)
            except ResourceNotFoundError:
                create_queue(self._poison)
                self._poison.send_message(raw)
            logger.error("Message %s moved to %s", message.id, self._poison.queue_name)
        self._queue.delete_message(message)

    async def _call(self, call: Any, *arguments: Any) -> Any:
        return await self._invocations.storage_call(call, *arguments)


def trigger_metadata(message: QueueMessage) -> dict[str, messages.TypedData]:
    """What the host tells the worker of a queue message besides its content."""

    def when(value: Any) -> messages.TypedData:
        return messages.TypedData(json=json.dumps(value.isoformat() if value else None))

    return {
        "Id": messages.TypedData(string=message.id),
        "PopReceipt": messages.TypedData(string=message.pop_receipt),
        "DequeueCount": messages.TypedData(json=str(message.dequeue_count or 0)),
        "InsertionTime": when(message.inserted_on),
        "ExpirationTime": when(message.expires_on),
        "NextVisibleTime": when(message.next_visible_on),
    }


def _decode(raw: str) -> messages.TypedData:
    content = base64.b64decode(raw, validate=True)
    try:
        return messages.TypedData(string=content.decode())
    except UnicodeDecodeError:
        return messages.TypedData(bytes=content)


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
