"""What operators see: one log line at the end of each run and of what failed outside of one; facts, no content."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.domain.documents.run import Run, RunState
from shared.domain.errors import HubError

logger = logging.getLogger(__name__)


def log_finished(hub: str, run: Run) -> None:
    """Logs a finished run as `run finished {json}`; alerts and the runbook's queries read this line."""
    facts = {
        "runId": run.run_id,
        "kind": run.kind.value,
        "hub": hub,
        "connector": run.connector,
        "mapping": run.mapping,
        "entityTypeName": run.entity_type_name,
        "state": run.state.value,
        "rowsRead": run.rows_read,
        "rowsIngested": run.rows_ingested,
        "rowsRejected": run.rows_rejected,
        "bytesRead": run.bytes_read,
        "attempts": run.attempts,
        "durationMs": run.duration_ms,
        "errorCode": run.error.code if run.error else None,
    }
    level = logging.ERROR if run.state is RunState.FAILED else logging.INFO
    logger.log(level, "run finished %s", json.dumps(facts))


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


def _words(where: Mapping[str, str]) -> str:
    return " ".join(f"{kind} {name}" for kind, name in where.items())
