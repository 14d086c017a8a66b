"""A stand-in for Event Grid: a blob committed in Azurite becomes a `BlobCreated` event at the app's webhook.

At least once, like the real one: an event is kept on disk until the webhook took it, and at the start a sweep
over the containers announces what was committed and never noted.
"""

import json
import logging
import os
import queue
import threading
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient

from infra.local.azurite import ACCOUNT, Endpoints
from infra.local.event_store import BlobVersion, EventStore
from shared.domain.own_names import is_own_container

logger = logging.getLogger(__name__)

# As the deployed subscription filters: `infra/azure`.
_SUFFIXES = (".csv", ".csv.gz")
_FUNCTION = "blob_created"
_TOPIC = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    f"/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
)
# Event Grid's own schedule begins with 10 s and 30 s; a developer who restarts the app wants it sooner.
_RETRY_AFTER_S = (1, 2, 5, 10, 30, 60)
# Statuses after which the real one gives up at once, and 404: a function that this app does not have.
_NEVER_RETRIED = frozenset({400, 404, 413})
# The real one's default: https://learn.microsoft.com/azure/event-grid/delivery-and-retry
_ATTEMPTS = 30
_ANSWER_TAKES_AT_MOST_S = 30
_DELIVERIES_AT_ONCE = 8


@dataclass(frozen=True)
class Commit:
    """A change of one blob, as `azurite_guard.cjs` saw it pass."""

    version: BlobVersion
    kind: str
    length: int
    content_type: str | None
    blob_type: str
    request_id: str
    client_request_id: str


def read_commit(line: bytes, blob_port: int) -> Commit | None:
    """One line of the guard, or None when it is about something else than a blob of somebody's data.

    `kind` is the API that committed the blob (`PutBlob`, `PutBlockList`, `CopyBlob`), `Touch` for a change of
    metadata or properties, which gives a new ETag and no event, or `Delete`.
    """
    fact = json.loads(line)
    account, _, rest = fact["path"].removeprefix("/").partition("/")
    container, _, path = rest.partition("/")
    if fact["port"] != blob_port or account != ACCOUNT or fact["restype"] or not path:
        return None
    kind = _kind(fact)
    version = BlobVersion(unquote(container), unquote(path), (fact["etag"] or "").strip('"'))
    if kind is None or not is_announced(version.container, version.path):
        return None
    return Commit(
        version,
        kind,
        fact["length"] if kind == "PutBlob" else 0,
        fact["contentType"],
        fact["blobType"] or "BlockBlob",
        fact["requestId"] or "",
        fact["clientRequestId"] or "",
    )


def is_announced(container: str, path: str) -> bool:
    """Whether the subscription's filter lets a blob through."""
    return not is_own_container(container, is_own_account=True) and path.lower().endswith(_SUFFIXES)


class EventGrid:
    """Notes commits from the moment it is made, and delivers them from `start` on."""

    def __init__(self, database: Path, commits_fd: int, endpoints: Endpoints, functions_url: str) -> None:
        self._endpoints = endpoints
        self._blobs = BlobServiceClient.from_connection_string(endpoints.connection_string)
        self._store = EventStore(database)
        self._webhook = f"{functions_url}/runtime/webhooks/eventgrid?functionName={_FUNCTION}"
        self._client = httpx.Client(timeout=_ANSWER_TAKES_AT_MOST_S, trust_env=False)
        self._due: queue.PriorityQueue[tuple[float, int, BlobVersion, int]] = queue.PriorityQueue()
        self._noted: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        # Azurite writes its line while it answers, so reading waits for nothing, whatever else is slow.
        threading.Thread(target=self._read, args=(commits_fd,), name="commits", daemon=True).start()

    def start(self) -> None:
        """Deliver what is left from before, what a sweep finds, and from now on what is committed."""
        for sequencer, version in self._store.undelivered():
            self._due.put((0.0, sequencer, version, 0))
        self._threads = [threading.Thread(target=self._note_all, name="event grid notes", daemon=True)]
        for number in range(_DELIVERIES_AT_ONCE):
            self._threads.append(threading.Thread(target=self._deliver_all, name=f"event grid {number}", daemon=True))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop delivering; what is not delivered waits in the database."""
        self._stopping.set()
        self._noted.put(None)
        for _ in self._threads:
            self._due.put((0.0, -1, BlobVersion("", "", ""), 0))
        for thread in self._threads:
            thread.join(timeout=5)
        self._client.close()
        self._blobs.close()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as lines:
            for line in lines:
                self._noted.put(line)

    def _note_all(self) -> None:
        try:
            self._sweep()
        except AzureError:
            logger.exception("The sweep for blobs that were never announced failed")
        while (line := self._noted.get()) is not None and not self._stopping.is_set():
            try:
                if (commit := read_commit(line, self._endpoints.blob_port)) is not None:
                    self._note(commit)
            except Exception:
                logger.exception("A commit could not be announced")

    def _note(self, commit: Commit) -> None:
        if commit.kind == "Delete":
            self._store.forget(commit.version.container, commit.version.path)
        elif commit.kind == "Touch":
            self._store.mark_delivered(commit.version)
        else:
            self._add(commit.version, self._event(commit))

    def _add(self, version: BlobVersion, event: dict[str, Any]) -> None:
        sequencer = self._store.next_sequencer()
        event["data"]["sequencer"] = f"{sequencer:032X}"
        if self._store.add(version, sequencer, json.dumps(event)):
            self._due.put((0.0, sequencer, version, 0))

    def _event(self, commit: Commit) -> dict[str, Any]:
        length, content_type, blob_type = commit.length, commit.content_type, commit.blob_type
        version = commit.version
        try:
            found = self._blobs.get_blob_client(version.container, version.path).get_blob_properties()
            # Only of this very version: overwritten since, the facts of the request must do.
            if found.etag.strip('"') == version.etag:
                length, blob_type = found.size, found.blob_type
                content_type = found.content_settings.content_type
        except ResourceNotFoundError:
            pass
        return created_event(
            version,
            api=commit.kind,
            length=length,
            content_type=content_type,
            blob_type=str(getattr(blob_type, "value", blob_type)),
            url=f"{self._endpoints.blob}/{version.container}/{quote(version.path)}",
            request_id=commit.request_id,
            client_request_id=commit.client_request_id,
            time_of_event=datetime.now(UTC),
        )

    def _sweep(self) -> None:
        present: set[BlobVersion] = set()
        missed = []
        for container in self._blobs.list_containers():
            for blob in self._blobs.get_container_client(container.name).list_blobs():
                if not is_announced(container.name, blob.name):
                    continue
                version = BlobVersion(container.name, blob.name, blob.etag.strip('"'))
                present.add(version)
                if not self._store.knows(version):
                    missed.append((blob.last_modified, version, blob))
        for when, version, blob in sorted(missed, key=lambda m: (m[0], m[1].path)):
            self._add(
                version,
                created_event(
                    version,
                    api="PutBlob",
                    length=blob.size,
                    content_type=blob.content_settings.content_type,
                    blob_type=str(getattr(blob.blob_type, "value", blob.blob_type)),
                    url=f"{self._endpoints.blob}/{version.container}/{quote(version.path)}",
                    request_id=str(uuid.uuid4()),
                    client_request_id="",
                    time_of_event=when,
                ),
            )
        self._store.keep_only(present)

    def _deliver_all(self) -> None:
        while not self._stopping.is_set():
            due, sequencer, version, attempt = self._due.get()
            if sequencer < 0:
                return
            if (wait := due - time.monotonic()) > 0:
                # Not yet: put it back, and look again soon, since something newer may be due before it.
                self._due.put((due, sequencer, version, attempt))
                self._stopping.wait(min(wait, 0.1))
                continue
            if attempt >= _ATTEMPTS:
                logger.error("%s/%s: given up after %s attempts", version.container, version.path, attempt)
                self._store.mark_delivered(version)
            elif not self._deliver(version):
                pause = _RETRY_AFTER_S[min(attempt, len(_RETRY_AFTER_S) - 1)]
                self._due.put((time.monotonic() + pause, sequencer, version, attempt + 1))

    def _deliver(self, version: BlobVersion) -> bool:
        event = self._store.event(version)
        if event is None:
            return True
        headers = {
            "aeg-event-type": "Notification",
            "aeg-delivery-count": "0",
            "Content-Type": "application/json",
        }
        try:
            answer = self._client.post(self._webhook, content=f"[{event}]".encode(), headers=headers)
        except httpx.HTTPError as error:
            if not self._stopping.is_set():
                logger.warning("%s/%s: not delivered (%s), trying again", version.container, version.path, error)
            return False
        if answer.is_success or answer.status_code in _NEVER_RETRIED:
            if not answer.is_success:
                logger.error("%s/%s: given up after %s", version.container, version.path, answer.status_code)
            self._store.mark_delivered(version)
            return True
        logger.warning("%s/%s: answered %s, trying again", version.container, version.path, answer.status_code)
        return False


def created_event(
    version: BlobVersion,
    *,
    api: str,
    length: int,
    content_type: str | None,
    blob_type: str,
    url: str,
    request_id: str,
    client_request_id: str,
    time_of_event: datetime,
) -> dict[str, Any]:
    """A `BlobCreated` event in the Event Grid schema, but for its sequencer.

    Source: https://learn.microsoft.com/azure/event-grid/event-schema-blob-storage
    """
    return {
        "topic": _TOPIC,
        "subject": f"/blobServices/default/containers/{version.container}/blobs/{version.path}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "id": str(uuid.uuid4()),
        "eventTime": time_of_event.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "data": {
            "api": api,
            "clientRequestId": client_request_id,
            "requestId": request_id,
            "eTag": version.etag,
            "contentType": content_type or "application/octet-stream",
            "contentLength": length,
            "blobType": blob_type,
            "url": url,
            "storageDiagnostics": {"batchId": str(uuid.uuid4())},
        },
        "dataVersion": "",
        "metadataVersion": "1",
    }


def _kind(fact: dict[str, Any]) -> str | None:
    if fact["method"] == "DELETE":
        return "Delete" if fact["comp"] is None else None
    match fact["comp"]:
        case None:
            return "CopyBlob" if fact["copy"] else "PutBlob"
        case "blocklist":
            return "PutBlockList"
        case "metadata" | "properties" | "tags" | "tier" | "lease":
            return "Touch" if fact["etag"] else None
    return None
