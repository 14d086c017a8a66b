"""Which accounts are reached, and with what; nothing of a secret is ever repeated."""

from contextlib import nullcontext

import pytest
from pydantic import ValidationError

from infra.local.azurite import ACCOUNT_KEY
from shared.domain.errors import FatalError, InvalidRequestError
from shared.settings import Settings
from shared.storage.accounts import StorageAccount, account_from_secret, hub_account, read_blob_url

PRODUCTION = Settings()
DEVELOPMENT = Settings(
    azure_functions_environment="Development",
    hub_storage="UseDevelopmentStorage=true",
    development_endpoints=("http://127.0.0.1:10000",),
)
KEY = "c2VjcmV0LWtleQ=="
FULL = f"DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey={KEY};EndpointSuffix=core.windows.net"


def connected(text: str) -> StorageAccount:
    return account_from_secret(text, PRODUCTION)


def test_a_connection_string_names_account_endpoint_and_key() -> None:
    account = connected(FULL)
    assert (account.name, account.blob_endpoint) == ("contoso", "https://contoso.blob.core.windows.net")
    assert account.key is not None
    assert account.key.get_secret_value() == KEY
    assert account.sas is None


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (f"accountname=contoso;accountkey={KEY}", "https://contoso.blob.core.windows.net"),
        (f"{FULL};", "https://contoso.blob.core.windows.net"),
        (
            f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=https://contoso.z12.blob.storage.azure.net/",
            "https://contoso.z12.blob.storage.azure.net",
        ),
        ("https://contoso.blob.core.windows.net/", "https://contoso.blob.core.windows.net"),
        ("https://CONTOSO.blob.core.windows.net:443", "https://contoso.blob.core.windows.net"),
        ("BlobEndpoint=https://contoso.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=x%3D", None),
    ],
)
def test_accounts_of_azure_storage_are_taken(text: str, endpoint: str | None) -> None:
    account = connected(text)
    assert account.name == "contoso"
    assert account.blob_endpoint == (endpoint or "https://contoso.blob.core.windows.net")


@pytest.mark.parametrize("cloud", ["chinacloudapi.cn", "usgovcloudapi.net"])
def test_accounts_of_one_name_in_two_clouds_are_told_apart(cloud: str) -> None:
    text = f"AccountName=contoso;AccountKey={KEY};EndpointSuffix=core.{cloud}"
    url = f"https://contoso.blob.core.{cloud}/in/a.csv"
    found = [
        connected(text),
        connected(f"https://contoso.blob.core.{cloud}"),
        hub_account(Settings(hub_storage=text)),
    ]
    assert {account.name for account in found} == {f"contoso.{cloud}"}
    assert {account.login for account in found} == {"contoso"}
    assert read_blob_url(url, PRODUCTION).account == f"contoso.{cloud}"


def test_a_signature_loses_its_question_mark() -> None:
    account = connected("BlobEndpoint=https://contoso.blob.core.windows.net;SharedAccessSignature=?sv=1&sig=x%3D")
    assert account.sas is not None
    assert account.sas.get_secret_value() == "sv=1&sig=x%3D"
    assert account.key is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MARKER",
        "AccountName=contoso",
        "AccountName=contoso;AccountKey=MARKER-is-not-base64",
        f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=https://evil.example",
        f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=https://contoso.blob.core.windows.net.evil.example",
        f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=http://contoso.blob.core.windows.net",
        f"AccountName=contoso;AccountKey={KEY};DefaultEndpointsProtocol=http",
        f"AccountName=contoso;AccountKey={KEY};EndpointSuffix=evil.example",
        f"AccountName=evil.example/;AccountKey={KEY}",
        f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=https://contoso.blob.core.windows.net/MARKER",
        f"AccountName=contoso;AccountKey={KEY};BlobEndpoint=https://user:MARKER@contoso.blob.core.windows.net",
        "UseDevelopmentStorage=true",
        "https://contoso.blob.core.windows.net/?sig=MARKER",
        "https://contoso.blob.core.windows.net/MARKER",
        "http://contoso.blob.core.windows.net",
        "https://127.0.0.1/contoso",
        "http://127.0.0.1:10000/devstoreaccount1",
        "https://169.254.169.254/",
        "https://[::ffff:169.254.169.254]/",
        "https://contoso.blob.core.windows.net:8443",
        "https://contoso.blob.core.windows.net@evil.example",
        "https://evil.example\\@contoso.blob.core.windows.net",
        "https://evil.example#.blob.core.windows.net",
        "https://contoso.blob.core.windows.net.",
        "https://contoso.queue.core.windows.net",
        "https://\u0441ontoso.blob.core.windows.net",
        "https://contoso.blob.core.windows.net\r\nHost: evil.example",
        "https://contoso.blob.core.windows.net:MARKER",
    ],
)
def test_everything_else_is_refused_without_an_echo(text: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        connected(text)
    assert "MARKER" not in str(refused.value)
    assert KEY not in str(refused.value)
    assert "evil" not in str(refused.value)


LOCAL = "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=AAAA;BlobEndpoint="


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:10000", "http://localhost:10000", "http://[::1]:10000", "HTTP://LocalHost:10000"]
)
def test_the_stacks_own_account_has_one_endpoint_however_it_is_spelled(url: str) -> None:
    """Else its own containers would be mapped by whoever spells it in another way."""
    account = account_from_secret(f"{LOCAL}{url}/devstoreaccount1", DEVELOPMENT)
    assert account.blob_endpoint == hub_account(DEVELOPMENT).blob_endpoint
    with pytest.raises(InvalidRequestError):
        account_from_secret(f"{LOCAL}{url}/devstoreaccount1", PRODUCTION)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://127.0.0.1:10001/devstoreaccount1",
        "http://127.0.0.1:10010/devstoreaccount1",
        "http://127.0.0.1:0/devstoreaccount1",
        "http://127.0.0.1/devstoreaccount1",
        "https://127.0.0.1/devstoreaccount1",
        "http://localhost:9/devstoreaccount1",
        "http://[::1]:9/devstoreaccount1",
        "http://127.0.0.1:10000",
        "http://127.0.0.1:10000/..",
        "http://127.0.0.1:10000/%2e%2e",
        "http://127.0.0.1:10000/DEVSTOREACCOUNT1",
        "http://user@127.0.0.1:10000/devstoreaccount1",
        "http://127.0.0.2:10000/devstoreaccount1",
        "http://localhost.:10000/devstoreaccount1",
    ],
)
def test_nothing_else_on_loopback_is_called(endpoint: str) -> None:
    for text in (f"{LOCAL}{endpoint}", endpoint, endpoint.replace("http:", "https:")):
        with pytest.raises(InvalidRequestError, match="no usable storage connection"):
            account_from_secret(text, DEVELOPMENT)


def test_endpoints_on_loopback_are_listed_for_development() -> None:
    listed = {"development_endpoints": "http://127.0.0.1:9, http://localhost:20000/"}
    for environment, is_taken in (("Development", True), ("Production", False)):
        settings = Settings.model_validate({**listed, "azure_functions_environment": environment})
        for port in (9, 20000):
            with nullcontext() if is_taken else pytest.raises(InvalidRequestError):
                account_from_secret(f"{LOCAL}http://127.0.0.1:{port}/devstoreaccount1", settings)
        with pytest.raises(InvalidRequestError):
            account_from_secret(f"{LOCAL}http://127.0.0.1:10000/devstoreaccount1", settings)


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:9", "http://127.0.0.1", "http://evil.example:9", "http://127.0.0.1:9/acc", "http://a@localhost:9"],
)
def test_an_endpoint_that_is_none_on_loopback_is_no_setting(endpoint: str) -> None:
    with pytest.raises(ValidationError, match="development_endpoints"):
        Settings.model_validate({"development_endpoints": f"http://localhost:9,{endpoint}"})


def test_no_token_travels_without_tls() -> None:
    with pytest.raises(InvalidRequestError, match="connection string"):
        account_from_secret("http://127.0.0.1:10000/devstoreaccount1", DEVELOPMENT)


@pytest.mark.parametrize("name", ["con\r\ntoso", "Contoso", "x", "a" * 25, "..", "%2e%2e"])
def test_an_account_has_the_name_of_one(name: str) -> None:
    with pytest.raises(InvalidRequestError):
        connected(f"AccountName={name};AccountKey={KEY};BlobEndpoint=https://contoso.blob.core.windows.net")


def test_the_emulators_short_form_is_for_development_alone() -> None:
    assert account_from_secret("UseDevelopmentStorage=true;", DEVELOPMENT).name == "devstoreaccount1"


def test_a_url_below_the_account_keeps_its_encoding() -> None:
    url = read_blob_url("https://contoso.blob.core.windows.net/in/a%20b?x=1", PRODUCTION)
    assert (url.account, url.path, url.query) == ("contoso", "in/a%20b", "x=1")


def test_the_hub_is_reached_by_its_connection_string() -> None:
    account = hub_account(Settings(hub_storage=FULL))
    assert account.table_endpoint == "https://contoso.table.core.windows.net"
    assert account.queue_endpoint == "https://contoso.queue.core.windows.net"


def test_the_hub_is_reached_by_identity_where_only_endpoints_are_set() -> None:
    settings = Settings(
        HUB_STORAGE__blobServiceUri="https://contoso.blob.core.windows.net/",
        HUB_STORAGE__queueServiceUri="https://contoso.queue.core.windows.net",
        HUB_STORAGE__tableServiceUri="https://contoso.table.core.windows.net",
        HUB_STORAGE__clientId="11111111-1111-1111-1111-111111111111",
    )
    account = hub_account(settings)
    assert (account.name, account.key, account.sas) == ("contoso", None, None)
    assert account.blob_endpoint == "https://contoso.blob.core.windows.net"
    assert account.client_id == "11111111-1111-1111-1111-111111111111"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (Settings(), "MissingSetting"),
        (Settings(HUB_STORAGE__blobServiceUri="https://contoso.blob.core.windows.net"), "MissingSetting"),
        (Settings(hub_storage="AccountName=contoso"), "InvalidSetting"),
        (
            Settings(
                HUB_STORAGE__blobServiceUri="http://127.0.0.1:10000/devstoreaccount1",
                HUB_STORAGE__queueServiceUri="https://contoso.queue.core.windows.net",
                HUB_STORAGE__tableServiceUri="https://contoso.table.core.windows.net",
            ),
            "InvalidSetting",
        ),
    ],
)
def test_a_hub_without_usable_storage_says_which_setting(settings: Settings, code: str) -> None:
    with pytest.raises(FatalError, match="HUB_STORAGE") as refused:
        hub_account(settings)
    assert refused.value.code == code


def test_no_secret_shows(account: StorageAccount) -> None:
    for shown in (repr(account), str(account), repr(connected(FULL)), f"{connected(FULL)}"):
        assert ACCOUNT_KEY not in shown
        assert KEY not in shown
