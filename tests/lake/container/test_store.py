"""Reaching the container: access from the account, and storage that is away."""

import pytest
from pydantic import SecretStr

from shared.deadline import HTTP_ANSWER_S, WORK_S, deadline
from shared.domain.errors import UnavailableError
from shared.lake.container.faults import translated
from shared.lake.container.store import Lake
from shared.settings import Settings
from shared.storage.accounts import StorageAccount

KEY = "c2VjcmV0"


def account(text: str) -> StorageAccount:
    return StorageAccount("contoso", "https://contoso.blob.core.windows.net", connection_string=SecretStr(text))


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        (f"AccountName=contoso;AccountKey={KEY}", "azure_storage_account_key", KEY),
        ("AccountName=contoso;SharedAccessSignature=?sv=1&sig=x%3D", "azure_storage_sas_key", "sv=1&sig=x%3D"),
    ],
)
def test_access_comes_from_the_connection_string(text: str, option: str, value: str) -> None:
    options = Lake(account(text), Settings()).storage_options()

    assert options[option] == value
    assert options["azure_storage_endpoint"] == "https://contoso.blob.core.windows.net"
    assert options["allow_http"] == "false"


def test_the_emulator_is_reached_without_tls(lake: Lake) -> None:
    assert lake.storage_options()["allow_http"] == "true"
    assert lake.open("nothing/there") is None


def test_storage_that_does_not_answer_is_no_damage(lake: Lake) -> None:
    from deltalake import DeltaTable

    gone = {**lake.storage_options(), "azure_storage_endpoint": "http://127.0.0.1:9/contoso", "max_retries": "0"}
    with pytest.raises(UnavailableError, match="contoso/profiles"), translated("contoso/profiles"):
        DeltaTable(lake.uri("contoso/profiles"), storage_options=gone)


@pytest.mark.parametrize(("seconds", "longest"), [(HTTP_ANSWER_S, ("10s", "30s")), (WORK_S, ("30s", "120s"))])
def test_where_somebody_waits_the_libraries_are_less_patient(
    lake: Lake, seconds: float, longest: tuple[str, str]
) -> None:
    unhurried = lake.store, lake.files
    with deadline(seconds):
        options = lake.storage_options()
        assert (options["retry_timeout"], options["timeout"]) == longest
        assert (lake.store is unhurried[0]) == (lake.files is unhurried[1]) == (seconds == WORK_S)
        assert lake.store is lake.store
    assert (lake.store, lake.files) == unhurried
