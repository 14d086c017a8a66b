"""Runs and their rejects, recorded as the app does."""

import tempfile
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.app import Services
from shared.domain.documents.mappings import ErrorManagement, ErrorManagementType
from shared.domain.documents.run import Run, RunBlob, RunKind
from shared.domain.own_names import rejects_path
from shared.domain.reject import Reject
from shared.ingest.reject_file import RejectFile
from shared.ledger.stored_run import StoredRun

START = datetime(2026, 11, 22, 14, 15, tzinfo=UTC)


def record(services: Services, hub: str, number: int = 0, **facts: Any) -> Run:
    """Records a run; the higher its number, the later it was queued."""
    run = Run(
        run_id=uuid.uuid4().hex,
        kind=facts.pop("kind", RunKind.INGEST),
        connector=facts.pop("connector", "Files"),
        mapping=facts.pop("mapping", "Contacts"),
        entity_type="Profile",
        entity_type_name="Contact",
        blob=RunBlob(container="inbox", path="in/a b.csv", etag="0x8D", size=12, sequencer="00ff"),
        queued_at=START + timedelta(seconds=number),
        **facts,
    )
    assert services.runs.create(StoredRun(hub=hub.removeprefix("/hubs/"), run=run))
    return run


def keep(services: Services, hub: str, run: Run, rejects: Iterable[Reject]) -> str:
    """Stores rejects as ingestion does, and returns the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rejects.csv"
        rule = ErrorManagement(error_management_type=ErrorManagementType.REJECT_AND_CONTINUE)
        with RejectFile(path, rule) as file:
            file.add(rejects)
        services.run_files.ensure()
        name = hub.removeprefix("/hubs/")
        stored = services.runs.get(name, run.run_id)
        assert stored is not None
        stored = services.runs.save(replace(stored, rejects=rejects_path(name, run.run_id, "first")))
        services.run_files.upload_file(str(stored.rejects), path)
        return path.read_bytes().decode()
