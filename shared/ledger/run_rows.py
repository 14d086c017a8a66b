"""The rows of a run in the table `runs`, all in the partition of its hub; which there are `runs.py` says."""

import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.domain.documents.correction import Correction
from shared.domain.errors import FatalError
from shared.domain.names import name_key
from shared.ledger.attempt_notes import notes_to_json, read_notes
from shared.ledger.run_document import read_run_and_notes, write_run
from shared.ledger.stored_run import StoredRun
from shared.storage.tables import ETAG, Delete, FilterValue, Insert, Operation, Replace, Row, Upsert, rows_below

RUN, TIME, OPEN, RETRY, BLOB, CORRECTION = "run|", "time|", "open|", "retry|", "blob|", "correction|"
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECONDS = timedelta(microseconds=1)
_LAST_TICK = 10**18 - 1
# What lists read of a run; its own row has everything.
_OF_TIME = ("PartitionKey", "kind", "state", "connector", "mapping", "run")
_OF_OPEN = ("PartitionKey", "runId", "state", "mappingInstance", "changed")
_OF_RETRY = ("PartitionKey", "runId", "retryAt")


def inserting(stored: StoredRun) -> tuple[list[Operation], str]:
    """The operations that record a run anew, and the id of their write."""
    row, write_id = _row(stored)
    operations: list[Operation] = [
        Insert({**row, "RowKey": run_key(stored)}),
        Insert(_listed(row, _OF_TIME, _time_key(stored))),
    ]
    if not stored.run.state.is_final:
        operations.append(Insert(_listed(row, _OF_OPEN, _open_key(stored))))
    if stored.retry_at is not None:
        operations.append(Insert(_listed(row, _OF_RETRY, _retry_key(stored))))
    return operations, write_id


def replacing(stored: StoredRun) -> tuple[list[Operation], str]:
    """The operations that change the record of a run, that of its ETag alone, and the id of their write."""
    row, write_id = _row(stored)
    operations: list[Operation] = [
        Replace({**row, "RowKey": run_key(stored)}, stored.etag),
        Upsert(_listed(row, _OF_TIME, _time_key(stored))),
    ]
    if not stored.run.state.is_final:
        operations.append(Upsert(_listed(row, _OF_OPEN, _open_key(stored))))
    elif stored.was_open:
        operations.append(Delete(row["PartitionKey"], _open_key(stored)))
    if stored.retry_at is not None:
        operations.append(Upsert(_listed(row, _OF_RETRY, _retry_key(stored))))
    elif stored.had_retry:
        operations.append(Delete(row["PartitionKey"], _retry_key(stored)))
    return operations, write_id


def deleting(stored: StoredRun) -> list[Operation]:
    """The operations that take the record of a run away, that of its ETag alone."""
    partition = name_key(stored.hub)
    operations: list[Operation] = [
        Delete(partition, run_key(stored), stored.etag),
        Delete(partition, _time_key(stored)),
    ]
    if stored.was_open:
        operations.append(Delete(partition, _open_key(stored)))
    if stored.had_retry:
        operations.append(Delete(partition, _retry_key(stored)))
    return operations


def _row(stored: StoredRun) -> tuple[Row, str]:
    run, write_id = stored.run, uuid.uuid4().hex
    row: Row = {
        "PartitionKey": name_key(stored.hub),
        "runId": run.run_id,
        "kind": run.kind.value,
        "state": run.state.value,
        "connector": name_key(run.connector) if run.connector else None,
        "mapping": name_key(run.mapping) if run.mapping else None,
        "takes": stored.claims,
        "number": stored.number,
        "order": str(stored.order),
        "ledgerKey": stored.ledger_key,
        "claimedBy": stored.claimed_by,
        "claimedUntil": stored.claimed_until,
        "changed": stored.changed,
        "isRetryable": stored.is_retryable,
        "retryAt": stored.retry_at,
        "mappingInstance": stored.mapping_instance,
        "hubInstance": stored.hub_instance,
        "correction": stored.correction.model_dump_json() if stored.correction else None,
        "rejects": stored.rejects,
        "destination": stored.destination,
        "lakePath": stored.lake_path,
        "owes": stored.owes,
        "notes": json.dumps(notes_to_json(stored.notes)) if stored.notes else None,
        "writeId": write_id,
        "run": write_run(run, stored.notes),
    }
    return row, write_id


def stored_of(hub: str, row: Row) -> StoredRun:
    """The run of one of its rows; its ETag guards changes where the row is `run|ID`."""
    run, earlier_notes = read_run_and_notes(row["run"])
    return StoredRun(
        hub=hub,
        run=run,
        etag=row[ETAG],
        claims=row.get("takes") or 0,
        number=row.get("number"),
        order=int(row["order"]),
        ledger_key=row.get("ledgerKey"),
        claimed_by=row.get("claimedBy"),
        claimed_until=row.get("claimedUntil"),
        changed=row.get("changed"),
        is_retryable=row["isRetryable"],
        mapping_instance=row.get("mappingInstance"),
        hub_instance=row.get("hubInstance"),
        was_open=not run.state.is_final,
        had_retry=row.get("retryAt") is not None,
        correction=Correction.model_validate_json(correction) if (correction := row.get("correction")) else None,
        rejects=row.get("rejects"),
        destination=row.get("destination"),
        lake_path=row.get("lakePath"),
        owes=row.get("owes"),
        notes=read_notes(json.loads(notes)) if (notes := row.get("notes")) else earlier_notes,
    )


def rows_of(hub: str, prefix: str) -> tuple[str, dict[str, FilterValue]]:
    """The filter of the rows of one kind in a hub, and its values."""
    return rows_below(name_key(hub), prefix)


def _listed(row: Row, columns: Sequence[str], key: str) -> Row:
    return {name: row[name] for name in columns} | {"RowKey": key}


def run_key(stored: StoredRun) -> str:
    """Key of the row by which a run is found."""
    return f"{RUN}{stored.run.run_id}"


def _open_key(stored: StoredRun) -> str:
    return f"{OPEN}{stored.run.run_id}"


def _retry_key(stored: StoredRun) -> str:
    return f"{RETRY}{stored.run.run_id}"


def correction_key(stored: StoredRun, digest: str) -> str:
    """Key of the row that says that a run was given a correction."""
    return f"{CORRECTION}{stored.run.run_id}|{digest}"


def counter_key(stored: StoredRun) -> tuple[str, str]:
    """Partition and key of the row that says how far the versions of a run's blob are numbered."""
    if stored.ledger_key is None:
        raise FatalError("RunWithoutBlob", f"the run {stored.run.run_id} has no blob to number")
    return name_key(stored.hub), f"{BLOB}{stored.ledger_key}"


def _time_key(stored: StoredRun) -> str:
    ticks = (stored.run.queued_at - _EPOCH) // _MICROSECONDS
    return f"{TIME}{_LAST_TICK - ticks:018d}|{stored.run.run_id}"
