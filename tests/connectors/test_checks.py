"""Trying connections for real: what is found, in which order, and nothing left behind."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.storage.blob import (
    AccessPolicy,
    AccountSasPermissions,
    BlobServiceClient,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_container_sas,
)
from pydantic import SecretStr

from infra.local.azurite import ACCOUNT, ACCOUNT_KEY, Endpoints
from infra.local.key_vault import KeyVault
from shared.connectors import azure_blob, outbound
from shared.connectors.check import Check, failures
from shared.settings import Settings
from shared.storage.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from tests.fault_proxy import Answer, running_proxy
from tests.local_services import account_of, container_sas


@pytest.fixture
def container(azurite: Endpoints) -> BlobContainer:
    container = BlobContainer(account_of(azurite), f"c{uuid.uuid4().hex[:12]}")
    container.ensure()
    return container


def outcome(checks: list[Check]) -> dict[str, bool]:
    return {check.name: check.ok for check in checks}


def tried(url: str, settings: Settings) -> list[Check]:
    checks = outbound.check(SecretStr(url), settings)
    assert "sig=" not in repr(checks)
    assert all(check.message for check in checks)
    return checks


def test_a_good_signature_passes_everything(azurite: Endpoints, container: BlobContainer, settings: Settings) -> None:
    checks = tried(container_sas(azurite, container.name), settings)
    assert outcome(checks) == {
        "signature": True,
        "validity": True,
        "rights": True,
        "listing": True,
        "writing": True,
    }
    assert failures(checks) is None
    assert list(container.list()) == []


def test_without_the_right_to_delete_nothing_is_written(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    checks = tried(container_sas(azurite, container.name, "cwl"), settings)
    assert all(outcome(checks).values())
    assert "expired exports stay" in checks[2].message
    assert "not tried" in checks[4].message
    assert list(container.list()) == []


@pytest.mark.parametrize(
    ("rights", "days", "failed", "word"),
    [
        ("cw", 30, "rights", "list"),
        ("wl", 30, "rights", "create"),
        ("cl", 30, "rights", "write"),
        ("r", 30, "rights", "create and write and list"),
        ("cwld", -1, "validity", "expired"),
    ],
)
def test_what_the_signature_says_needs_no_call(
    azurite: Endpoints, container: BlobContainer, settings: Settings, rights: str, days: int, failed: str, word: str
) -> None:
    with running_proxy(azurite.blob) as proxy:
        url = container_sas(azurite, container.name, rights, timedelta(days=days)).replace(azurite.blob, proxy.endpoint)
        checks = tried(url, settings)
        assert proxy.requests == []
    assert [name for name, ok in outcome(checks).items() if not ok] == [failed]
    assert word in (failures(checks) or "")


@pytest.mark.parametrize(("days", "word"), [(3, "expires soon"), (400, "90 days"), (60, "valid until")])
def test_how_long_it_lasts_is_said(
    azurite: Endpoints, container: BlobContainer, settings: Settings, days: int, word: str
) -> None:
    checks = tried(container_sas(azurite, container.name, expires_in=timedelta(days=days)), settings)
    assert all(outcome(checks).values())
    assert word in checks[1].message


def test_a_container_that_is_not_there(azurite: Endpoints, settings: Settings) -> None:
    checks = tried(container_sas(azurite, "no-such-container"), settings)
    assert outcome(checks)["listing"] is False
    assert "writing" not in outcome(checks)
    assert "create it" in (failures(checks) or "")


def test_a_forged_signature(azurite: Endpoints, container: BlobContainer, settings: Settings) -> None:
    url = container_sas(azurite, container.name).partition("sig=")[0] + "sig=Zm9yZ2Vk"
    assert outcome(tried(url, settings))["listing"] is False


def test_a_container_that_takes_no_blob(azurite: Endpoints, container: BlobContainer, settings: Settings) -> None:
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda request: Answer(403, "AuthorizationFailure") if request.method == "PUT" else None
        url = container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint)
        checks = tried(url, settings)
    assert outcome(checks)["listing"] is True
    assert outcome(checks)["writing"] is False


def test_a_stored_access_policy_is_tried_as_far_as_it_goes(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    with BlobServiceClient.from_connection_string(azurite.connection_string) as service:
        policy = AccessPolicy(
            permission=ContainerSasPermissions.from_string("cwld"),
            expiry="2999-01-01T00:00:00Z",
            start="2020-01-01T00:00:00Z",
        )
        service.get_container_client(container.name).set_container_access_policy({"exports": policy})
    query = generate_container_sas(ACCOUNT, container.name, ACCOUNT_KEY, policy_id="exports")
    checks = tried(f"{azurite.blob}/{container.name}?{query}", settings)
    assert all(outcome(checks).values())
    assert "stored access policy" in checks[1].message
    assert list(container.list()) == []


def test_a_url_that_is_no_sas(settings: Settings) -> None:
    checks = tried("https://evil.example/x?sr=c&sig=MARKER", settings)
    assert outcome(checks) == {"signature": False}
    assert "MARKER" not in repr(checks)


def source(vault: KeyVault, settings: Settings, text: str, containers: list[str] | None = None) -> Any:
    name = f"s{uuid.uuid4().hex}"
    Vaults(settings).set(name, text)
    checks, account = azure_blob.check(
        f"{vault.url}/secrets/{name}", containers or [], Vaults(settings), settings, lambda _account, _container: None
    )
    assert "AccountKey=" not in repr((checks, account))
    assert "sig=" not in repr((checks, account))
    return checks, account


def test_a_source_is_tried_with_all_its_containers(
    azurite: Endpoints, container: BlobContainer, vault: KeyVault, settings: Settings
) -> None:
    checks, account = source(vault, settings, azurite.connection_string, [container.name, "nothing", container.name])
    assert outcome(checks) == {
        "secret": True,
        "account": True,
        f"container {container.name}": True,
        "container nothing": False,
    }
    assert account.name == ACCOUNT


def test_containers_are_not_tried_one_after_the_other_where_the_account_falters(
    azurite: Endpoints, vault: KeyVault, settings: Settings
) -> None:
    """Each would be waited for as long as the first."""
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda request: Answer(503, "ServerBusy") if "restype=container" in request.target else None
        text = azurite.connection_string.replace(azurite.blob, proxy.endpoint)
        checks, _ = source(vault, settings, text, ["one", "two", "three"])
        asked = [request for request in proxy.requests if "restype=container" in request.target]
    assert outcome(checks) == {"secret": True, "account": True, "container one": False}
    assert len(asked) == 2, "a check repeats a request once"


def test_a_source_with_the_wrong_key(azurite: Endpoints, vault: KeyVault, settings: Settings) -> None:
    text = azurite.connection_string.replace(ACCOUNT_KEY, "d3Jvbmc=")
    checks, account = source(vault, settings, text, ["inbox"])
    assert outcome(checks) == {"secret": True, "account": False}
    assert account.name == ACCOUNT


def test_a_source_whose_account_may_not_be_listed(
    azurite: Endpoints, container: BlobContainer, vault: KeyVault, settings: Settings
) -> None:
    """Rights on the source containers alone are enough."""
    sas = generate_account_sas(
        ACCOUNT,
        ACCOUNT_KEY,
        ResourceTypes.from_string("co"),
        AccountSasPermissions.from_string("rl"),
        datetime.now(UTC) + timedelta(hours=1),
    )
    text = f"AccountName={ACCOUNT};BlobEndpoint={azurite.blob};SharedAccessSignature={sas}"
    checks, account = source(vault, settings, text, [container.name])
    assert outcome(checks) == {"secret": True, "account": True, f"container {container.name}": True}
    assert "does not let us list" in checks[1].message
    assert account.sas is not None


@pytest.mark.parametrize("text", ["", "nonsense", "https://evil.example", "AccountName=x;AccountKey=%%%"])
def test_a_secret_that_is_no_connection(vault: KeyVault, settings: Settings, text: str) -> None:
    checks, account = source(vault, settings, text)
    assert outcome(checks) == {"secret": True, "account": False}
    assert account is None


def test_a_secret_that_is_not_there(vault: KeyVault, settings: Settings) -> None:
    checks, account = azure_blob.check(
        f"{vault.url}/secrets/nothing", [], Vaults(settings), settings, lambda _account, _container: None
    )
    assert outcome(checks) == {"secret": False}
    assert account is None


def test_failures_are_told_together() -> None:
    checks = [Check("a", True, "fine"), Check("b", False, "no right"), Check("c", False, "gone")]
    assert failures(checks) == "no right; gone"
    assert failures(checks[:1]) is None
