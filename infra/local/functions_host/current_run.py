"""Which run of which function the calling code belongs to, for the log."""

import contextvars

from azure_functions_runtime.utils.executor import invocation_id_cv

_current: contextvars.ContextVar[str | None] = contextvars.ContextVar("invocation", default=None)
running: dict[str, str] = {}


def enter_run(invocation_id: str, function_name: str) -> contextvars.Token[str | None]:
    """Note the begin of a run in the calling task, and in what that starts."""
    running[invocation_id] = function_name
    return _current.set(invocation_id)


def leave_run(invocation_id: str, token: contextvars.Token[str | None]) -> None:
    """Note its end."""
    del running[invocation_id]
    _current.reset(token)


def describe_current_run() -> str:
    """Function and invocation id, or `-` outside any run."""
    # The library sets its own variable in the threads that run synchronous functions.
    invocation_id = _current.get() or invocation_id_cv.get()
    return "-" if invocation_id is None else f"{running.get(invocation_id, '?')} {invocation_id}"
