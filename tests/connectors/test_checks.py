"""Trying connections for real: what is found, in which order, and nothing left behind."""

import uuid
from collections.abc import Callable
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
from shared.connectors.azure_blob import check as azure_blob
from shared.connectors.check import Check, failures
from shared.connectors.outbound import check as outbound
from shared.deadline import HTTP_ANSWER_S, deadline
from shared.domain.documents.connectors import ExportedEntity, ExportedEntityType
from shared.domain.schema_mark import Writer
from shared.settings import Settings
from shared.storage.accounts import StorageAccount
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from tests.fault_proxy import Answer, LoseAnswer, Request, running_proxy
from tests.local_services import account_of, container_sas
from tests.passing_time import PassingTime


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


def test_what_lies_where_a_trial_is_written_stays(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    theirs = {f"Metadata/{name}": name.encode() for name in (".probe", ".probe-", "probe", "metadata.json")}
    etags = {path: container.upload_bytes(path, content) for path, content in theirs.items()}
    with running_proxy(azurite.blob) as proxy:
        url = container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint)
        for _ in range(2):
            assert failures(tried(url, settings)) is None
        written = [request for request in proxy.requests if request.method == "PUT"]
    assert {entry.path: entry.etag for entry in container.list()} == etags
    assert len({request.target.partition("?")[0] for request in written}) == 2
    assert all(request.headers.get("If-None-Match") == "*" for request in written)


def test_a_trial_whose_answer_is_lost_leaves_nothing(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    for method in ("PUT", "DELETE"):
        with running_proxy(azurite.blob) as proxy:
            proxy.break_once(LoseAnswer(), lambda request, method=method: request.method == method)  # type: ignore[misc]
            checks = tried(container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint), settings)
        assert failures(checks) is None
        assert list(container.list()) == []


def test_a_trial_that_cannot_be_deleted_is_named(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda request: Answer(403, "AuthorizationFailure") if request.method == "DELETE" else None
        checks = tried(container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint), settings)
    [left] = container.list()
    assert [check.name for check in checks if not check.ok] == ["writing"]
    assert repr(left.path) in (failures(checks) or "")


def test_a_trial_that_somebody_replaces_is_theirs(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    with running_proxy(azurite.blob) as proxy:

        def replace_first(request: Request) -> None:
            if request.method == "DELETE":
                [trial] = container.list()
                container.upload_bytes(trial.path, b"theirs")

        proxy.plan = replace_first
        checks = tried(container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint), settings)
    assert failures(checks) is None
    [left] = container.list()
    assert container.read_bytes(left.path) == b"theirs"


WRITER = Writer("1" * 32, "Partner", frozenset({"Second"}))
LISTED = [ExportedEntity(entity_type=ExportedEntityType(kind), entity_name="Customer") for kind in ("Profile", "Kpi")]


def test_metadata_of_others_is_named_and_taken_over_when_asked(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    sas = SecretStr(container_sas(azurite, container.name, "cwl"))

    def found(*, take_over: bool = False) -> list[Check]:
        return outbound.check_metadata(sas, settings, WRITER, LISTED, take_over=take_over)

    assert found() == found(take_over=True) == []
    container.upload_bytes(
        "Metadata/Profile/Customer/metadata.json", b"a", {"hubid": WRITER.hub_id, "connector": "second"}
    )
    container.upload_bytes("Metadata/KPI/Customer/metadata.json", b"b", {"note": "ours", "sha256": "c" * 64})
    container.upload_bytes("Metadata/Profile/Customer/metadata.json.old", b"c")
    names = ["metadata Profile/Customer", "metadata KPI/Customer"]
    assert [(check.name, check.ok) for check in found()] == [(name, False) for name in names]
    assert [(check.name, check.ok) for check in found(take_over=True)] == [(name, True) for name in names]
    assert found() == []
    kept = {entry.path: (container.read_bytes(entry.path), entry.metadata) for entry in container.list("", True)}
    ours = {"hubid": WRITER.hub_id, "connector": WRITER.connector}
    assert kept == {
        "Metadata/KPI/Customer/metadata.json": (b"b", {"note": "ours", **ours}),
        "Metadata/Profile/Customer/metadata.json": (b"a", ours),
        "Metadata/Profile/Customer/metadata.json.old": (b"c", {}),
    }


def test_a_destination_that_falls_silent_is_not_asked_for_each_entity(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    with running_proxy(azurite.blob) as proxy:
        proxy.plan = lambda _: Answer(503, "ServerBusy")
        sas = SecretStr(container_sas(azurite, container.name).replace(azurite.blob, proxy.endpoint))
        [check] = outbound.check_metadata(sas, settings, WRITER, LISTED, take_over=True)
    assert (check.name, check.ok) == ("metadata Profile/Customer", False)


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


def source(
    vault: KeyVault,
    settings: Settings,
    text: str,
    containers: list[str] | None = None,
    check_use: Callable[[StorageAccount, str], None] = lambda _account, _container: None,
) -> Any:
    name = f"s{uuid.uuid4().hex}"
    Vaults(settings).set(name, text)
    url = f"{vault.url}/secrets/{name}"
    checks, account = azure_blob.check(url, containers or [], Vaults(settings), settings, check_use)
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


def test_what_there_was_no_time_for_is_no_success(
    azurite: Endpoints, container: BlobContainer, vault: KeyVault, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many are tried as whoever waits has time for; of the others nobody knows how they are."""
    passing, names = PassingTime(monkeypatch), [container.name, *(f"{container.name}{more}" for more in "abcd")]
    for name in names[1:]:
        BlobContainer(account_of(azurite), name).ensure()
    with deadline(HTTP_ANSWER_S):
        checks, _ = source(
            vault, settings, azurite.connection_string, names, lambda *_: passing.pauses.append(HTTP_ANSWER_S * 0.4)
        )
    assert [check.ok for check in checks] == [True, True, True, True, True, False]
    assert "3 of the 5 containers" in (failures(checks) or "")


def test_metadata_that_there_was_no_time_to_look_for_is_no_success(
    azurite: Endpoints, container: BlobContainer, settings: Settings
) -> None:
    sas = SecretStr(container_sas(azurite, container.name))
    with deadline(0):
        [check] = outbound.check_metadata(sas, settings, WRITER, LISTED, take_over=True)
    assert not check.ok
    assert "0 of the 2 listed entities" in check.message


def test_failures_are_told_together() -> None:
    checks = [Check("a", True, "fine"), Check("b", False, "no right"), Check("c", False, "gone")]
    assert failures(checks) == "no right; gone"
    assert failures(checks[:1]) is None
    told = failures([Check("a", False, f"no {number}") for number in range(5000)]) or ""
    assert told.startswith("no 0; no 1; ")
    assert told.endswith("; and 4980 more")
