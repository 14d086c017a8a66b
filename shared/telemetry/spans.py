"""Spans: what one piece of work did and for how long, from the event to the commit in one trace.

The trace travels in the queue messages as `traceparent` (https://www.w3.org/TR/trace-context), which messages of
earlier releases lack and their readers ignore. Without an endpoint to export to, no span is made.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.domain.errors import ClaimLostError, DeferredError, HubError, SkippedError, SupersededError
from shared.telemetry.export import EXPORTER
from shared.telemetry.logs import current_run

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span

TRACEPARENT = "traceparent"

_RUN_ID, _ERROR = "run.id", "error.type"
# Work that ends like this is done elsewhere, or later, or need not be done.
_NO_FAULTS = (ClaimLostError, DeferredError, SkippedError, SupersededError)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a function by the host, and the trace that the host has it in."""

    invocation_id: str
    traceparent: str


_call: ContextVar[_Call | None] = ContextVar("call", default=None)


@contextmanager
def called_by_host(invocation_id: str, traceparent: str) -> Iterator[None]:
    """Within it, `function_span` belongs to this call of the host's."""
    token = _call.set(_Call(invocation_id, traceparent))
    try:
        yield
    finally:
        _call.reset(token)


@contextmanager
def function_span(name: str, message: Any = None) -> Iterator[None]:
    """Records what a function does with an event or a queue message.

    It belongs to the trace of whoever sent the message, with a link to that of the host; to the host's where the
    message names none.

    Args:
        name: of the function.
        message: as it was sent.
    """
    recorders = EXPORTER.recorders()
    if recorders is None:
        yield
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind

    call = _call.get()
    sender = _context_of(message.get(TRACEPARENT) if isinstance(message, dict) else None)
    host = _context_of(call.traceparent if call else None)
    facts = {"faas.trigger": "pubsub", **_facts()}
    if call is not None:
        facts["faas.invocation_id"] = call.invocation_id
    parent, links = (sender, _links(host)) if sender else (host or Context(), [])
    started = recorders.tracer.start_span(name, parent, SpanKind.CONSUMER, facts, links)
    with _current(started):
        yield


@contextmanager
def span(name: str) -> Iterator[None]:
    """Records one step of the work in whose span it is, by name; it says of which run, and which error ended it."""
    recorders = EXPORTER.recorders()
    if recorders is None:
        yield
        return
    with _current(recorders.tracer.start_span(name, attributes=_facts())):
        yield


def note(facts: Mapping[str, str | int], error: str | None, *, is_fault: bool) -> None:
    """Adds facts to the span of the present step, and the code of what ended the run; `is_fault` if that failed it."""
    if EXPORTER.recorders() is None:
        return
    from opentelemetry.trace import get_current_span

    present = get_current_span()
    present.set_attributes(facts)
    if error is not None:
        _note_error(present, error, is_fault=is_fault)


def traced(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """The message with the trace that it is sent in; one that comes again stays in the trace that it has."""
    if TRACEPARENT in message or EXPORTER.recorders() is None:
        return message
    from opentelemetry.trace import get_current_span

    present = get_current_span().get_span_context()
    if not present.is_valid:
        return message
    return {**message, TRACEPARENT: f"00-{present.trace_id:032x}-{present.span_id:016x}-01"}


@contextmanager
def _current(started: "Span") -> Iterator[None]:
    from opentelemetry.trace import use_span

    # The texts of errors name blobs: a span has their codes.
    with use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            kind = error.code if isinstance(error, HubError) else type(error).__name__
            _note_error(started, kind, is_fault=not isinstance(error, _NO_FAULTS))
            raise


def _note_error(present: "Span", kind: str, *, is_fault: bool) -> None:
    from opentelemetry.trace import StatusCode

    present.set_attribute(_ERROR, kind)
    if is_fault:
        present.set_status(StatusCode.ERROR)


def _facts() -> dict[str, str]:
    run_id = current_run()
    return {} if run_id is None else {_RUN_ID: run_id}


def _context_of(traceparent: object) -> "Context | None":
    """The context that a `traceparent` names; None where it is none."""
    from opentelemetry.context import Context
    from opentelemetry.trace import get_current_span
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not isinstance(traceparent, str):
        return None
    found = TraceContextTextMapPropagator().extract({TRACEPARENT: traceparent}, Context())
    return found if get_current_span(found).get_span_context().is_valid else None


def _links(linked: "Context | None") -> "list[Link]":
    from opentelemetry.trace import Link, get_current_span

    return [] if linked is None else [Link(get_current_span(linked).get_span_context())]
