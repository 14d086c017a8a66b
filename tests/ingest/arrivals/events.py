"""What Event Grid says of a blob that was committed."""

from typing import Any
from urllib.parse import quote

from infra.local.azurite import ACCOUNT
from shared.domain.blob_version import BlobVersion
from tests.ingest.conftest import ROWS, World

type Event = dict[str, Any]

TOPIC = f"/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"


def event(world: World, path: str = "a.csv", etag: str = "0x1", container: str = "", **data: Any) -> Event:
    """`BlobCreated` as Event Grid sends it, of a blob in the hub's container or another one."""
    container = container or world.container
    return {
        "id": f"{path}/{etag}",
        "topic": TOPIC,
        "subject": f"/blobServices/default/containers/{container}/blobs/{path}",
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": "2026-11-22T14:15:16.1234567Z",
        "dataVersion": "",
        "metadataVersion": "1",
        "data": {
            "api": "PutBlob",
            "eTag": etag,
            "contentLength": len(ROWS),
            "blobType": "BlockBlob",
            "url": f"{world.azurite.blob}/{container}/{quote(path, errors='surrogatepass')}",
            "sequencer": "00000000000004420000000000028963",
            **data,
        },
    }


def announced(world: World, version: BlobVersion, **data: Any) -> Event:
    return event(world, version.path, version.etag, version.container, **data)
