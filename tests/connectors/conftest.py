from collections.abc import Iterator

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.settings import Settings
from tests.local_services import development, running_vault


@pytest.fixture(scope="session")
def vault(azurite: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyVault]:
    with running_vault(tmp_path_factory.mktemp("vault"), azurite) as vault:
        yield vault


@pytest.fixture(scope="session")
def settings(azurite: Endpoints, vault: KeyVault) -> Settings:
    return development(azurite, vault.url)
