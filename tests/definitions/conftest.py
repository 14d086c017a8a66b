import itertools
import uuid
from collections.abc import Iterator

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.domain.documents.hubs import Hub
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.samples import files, profile
from tests.local_services import account_of, container_sas, development, running_vault

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def vault(azurite: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    with running_vault(tmp_path_factory.mktemp("vault"), azurite) as vault:
        yield vault


@pytest.fixture(scope="session")
def settings(azurite: Endpoints, vault: KeyVault) -> Settings:
    return development(azurite, vault.url)


@pytest.fixture
def table(azurite: Endpoints) -> Table:
    return Table(account_of(azurite), f"definitions{next(_NUMBERS)}x{uuid.uuid4().hex[:8]}")


@pytest.fixture
def definitions(table: Table, settings: Settings) -> Definitions:
    return Definitions(table, Vaults(settings), Clock(settings), settings)


@pytest.fixture
def hub(definitions: Definitions) -> str:
    definitions.put_hub("Contoso", Hub.from_request({}))
    return "Contoso"


@pytest.fixture
def hubs(definitions: Definitions, vault: KeyVault) -> Definitions:
    """`Zeta`, which comes first, and `Alpha`, each with a connector to the same account."""
    for hub in ("Zeta", "Alpha"):
        definitions.put_hub(hub, Hub())
        definitions.put_entity_type(hub, "Customer", profile())
        definitions.connectors.put(hub, "Files", files(vault))
    return definitions


@pytest.fixture(scope="session")
def partner_sas(azurite: Endpoints) -> str:
    """A good SAS of a partner's container."""
    BlobContainer(account_of(azurite), "partner").ensure()
    return container_sas(azurite, "partner")


@pytest.fixture
def free(hubs: Definitions) -> str:
    """The name of a container that is not there yet."""
    return f"free-{hubs._store._table.name}".lower()


@pytest.fixture
def account(hubs: Definitions) -> StorageAccount:
    """The account that the hubs' connectors read."""
    return hubs.connectors.source_account(hubs.connector("Zeta", "Files"))
