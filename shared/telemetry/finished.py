"""The end of a run, as operators see it: its log line, facts on its span, and what the metrics count."""

import json
import logging
from typing import Any

from shared.domain.documents.run import Run, RunState
from shared.telemetry.metrics import count_run
from shared.telemetry.spans import note

logger = logging.getLogger(__name__)

# Attributes of the span, and what they are called in the log.
_SHOWN = {
    "run.kind": "kind",
    "run.state": "state",
    "run.attempts": "attempts",
    "run.rows.read": "rowsRead",
    "run.rows.ingested": "rowsIngested",
    "run.rows.rejected": "rowsRejected",
}


def log_finished(hub: str, run: Run, *, is_corrected: bool = False) -> None:
    """Logs a finished run as `run finished {json}`; alerts and the runbook's queries read this line.

    Args:
        hub: name of the hub.
        run: as it is recorded.
        is_corrected: whether it had finished before; what it came to then is counted already.
    """
    facts: dict[str, Any] = {
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
    note({name: facts[key] for name, key in _SHOWN.items()}, facts["errorCode"], is_fault=run.state is RunState.FAILED)
    if not is_corrected:
        count_run(run)
