"""What a kind of connector is: declared once, in the folder of the kind, and listed in `kinds.py`."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

from pydantic import SecretStr

from shared.connectors.check import Check
from shared.connectors.reader import Reader
from shared.domain.documents.connectors import Connector
from shared.domain.schema_mark import Writer
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.key_vault import Vaults


class Direction(Enum):
    """Which way rows go, and what sets them off."""

    EVENTS = "read by events"
    POLLING = "read by polling"
    WRITTEN = "written to"


@dataclass(frozen=True)
class Trial:
    """What the check of a connection works with.

    Attributes:
        settings: of the process.
        vaults: those of the allow-list.
        secret: reads the secret of the connector at a place; HubError, for the check to tell, where it cannot be read.
        containers: those that the connector's mappings read.
        check_use: raises HubError for a container of an account that is not for the connector.
        writer: makes who writes to the destination, as what it writes is marked.
        take_over: whether a `metadata.json` of somebody else becomes the connector's own.
    """

    settings: Settings
    vaults: Vaults
    secret: Callable[[str], SecretStr]
    containers: Sequence[str]
    check_use: Callable[[StorageAccount, str], None]
    writer: Callable[[], Writer]
    take_over: bool


@dataclass(frozen=True)
class Found:
    """What the check of a connection found out.

    Attributes:
        checks: what was tried.
        is_let_in: whether the account or container lets the connector in.
        account: that it reads, where its secret names one.
    """

    checks: list[Check]
    is_let_in: bool = False
    account: StorageAccount | None = None


@dataclass(frozen=True)
class ConnectorKind[C: Connector]:
    """A kind of connector.

    Attributes:
        document: the model of its connectors, with their properties.
        direction: which way its rows go; None where there is no system behind it.
        example: `connectorProperties` as a request sends them.
        secrets: properties that are kept in Key Vault, beside those that their name or value gives away.
        check: tries a connection; None while this release keeps such connectors, but does not run them.
        remark: what `stateDetail` says of a connector whose connection works; None where it is empty then.
        reader: opens what it reads as batches of rows; None where it is not read, or not run.
        source: the URL, in a partner's vault, of the connection to the account whose containers its mappings read; None
            where it reads no blobs.
        destination: place of the secret that is the SAS of the container it writes to, as a JSON pointer into its
            properties; empty where it writes to none.
    """

    document: type[C]
    direction: Direction | None
    example: Mapping[str, Any]
    secrets: AbstractSet[str] = frozenset()
    check: Callable[[C, Trial], Found] | None = None
    remark: Callable[[C], str | None] = lambda _: None
    reader: Callable[..., Reader] | None = None
    source: Callable[[C], str] | None = None
    destination: str = ""

    @cached_property
    def name(self) -> str:
        """Its `connectorType`."""
        return self.document.type_name()
