"""Secrets of connectors: taken out wherever they are, and never where they do not belong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.key_vault import KeyVault
from shared.definitions.secrets.secrets import (
    MOST_SECRETS,
    Secrets,
    faults_of_secrets,
    new_names,
    references,
    secret_names,
    split,
    with_references,
)
from shared.domain.errors import FatalError, RefusedError
from shared.domain.own_names import is_own_secret
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from tests.secret_texts import ORDINARY_TEXTS, SECRET_TEXTS

INSTANCE = "0123456789abcdef0123456789abcdef"
CARRIERS = st.sampled_from(
    [
        {"accessToken": "MARKER"},
        {"CONNECTIONSTRING": "MARKER"},
        {"outputBlobSASUri": {"deep": ["MARKER", 17, True]}},
        {"accessToken": ["MARKER", {"x": "MARKER"}]},
        {"note": "https://x?sv=1&SIG=MARKER"},
        {"note": "Server=x; Password = MARKER"},
        {"a/b~c": "AccountKey=MARKER"},
        {"": "SharedAccessKey=MARKER"},
    ]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abcdefgh /~.", max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc/~", max_size=4), inner, max_size=3),
    max_leaves=8,
)
HIDING = st.recursive(
    CARRIERS,
    lambda inner: st.lists(inner | PLAIN, max_size=3) | st.dictionaries(st.text("xyz/~", max_size=3), inner | PLAIN),
    max_leaves=6,
)


def keep(secrets: Secrets, hub: str, instance: str, properties: dict[str, Any]) -> dict[str, str]:
    given_secrets = split(properties).secrets
    return secrets.keep(new_names(hub, instance, list(given_secrets)), given_secrets)


@given(properties=st.dictionaries(st.text("pqr/~", max_size=4), HIDING | PLAIN, max_size=4))
def test_no_secret_stays_wherever_it_is(properties: dict[str, Any]) -> None:
    found = split(properties)
    assert "MARKER" not in json.dumps(found.masked)
    assert "MARKER" not in repr(found)
    assert {fault.code for fault in found.faults} <= {"TooManySecrets"}
    taken = [secret.get_secret_value() for secret in found.secrets.values()]
    assert "".join(taken).count("MARKER") == json.dumps(properties).count("MARKER")
    again = split(found.masked)
    assert again.masked == found.masked
    assert again.secrets == {}
    assert sorted(again.kept) == sorted(found.secrets)


@given(properties=st.dictionaries(st.text("pqr/~", max_size=4), PLAIN, max_size=4))
def test_what_is_no_secret_stays_as_it_is(properties: dict[str, Any]) -> None:
    found = split(properties)
    assert found.masked == properties
    assert (found.secrets, found.kept, found.faults) == ({}, [], [])


def test_places_are_json_pointers() -> None:
    found = split({"a/b~c": [{"accessToken": "1"}, {"x": "***"}], "outputBlobSASUri": "2"})
    assert {place: secret.get_secret_value() for place, secret in found.secrets.items()} == {
        "/a~1b~0c/0/accessToken": "1",
        "/outputBlobSASUri": "2",
    }
    assert found.kept == ["/a~1b~0c/1/x"]
    assert found.masked == {"a/b~c": [{"accessToken": "***"}, {"x": "***"}], "outputBlobSASUri": "***"}


def test_a_secret_as_a_property_name_is_a_fault() -> None:
    found = split({"x": {"Password=MARKER": 1, "kept": 2}})
    assert found.masked == {"x": {"kept": 2}}
    assert [fault.code for fault in found.faults] == ["SecretNotAllowed"]
    assert "MARKER" not in repr(found)


@pytest.mark.parametrize(
    ("document", "targets"),
    [
        ({"description": "plain", "tags": {"a": ["b", 1, None]}}, []),
        ({"description": "x?sig=MARKER"}, ["description"]),
        ({"a": [{"b": "password=MARKER"}, "AccountKey=MARKER"]}, ["a[0].b", "a[1]"]),
        ({"tags": {"AccountKey=MARKER": "x"}}, ["tags"]),
        ({"accessToken": "a name alone is no secret here"}, []),
    ],
)
def test_a_secret_elsewhere_is_a_fault(document: dict[str, Any], targets: list[str]) -> None:
    faults = faults_of_secrets(document)
    assert [fault.target for fault in faults] == targets
    assert "MARKER" not in repr(faults)


def test_references_lead_back_to_the_secret(settings: Settings, vault: KeyVault) -> None:
    secrets = Secrets(Vaults(settings), settings)
    found = keep(secrets, "Contoso", INSTANCE, {"accessToken": "first", "deep": {"note": "Password=second"}})
    internal = with_references({"account": "x"}, found)
    assert internal["account"] == "x"
    assert references(internal) == found
    assert secrets.read(internal, "/accessToken").get_secret_value() == "first"
    assert secrets.read(internal, "/deep/note").get_secret_value() == "Password=second"
    assert "first" not in json.dumps(internal)
    with pytest.raises(RefusedError) as missing:
        secrets.read(internal, "/other")
    assert missing.value.code == "SecretMissing"


@pytest.mark.parametrize("place", ["/x", "/" + "\u00fcn\u00ef/~0" * 50 + "x", "/"])
def test_names_in_the_vault_are_of_hub_and_connector_and_never_come_twice(place: str) -> None:
    hub = "H" * 64
    named = [new_names(hub, instance, [place])[place] for instance in (INSTANCE, INSTANCE, "f" * 32)]
    assert len(set(named)) == 3
    for name, instance in zip(named, (INSTANCE, INSTANCE, "f" * 32), strict=True):
        assert len(name) <= 127
        assert name.replace("-", "").isalnum()
        assert name.isascii()
        assert name.startswith(f"{hub.lower()}-{instance}-")
        assert is_own_secret(name)
        assert is_own_secret(name.upper())
    with pytest.raises(FatalError):
        new_names(hub, "../x", [place])


def test_every_name_that_was_used_lately_is_forgotten(settings: Settings, vault: KeyVault) -> None:
    secrets = Secrets(Vaults(settings), settings)
    first = with_references({}, keep(secrets, "Contoso", "a" * 32, {"accessToken": "1"}))
    second = with_references(first, keep(secrets, "Contoso", "a" * 32, {"connectionString": "2"}))
    assert list(references(second)) == ["/connectionString"]
    secrets.forget(second)
    for internal, place in ((first, "/accessToken"), (second, "/connectionString")):
        with pytest.raises(RefusedError) as gone:
            Secrets(Vaults(settings), settings).read(internal, place)
        assert gone.value.code == "SecretNotFound"


def test_what_is_known_of_a_connectors_names_does_not_grow_without_end() -> None:
    internal: dict[str, str] = {}
    for number in range(10 * MOST_SECRETS):
        internal = with_references(internal, {"/accessToken": f"name-{number}/1"})
    assert secret_names(internal)[-1] == f"name-{10 * MOST_SECRETS - 1}"
    assert len(secret_names(internal)) <= 4 * MOST_SECRETS


def test_a_definition_has_at_most_sixteen_secrets() -> None:
    assert split({"accessToken": [str(number) for number in range(16)]}).faults == []
    for more in (
        {"accessToken": ["1"] * 17},
        {"accessToken": ["1"] * 16, "kept": "***"},
        {"x": {"apiKey": ["1"] * 999}},
    ):
        assert [(fault.code, fault.target) for fault in split(more).faults] == [
            ("TooManySecrets", "connectorProperties")
        ]


@pytest.mark.parametrize(
    "name",
    [
        "clientSecret", "client_secret", "SECRET", "dbPassword", "pass-word", "PWD", "userPwd", "accessToken",
        "access token", "token_url", "apiKey", "API-KEY", "api key id", "outputBlobSASUri", "sas", "accountKey",
        "primary_key", "key", "KEY ", "connectionString", "passphrase", "signature", "requestSignature",
        "credential", "Client-Credentials", "Authorization", "\uff41\uff50\uff49\uff2b\uff45\uff59",
    ],
)  # fmt: skip
def test_names_that_make_a_secret_of_whatever_they_hold(name: str) -> None:
    assert split({name: "plain"}).masked == {name: "***"}
    assert list(split({name: {"deep": [1, True]}}).secrets) == [f"/{name}/deep/0", f"/{name}/deep/1"]


@pytest.mark.parametrize(
    "name",
    [
        "connectionKeyVaultUrl", "organizationId", "organizationUrl", "entityList", "fieldNames", "mseEndPointUrl",
        "keyPropertyNames", "keyboard", "monkeys", "typeSuffix", "searchTopics", "customerProfileTypes", "passage",
        "authorizationUrl", "signatureVersion", "credentialKind",
    ],
)  # fmt: skip
def test_names_of_innocent_properties(name: str) -> None:
    assert split({name: "plain"}).masked == {name: "plain"}


@pytest.mark.parametrize("text", SECRET_TEXTS)
def test_values_that_are_secrets_wherever_they_stand(text: str) -> None:
    assert split({"note": text}).masked == {"note": "***"}
    assert [fault.code for fault in faults_of_secrets({"description": text})] == ["SecretNotAllowed"]


@pytest.mark.parametrize("text", ORDINARY_TEXTS)
def test_ordinary_text_is_no_secret(text: str) -> None:
    assert split({"note": text}).masked == {"note": text}
    assert faults_of_secrets({"description": text}) == []


def test_an_authorization_of_any_length_is_a_secret_as_a_property() -> None:
    assert split({"note": "Bearer abc"}).masked == {"note": "***"}
    assert faults_of_secrets({"description": "Bearer shares"}) == []
