"""A call of a function by the host: how long it may take, and the trace that the host has it in."""

from collections.abc import Iterator
from contextlib import contextmanager

import azure.functions as func

from shared.deadline import deadline
from shared.telemetry.spans import called_by_host


@contextmanager
def call(context: func.Context, seconds: float) -> Iterator[None]:
    """Within it, work ends by a deadline so many seconds from now, and its spans belong to the call."""
    with deadline(seconds), called_by_host(context.invocation_id, context.trace_context.trace_parent):
        yield
