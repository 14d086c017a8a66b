"""Runs as tests record them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.clock import Clock
from shared.domain.documents.run import Run, RunBlob, RunKind
from shared.ledger.runs import Runs
from shared.ledger.stored_run import StoredRun
from shared.settings import Settings

START = datetime(2026, 11, 22, 14, 0, tzinfo=UTC)
CLOCK = Clock(Settings())


def run(run_id: str = "a", minute: int = 0, hub: str = "Contoso", **facts: Any) -> StoredRun:
    document = Run(
        **{
            "run_id": run_id,
            "kind": RunKind.INGEST,
            "connector": "Files",
            "mapping": "Customers",
            "blob": RunBlob(container="inbox", path="a.csv", etag="0x1"),
            "queued_at": START + timedelta(minutes=minute),
            **facts,
        }
    )
    return StoredRun(hub=hub, run=document, ledger_key="key", mapping_instance="m1")


def created(runs: Runs, stored: StoredRun) -> StoredRun:
    assert runs.create(stored)
    found = runs.get(stored.hub, stored.run.run_id)
    assert found is not None
    return found
