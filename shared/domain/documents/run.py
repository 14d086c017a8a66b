"""Runs: the record of one piece of work, kept from the first sign of it to its end."""

import hashlib
import re
from datetime import datetime
from typing import Any, Self

from pydantic import Field as Property

from shared.domain.blob_version import BlobVersion
from shared.domain.documents.document import AnyCaseEnum, Document
from shared.domain.errors import HubError

# What a service is said to have done (`storage/translate.py`) that did not answer, or asked to wait.
_NO_ANSWER = frozenset({"StorageUnavailable", "Throttled"})
_WORKER_LOST, _UNEXPECTED = "WorkerLost", "InternalError"
_RUN_ID = re.compile(r"[0-9a-f]{32}")


class RunKind(AnyCaseEnum):
    """What a run does."""

    INGEST = "Ingest"
    EXPORT = "Export"
    KPI = "Kpi"
    CLEANUP = "Cleanup"


class RunState(AnyCaseEnum):
    """Life of a run."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    PARTIALLY_SUCCEEDED = "PartiallySucceeded"
    FAILED = "Failed"
    SUPERSEDED = "Superseded"
    SKIPPED = "Skipped"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self not in {RunState.QUEUED, RunState.RUNNING}


class RunError(Document):
    """Why a run ended as it did."""

    code: str
    message: str

    @classmethod
    def of(cls, error: HubError) -> Self:
        """The same reason as an error's."""
        return cls(code=error.code, message=error.message)

    @classmethod
    def unexpected(cls, error: Exception) -> Self:
        """That an attempt ended by an error that nobody foresaw."""
        kind = type(error).__name__
        message = f"an unexpected {kind} ended the attempt; the log has it under this run's id"
        return cls(code=_UNEXPECTED, message=message)

    @classmethod
    def worker_lost(cls) -> Self:
        """That no attempt lived to say why it failed."""
        message = "the worker ended in the middle of every attempt; see the log of its instance"
        return cls(code=_WORKER_LOST, message=message)

    @property
    def is_ours(self) -> bool:
        """Whether further attempts would end the same way, by a fault of the app: somebody has to look first."""
        return self.code in {_WORKER_LOST, _UNEXPECTED}

    @property
    def is_no_answer(self) -> bool:
        """Whether a storage account did not answer, or asked to wait."""
        return self.code in _NO_ANSWER


class RunBlob(Document):
    """The blob version of an Ingest run."""

    container: str
    path: str
    etag: str
    size: int | None = None
    sequencer: str | None = None


class Run(Document):
    """A run as HTTP gives it; `rows_read == rows_ingested + rows_rejected` always.

    Attributes:
        blob: of Ingest runs.
        slot: of Export runs, the quarter of an hour they are for.
        details: further facts by kind (ignored columns, deleted exports, ...).
        duration_ms: milliseconds of the last attempt, by the monotonic clock.
    """

    run_id: str
    kind: RunKind
    connector: str | None = None
    mapping: str | None = None
    entity_type: str | None = None
    entity_type_name: str | None = None
    blob: RunBlob | None = None
    slot: datetime | None = None
    state: RunState = RunState.QUEUED
    rows_read: int = 0
    rows_ingested: int = 0
    rows_rejected: int = 0
    bytes_read: int = 0
    attempts: int = 0
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    error: RunError | None = None
    details: dict[str, Any] = Property(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The run as JSON values with camelCase names; empty details are left out."""
        body = super().to_json()
        if not self.details:
            body.pop("details", None)
        return body


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run's id, so that it may be looked up."""
    return _RUN_ID.fullmatch(text) is not None


def ingest_run_id(hub: str, connector: str, mapping: str, mapping_id: str, version: BlobVersion) -> str:
    """The id of the one run of a blob version for a mapping.

    `mapping_id` tells a mapping from an earlier one of the same name, which had its own runs.
    """
    return _digest(
        "ingest",
        hub.lower(),
        connector.lower(),
        mapping.lower(),
        mapping_id,
        version.container,
        version.path,
        version.etag,
    )


def export_run_id(hub: str, connector_instance: str, entity_type: str, entity_name: str, slot: datetime) -> str:
    """The id of the one run of an export slot of one entity of one connector."""
    return _digest("export", hub.lower(), connector_instance, entity_type, entity_name.lower(), slot.isoformat())


def kpi_run_id(hub: str, kpi: str, kpi_instance: str, due: datetime) -> str:
    """The id of the run that calculates a KPI at a due time; one made anew, in another hub perhaps, has its own."""
    return _digest("kpi", hub.lower(), kpi.lower(), kpi_instance, due.isoformat())


def cleanup_run_id(hub: str, connector_instance: str, due: datetime) -> str:
    """The id of the run that deletes a connector's expired exports at a due time."""
    return _digest("cleanup", hub.lower(), connector_instance, due.isoformat())


def blob_ledger_key(mapping_id: str, container: str, path: str) -> str:
    """The key under which the versions of one blob for one mapping are ordered."""
    return _digest("blob", mapping_id, container, path)


def run_ledger_key(run_id: str) -> str:
    """The key under which it is known that the rows of a run are in, whatever versions of its blob come later."""
    return f"run-{run_id}"


def _digest(*parts: str) -> str:
    # Each part is preceded by its length, so that no two lists of parts read the same.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
