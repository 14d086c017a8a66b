"""Connectors that are deleted, and those whose vault or table fails them midway: nothing is half there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.secrets.secrets import references
from shared.definitions.store.kinds import MAPPING
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.hubs import Hub
from shared.domain.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.samples import crm, files, kpi, mapping, profile
from tests.local_services import development, running_vault


@pytest.fixture
def typed(definitions: Definitions, hub: str) -> Definitions:
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.put_kpi(hub, "Ages", kpi(groupBy=["CustomerId"]))
    return definitions


def test_deleting_takes_mappings_and_secrets_along(
    typed: Definitions, hub: str, vault: KeyVault, settings: Settings
) -> None:
    stored, _ = typed.connectors.put(hub, "Files", files(vault, accessToken="geheim"))
    [reference] = references(stored.internal).values()
    for number in range(3):
        typed.put_mapping(hub, "Files", f"M{number}", mapping())
    typed.connectors.put(hub, "Files2", files(vault))
    typed.put_mapping(hub, "Files2", "Stays", mapping())
    typed.connectors.delete(hub, "files")
    typed.connectors.delete(hub, "files")
    with pytest.raises(NotFoundError):
        typed.connector(hub, "Files")
    assert typed.mappings(hub, "Files") == []
    assert len(typed.mappings(hub, "Files2")) == 1
    with pytest.raises(RefusedError) as gone:
        Vaults(settings).get_own(reference)
    assert gone.value.code == "SecretNotFound"
    typed.connectors.delete("nowhere", "files")


def test_many_mappings_are_deleted_too(definitions: Definitions, hub: str, vault: KeyVault) -> None:
    definitions.put_entity_type(hub, "Customer", profile())
    definitions.connectors.put(hub, "Files", files(vault))
    one, _ = definitions.put_mapping(hub, "Files", "M0", mapping())
    store = definitions._store
    for start in (0, 60):
        store.change(
            hub,
            lambda change, start=start: [  # type: ignore[misc]
                change.put(MAPPING, ("Files", name), one.document.model_copy(update={"connector_mapping_name": name}))
                for name in (f"M{number}" for number in range(start, start + 60))
            ],
        )
    assert len(definitions.mappings(hub, "Files")) == 120
    definitions.connectors.delete(hub, "Files")
    assert definitions.mappings(hub, "Files") == []


@pytest.fixture
def fragile(
    azurite: Endpoints, table: Table, tmp_path: Path
) -> tuple[Definitions, Callable[[], None], Callable[[], Definitions]]:
    """Definitions with a vault of their own; how to stop it; and the same definitions with a new one."""
    stack = []

    def opened(folder: Path) -> Definitions:
        context = running_vault(folder, azurite)
        vault = context.__enter__()
        stack.append(context)
        own = development(azurite, vault.url)
        return Definitions(table, Vaults(own), Clock(own), own)

    def stop() -> None:
        stack.pop().__exit__(None, None, None)

    return opened(tmp_path / "vault"), stop, lambda: opened(tmp_path / "vault")


def test_without_its_vault_nothing_is_half_stored(
    fragile: tuple[Definitions, Callable[[], None], Callable[[], Definitions]],
) -> None:
    definitions, stop, restart = fragile
    definitions.put_hub("Contoso", Hub())
    kept, _ = definitions.connectors.put("Contoso", "Kept", crm(accessToken="one"))
    stop()
    for name in ("New", "Kept"):
        with pytest.raises(UnavailableError):
            definitions.connectors.put("Contoso", name, crm(accessToken="two"))
    assert definitions.connectors.all("Contoso") == [kept]
    with pytest.raises(UnavailableError):
        definitions.connectors.delete("Contoso", "Kept")
    [half] = definitions.connectors.all("Contoso")
    assert half.document.state is ConnectorState.DELETING
    for refused in (
        lambda: definitions.connectors.put("Contoso", "Kept", crm()),
        lambda: definitions.put_mapping("Contoso", "Kept", "Mm", mapping()),
    ):
        with pytest.raises(ConflictError) as conflict:
            refused()
        assert conflict.value.code == "ConnectorDeleting"
    assert not definitions.connectors.test("Contoso", "Kept")[0].ok
    again = restart()
    again.connectors.delete("Contoso", "Kept")
    assert again.connectors.all("Contoso") == []
    stop()
