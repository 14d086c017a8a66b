"""Log lines: whatever is logged about a run names it, so that one search finds all that became of a blob or a slot."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from shared.domain.errors import HubError

logger = logging.getLogger(__name__)

_OURS = "shared"
_run_id: ContextVar[str | None] = ContextVar("run_id", default=None)


@contextmanager
def failing_alone(what: str, **where: str) -> Iterator[None]:
    """Logs an error, so that the hub, mapping or table it is about does not hold up the others.

    Args:
        what: is being done.
        where: names of what it is done to, by their kind: `hub="Contoso"`.
    """
    try:
        yield
    except HubError as error:
        logger.error("%s failed: %s: %s", what, _words(where), error)
    except Exception:
        logger.exception("%s failed: %s: unexpected", what, _words(where))


@contextmanager
def at_run(run_id: str | None) -> Iterator[None]:
    """Within it, and in threads that work for it, log lines of the app name the run; None for work at no run."""
    token = _run_id.set(run_id)
    try:
        yield
    finally:
        _run_id.reset(token)


def current_run() -> str | None:
    """The id of the run that this thread works for; None for work at no run."""
    return _run_id.get()


def name_runs_in_logs() -> None:
    """Has every record of the app's loggers name its run: as `run_id`, and in its text.

    Done where records are made, for the handlers are the host's own, and it adds them when it likes.
    """
    make = logging.getLogRecordFactory()

    def make_with_run(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        run_id = _run_id.get()
        if run_id is not None and record.name.partition(".")[0] == _OURS:
            record.run_id = run_id
            text = record.getMessage()
            if run_id not in text:
                record.msg, record.args = f"{text} [run {run_id}]", None
        return record

    logging.setLogRecordFactory(make_with_run)


def _words(where: Mapping[str, str]) -> str:
    return " ".join(f"{kind} {name}" for kind, name in where.items())
