"""Secrets in the vault: nothing is left of a PUT that was refused, and nothing that a document names is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.connectors.kinds import connector_from_request
from shared.definitions.definitions import Definitions
from shared.definitions.secrets.secrets import references
from shared.definitions.store.definition_store import Conditions
from shared.definitions.store.kinds import CONNECTOR_AS_STORED
from shared.domain.documents.connectors import Connector
from shared.domain.documents.hubs import Hub
from shared.domain.errors import HubError, InvalidRequestError
from shared.failpoints import FailPoint, arm
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.samples import crm, files, outbound
from tests.fault_proxy import Answer, running_proxy
from tests.local_services import STORAGE_SECRET, development, running_vault


@pytest.fixture
def vault(azurite: Endpoints, tmp_path: Path) -> Iterator[KeyVault]:
    """A vault of its own: what is in it is counted."""
    with running_vault(tmp_path / "vault", azurite) as vault:
        yield vault


@pytest.fixture
def settings(azurite: Endpoints, vault: KeyVault, tmp_path: Path) -> Settings:
    return development(azurite, vault.url, clock_file=tmp_path / "clock")


def names(settings: Settings) -> set[str]:
    """What the vault holds beside the secret that is there from the start."""
    return {secret.name for secret in Vaults(settings).kept()} - {STORAGE_SECRET}


def named(definitions: Definitions, hub: str, connector: str) -> set[str]:
    return {name.split("/")[0] for name in references(definitions.connector(hub, connector).internal).values()}


@pytest.mark.parametrize(
    "connector",
    [
        crm(tokens=["s"] * 17),
        crm(tokens=["s"] * 16, apiKey="***"),
        crm(accessToken="s", password="***"),
        crm(accessToken="s", note="x" * 500_000),
        crm(**{"x" * 40_000: {"apiKey": "s"}}),
        crm(accessToken="s", **{"Pwd=MARKER": 1}),
        outbound("https://evil.example/c?sig=MARKER", apiKey="s"),
        connector_from_request(
            {
                "connectorType": "AzureBlob",
                "description": "Pwd=MARKER",
                "connectorProperties": {"connectionKeyVaultUrl": "https://x.vault.azure.net/secrets/a", "apiKey": "s"},
            }
        ),
    ],
)
def test_a_put_that_is_refused_never_comes_to_the_vault(
    definitions: Definitions, hub: str, settings: Settings, connector: Connector
) -> None:
    with pytest.raises(HubError) as refused:
        definitions.connectors.put(hub, "Crm", connector)
    assert refused.value.code in {"InvalidRequest", "DefinitionTooLarge"}
    assert "MARKER" not in str(refused.value)
    assert names(settings) == set()
    assert definitions.connectors.all(hub) == []


def test_conditions_and_rules_come_before_the_vault_too(definitions: Definitions, hub: str, settings: Settings) -> None:
    stored, _ = definitions.connectors.put(hub, "Crm", crm(accessToken="first"))
    before = names(settings)
    for act in (
        lambda: definitions.connectors.put(hub, "Crm", crm(accessToken="x"), Conditions(if_none_match=True)),
        lambda: definitions.connectors.put(hub, "Crm", crm(accessToken="x"), Conditions(if_match="other")),
        lambda: definitions.connectors.put(hub, "Crm", outbound("https://x?sig=y", apiKey="x")),
        lambda: definitions.connectors.put("Nowhere", "Crm", crm(accessToken="x")),
    ):
        with pytest.raises(HubError):
            act()
    assert names(settings) == before == named(definitions, hub, "Crm")
    assert definitions.connector(hub, "Crm") == stored


def test_what_was_stored_in_vain_is_removed(definitions: Definitions, hub: str, settings: Settings) -> None:
    """Another PUT comes between the vault and the table, and the ETag is not what it was."""
    first, _ = definitions.connectors.put(hub, "Crm", crm(accessToken="first"))

    def come_between() -> None:
        arm(FailPoint.SECRETS_KEPT, lambda: None)
        definitions.connectors.put(hub, "Crm", crm(accessToken="between"))

    arm(FailPoint.SECRETS_KEPT, come_between)
    with pytest.raises(HubError) as refused:
        definitions.connectors.put(hub, "Crm", crm(accessToken="late"), Conditions(if_match=first.etag))
    assert refused.value.code == "PreconditionFailed"
    [reference] = references(definitions.connector(hub, "Crm").internal).values()
    vaults = Vaults(settings)
    assert vaults.get_own(reference) == "between"
    assert sorted(vaults.get_own(name) for name in names(settings)) == ["between", "first"]


def test_a_vault_that_refuses_midway_keeps_nothing(
    azurite: Endpoints, table: Table, definitions: Definitions, hub: str, settings: Settings, vault: KeyVault
) -> None:
    with running_proxy(vault.url) as proxy:
        far = development(azurite, proxy.endpoint)
        broken = Definitions(table, Vaults(far), Clock(far), far)
        proxy.plan = lambda request: Answer(403) if request.method == "PUT" and b'"third"' in request.body else None
        with pytest.raises(HubError) as refused:
            broken.connectors.put(hub, "Crm", crm(tokens=["first", "second", "third", "fourth"]))
        assert refused.value.code == "VaultRefused"
        assert sum(request.method == "PUT" for request in proxy.requests if request.body) >= 3
    assert names(settings) == set()
    definitions.connectors.put(hub, "Crm", crm(tokens=["first", "second", "third", "fourth"]))
    assert len(names(settings)) == 4


@pytest.mark.parametrize("spell", [str, str.upper, str.title, "{}/0123456789abcdef0123456789abcdef".format])
@pytest.mark.parametrize("asker", ["Contoso", "Fabrikam"])
def test_what_the_app_keeps_for_a_connector_is_no_connection_of_another(
    definitions: Definitions, hub: str, settings: Settings, vault: KeyVault, asker: str, spell: Callable[[str], str]
) -> None:
    definitions.put_hub("Fabrikam", Hub())
    definitions.connectors.put(hub, "Crm", crm(connectionString="UseDevelopmentStorage=true"))
    [name] = named(definitions, hub, "Crm")
    with pytest.raises(InvalidRequestError) as refused:
        definitions.connectors.put(asker, "Files", files(vault, spell(name)))
    [fault] = refused.value.details
    assert (fault.code, fault.target) == ("SecretNotAllowed", "connectorProperties.connectionKeyVaultUrl")
    with pytest.raises(InvalidRequestError):
        Vaults(settings).get(f"{vault.url}/secrets/{spell(name)}")  # stored by an earlier release


def test_what_an_earlier_release_left_in_the_document_is_masked_and_moved(
    definitions: Definitions, hub: str, settings: Settings, vault: KeyVault
) -> None:
    stored, _ = definitions.connectors.put(hub, "Files", files(vault, note="new"))
    plain = {**stored.document.to_json(), "connectorProperties": {
        **stored.document.to_json()["connectorProperties"], "clientSecret": "MARKER", "deep": [{"auth": "Pwd=MARKER"}]
    }}  # fmt: skip
    definitions._store.change(
        hub,
        lambda change: change.put(
            CONNECTOR_AS_STORED, ("Files",), connector_from_request(plain).model_copy(
                update={name: getattr(stored.document, name) for name in ("connector_name", "connector_id", "state")}
            ), stored.instance_id, stored.internal,
        ),
    )  # fmt: skip
    for read in (definitions.connector(hub, "Files"), definitions.connectors.all(hub)[0]):
        assert "MARKER" not in repr(read)
        assert read.document.to_json()["connectorProperties"]["clientSecret"] == "***"
    with definitions.consistent_read():
        assert "MARKER" in repr(definitions._store.all(CONNECTOR_AS_STORED, hub))
        assert "MARKER" not in repr(definitions.connectors.all(hub))
    assert all(check.ok for check in definitions.connectors.test(hub, "Files"))
    body = definitions.connector(hub, "Files").document.to_json()
    moved, _ = definitions.connectors.put(hub, "Files", connector_from_request(body))
    raw = definitions._store.require(CONNECTOR_AS_STORED, hub, "Files")
    assert "MARKER" not in repr(raw)
    values = {place: Vaults(settings).get_own(name) for place, name in references(moved.internal).items()}
    assert values == {"/clientSecret": "MARKER", "/deep/0/auth": "Pwd=MARKER"}
