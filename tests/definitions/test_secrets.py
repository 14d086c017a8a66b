"""Secrets of connectors: taken out wherever they are, and never where they do not belong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.local.key_vault import KeyVault
from shared.definitions.secrets import Secrets, faults_of_secrets, references, split, with_references
from shared.domain.errors import FatalError, RefusedError
from shared.settings import Settings
from shared.storage.key_vault import Vaults

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


@given(properties=st.dictionaries(st.text("pqr/~", max_size=4), HIDING | PLAIN, max_size=4))
def test_no_secret_stays_wherever_it_is(properties: dict[str, Any]) -> None:
    found = split(properties)
    assert "MARKER" not in json.dumps(found.masked)
    assert "MARKER" not in repr(found)
    assert found.faults == []
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
    secrets = Secrets(Vaults(settings))
    given_secrets = split({"accessToken": "first", "deep": {"note": "Password=second"}}).secrets
    found = secrets.keep("Contoso", INSTANCE, given_secrets)
    internal = with_references({"account": "x"}, found)
    assert internal["account"] == "x"
    assert references(internal) == found
    assert secrets.read(internal, "/accessToken").get_secret_value() == "first"
    assert secrets.read(internal, "/deep/note").get_secret_value() == "Password=second"
    assert "first" not in json.dumps(internal)
    with pytest.raises(RefusedError) as missing:
        secrets.read(internal, "/other")
    assert missing.value.code == "SecretMissing"


def test_names_in_the_vault_are_of_hub_and_connector(settings: Settings, vault: KeyVault) -> None:
    secrets = Secrets(Vaults(settings))
    hub = "H" * 64
    place = "/" + "ünï/~0" * 50 + "x"
    again = {secrets.keep(hub, INSTANCE, split({"x": "sig=1"}).secrets)["/x"].split("/")[0] for _ in range(2)}
    assert len(again) == 1
    long = secrets.keep(hub, INSTANCE, {place: split({"x": "sig=1"}).secrets["/x"]})[place].split("/")[0]
    other = secrets.keep(hub, "f" * 32, split({"x": "sig=1"}).secrets)["/x"].split("/")[0]
    names = {*again, long, other}
    assert len(names) == 3
    assert all(len(name) <= 127 and name.replace("-", "").isalnum() and name.isascii() for name in names)
    assert all(name.startswith(f"{hub.lower()}-") for name in names)
    with pytest.raises(FatalError):
        secrets.keep(hub, "../x", split({"x": "sig=1"}).secrets)


def test_every_name_that_was_ever_used_is_forgotten(settings: Settings, vault: KeyVault) -> None:
    secrets = Secrets(Vaults(settings))
    first = with_references({}, secrets.keep("Contoso", "a" * 32, split({"accessToken": "1"}).secrets))
    second = with_references(first, secrets.keep("Contoso", "a" * 32, split({"connectionString": "2"}).secrets))
    assert list(references(second)) == ["/connectionString"]
    secrets.forget(second)
    for internal, place in ((first, "/accessToken"), (second, "/connectionString")):
        with pytest.raises(RefusedError) as gone:
            Secrets(Vaults(settings)).read(internal, place)
        assert gone.value.code == "SecretNotFound"
