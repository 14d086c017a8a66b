"""A lake of its own for every test, on the shared Azurite."""

import uuid

import pytest

from infra.local.azurite import Endpoints
from shared.lake.container.store import Lake
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, hub_account


@pytest.fixture(scope="session")
def settings(azurite: Endpoints) -> Settings:
    return Settings.model_validate(
        {"azure_functions_environment": "Development", "hub_storage": azurite.connection_string}
    )


@pytest.fixture(scope="session")
def account(settings: Settings) -> StorageAccount:
    return hub_account(settings)


@pytest.fixture
def lake(account: StorageAccount, settings: Settings) -> Lake:
    return Lake(account, settings, container=f"lake-{uuid.uuid4().hex[:12]}")
