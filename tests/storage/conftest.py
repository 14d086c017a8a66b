import itertools
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.settings import Settings
from shared.storage.account_permits import Permit
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.tables import Table
from tests.local.waiting import eventually
from tests.local_services import account_of, development, running_vault
from tests.storage.asked import Ask, Asked, in_line

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def account(azurite: Endpoints) -> StorageAccount:
    return account_of(azurite)


@pytest.fixture
def name() -> str:
    """A name that no other test has, good for a container, a queue and a table."""
    return f"t{next(_NUMBERS)}x{uuid.uuid4().hex[:8]}"


@pytest.fixture
def container(account: StorageAccount, name: str) -> BlobContainer:
    container = BlobContainer(account, name)
    container.ensure()
    return container


@pytest.fixture
def table(account: StorageAccount, name: str) -> Table:
    return Table(account, name)


@pytest.fixture(scope="session")
def vault(azurite: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    with running_vault(tmp_path_factory.mktemp("vault"), azurite) as vault:
        yield vault


@pytest.fixture(scope="session")
def settings(azurite: Endpoints, vault: KeyVault) -> Settings:
    return development(azurite, vault.url)


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Makes a request; those that wait in line have come in the order of the calls."""
    asked: list[Asked] = []

    def ask(permit: Permit) -> Asked:
        before = in_line(permit)
        asked.append(one := Asked(threads, permit))
        eventually(lambda: one.has_begun or one.is_over or in_line(permit) > before)
        return one

    with ThreadPoolExecutor(32) as threads:
        try:
            yield ask
        finally:
            for one in asked:
                one.let_go()
