"""Mappings that name containers, and how their use ends."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.store.definition_store import Change
from shared.definitions.store.kinds import CONNECTOR, MAPPING
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import HubError
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from tests.definitions.samples import mapping

OF_ANOTHER = "ContainerOfAnotherHub"


def reads(folder: str, moves_to: str | None = None) -> Mapping:
    operation: Any = {"completionOperationType": "MoveFile", "destinationFolder": moves_to} if moves_to else None
    return mapping(folderPath=folder, completeOperation=operation)


def put(definitions: Definitions, hub: str, via: str, name: str, wanted: Mapping) -> None:
    """PUTs a mapping whose containers are there, and has its connector list them."""
    definitions.put_mapping(hub, via, name, wanted)
    account = definitions.connectors.source_account(definitions.connector(hub, via))
    for container in {wanted.container, wanted.destination or wanted.container}:
        BlobContainer(account, container).ensure()
    definitions.connectors.test(hub, via)


def share(definitions: Definitions, hub: str, *containers: str) -> None:
    definitions.put_hub(hub, Hub.from_request({"sharedContainers": list(containers)}))


def refusal(act: Callable[[], object]) -> str | None:
    try:
        act()
    except HubError as error:
        return error.code
    return None


def use(definitions: Definitions, hub: str, name: str = "Customers", via: str = "Files") -> str | None:
    """How the use of a mapping's containers ends."""
    connector, stored = definitions.connector(hub, via), definitions.mapping(hub, via, name)
    return refusal(lambda: definitions.account_of_mapping(connector, stored))


def again(definitions: Definitions) -> Definitions:
    """The same definitions, as another process sees them that has not looked yet."""
    settings: Settings = definitions.connectors._settings
    return Definitions(definitions._store._table, Vaults(settings), Clock(settings), settings)


def damage(definitions: Definitions, hub: str, key: str) -> None:
    """Makes a stored definition one that this release cannot read; `key` is that of its row."""
    row = definitions._store._table.get(hub.lower(), key)
    assert row is not None
    kept = {name: row[name] for name in ("revision", "instanceId", "internal")}
    definitions._store.change(
        hub, lambda change: change.note(key, {**kept, "chunks": 1, "json0": '{"tags": "private"}'})
    )


def listening(definitions: Definitions, container: str) -> list[str]:
    """The hubs that hear of the blobs of a container."""
    return [one.hub for one in definitions.listeners("devstoreaccount1", container) if one.may_hear]


def stored_earlier(definitions: Definitions, hub: str, created: str, account: str = "") -> None:
    """Makes a mapping one of an earlier release, which did not note what its connector lists, nor since when."""

    def make(change: Change) -> None:
        for kind, names in ((CONNECTOR, ("Files",)), (MAPPING, ("Files", "Customers"))):
            old = definitions._store.require(kind, hub, *names)
            document = old.document.model_copy(update={"created": datetime.fromisoformat(created)})
            internal = {fact: value for fact, value in old.internal.items() if fact in {"account", "blob_endpoint"}}
            if account and kind is CONNECTOR:
                internal["account"] = account
            change.put(kind, names, document, old.instance_id, internal)

    definitions._store.change(hub, make)
