"""What holds for every kind of connector, and for one more that a folder and a line in the list of kinds add."""

import ast
import re
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.connectors import kinds
from shared.connectors.kind import ConnectorKind, Direction
from shared.connectors.kinds import KINDS, connector_from_json, connector_from_request
from shared.connectors.reader import Reader
from shared.definitions.definitions import Definitions
from shared.definitions.secrets.secrets import references, secret_names
from shared.domain.documents.connectors import Connector, ConnectorState, is_secret_name
from shared.domain.documents.hubs import Hub
from shared.domain.errors import InvalidRequestError
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.casts.typing_cases import mapping_of, profile_type, typer_of
from tests.connectors.sample_kind.kind import NOTEBOOK
from tests.definitions.samples import mapping, profile
from tests.local_services import STORAGE_SECRET, account_of, container_sas, development

ROOT = Path(__file__).parents[2]
HOME = ROOT / "shared" / "connectors"
type Kind = ConnectorKind[Any]

every_kind = pytest.mark.parametrize("kind", [*KINDS, NOTEBOOK], ids=lambda kind: kind.name)
every_kind_of_the_product = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@pytest.fixture(autouse=True)
def _one_line_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one who adds a kind writes into `kinds.py`."""
    monkeypatch.setattr(kinds, "KINDS", (*KINDS, NOTEBOOK))


@dataclass(frozen=True)
class World:
    """A hub, and what the systems of some kinds take."""

    definitions: Definitions
    settings: Settings
    vault_url: str
    sas: str
    hub: str
    table: Table

    def properties(self, kind: Kind) -> dict[str, Any]:
        """The example of a kind, where its system is here in place of the one that it names."""
        here = {
            "AzureBlob": {"connectionKeyVaultUrl": f"{self.vault_url}/secrets/{STORAGE_SECRET}"},
            "Outbound": {"outputBlobSASUri": self.sas},
        }
        return {**kind.example, **here.get(kind.name, {})}

    def put(self, kind: Kind, properties: Mapping[str, Any]) -> Connector:
        connector = connector_from_request(body(kind, properties))
        return self.definitions.connectors.put(self.hub, "One", connector)[0].document

    def kept_secrets(self) -> dict[str, str]:
        """What the connector has in the vault, by place."""
        internal = self.definitions.connector(self.hub, "One").internal
        return {place: Vaults(self.settings).get_own(name) for place, name in references(internal).items()}


@pytest.fixture
def world(azurite: Endpoints, vault: KeyVault) -> World:
    settings = development(azurite, vault.url)
    table = Table(account_of(azurite), f"kinds{uuid.uuid4().hex[:12]}")
    definitions = Definitions(table, Vaults(settings), Clock(settings), settings)
    hub = f"Kinds{uuid.uuid4().hex[:12]}"
    definitions.put_hub(hub, Hub())
    definitions.put_entity_type(hub, "Customer", profile())
    partner = BlobContainer(account_of(azurite), f"k{uuid.uuid4().hex[:12]}")
    partner.ensure()
    return World(definitions, settings, vault.url, container_sas(azurite, partner.name), hub, table)


def body(kind: Kind, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"connectorType": kind.name, "connectorProperties": dict(properties)}


def properties_of(kind: Kind) -> dict[str, Any]:
    """The fields of its properties, by the names that travel."""
    model = kind.document.model_fields["connector_properties"].annotation
    return {field.alias: field for field in model.model_fields.values()}


@every_kind
def test_its_example_is_read_kept_and_read_again(kind: Kind) -> None:
    connector = connector_from_request({**body(kind, kind.example), "connectorType": kind.name.upper()})
    assert type(connector) is kind.document
    assert kinds.kind_of(connector) is kind
    assert connector_from_json(connector.to_json()) == connector
    assert connector_from_json({**connector.to_json(), "laterProperty": 1}) == connector
    assert connector.to_json()["connectorType"] == kind.name
    assert {"state", "connectorId"} < connector.read_only


@every_kind
def test_what_it_needs_must_be_there_and_what_it_does_not_know_is_kept(kind: Kind) -> None:
    with_more = connector_from_request(body(kind, {**kind.example, "note": "ours"}))
    assert with_more.to_json()["connectorProperties"]["note"] == "ours"
    for name in (name for name, field in properties_of(kind).items() if field.is_required()):
        rest = {given: value for given, value in kind.example.items() if given != name}
        with pytest.raises(InvalidRequestError) as refused:
            connector_from_request(body(kind, rest))
        faults = [(fault.code, fault.target) for fault in refused.value.details]
        assert faults == [("MissingProperty", f"connectorProperties.{name}")]


@every_kind
def test_it_says_which_of_its_properties_are_secrets(kind: Kind) -> None:
    known = properties_of(kind)
    assert kind.secrets <= known.keys()
    assert {name for name in known if is_secret_name(name)} <= kind.secrets
    assert kind.destination.removeprefix("/") in {*kind.secrets, ""}
    assert all(str in {known[name].annotation, *get_args(known[name].annotation)} for name in kind.secrets)


@every_kind
def test_its_secrets_go_to_the_vault_and_stay_when_they_come_back_masked(kind: Kind, world: World) -> None:
    given = {name: f"canary-{name}" for name in kind.secrets} | world.properties(kind)
    stored = world.put(kind, given)
    kept = {f"/{name}": given[name] for name in kind.secrets}
    assert world.kept_secrets() == kept
    shown = stored.to_json()
    assert {shown["connectorProperties"][name] for name in kind.secrets} <= {"***"}
    assert all(secret not in repr(world.definitions.connector(world.hub, "One")) for secret in kept.values())
    world.put(kind, shown["connectorProperties"])
    assert world.kept_secrets() == kept


@every_kind
def test_its_check_says_how_the_connection_is(kind: Kind, world: World) -> None:
    connector = world.put(kind, world.properties(kind))
    checks = world.definitions.connectors.test(world.hub, "One")
    assert world.definitions.connector(world.hub, "One").document == connector
    if kind.check is None:
        assert connector.state is ConnectorState.CREATED
        assert connector.state_detail == f"this release keeps {kind.name} connectors, but does not run them yet"
        assert [check.ok for check in checks] == [False]
    else:
        assert (connector.state, connector.state_detail) == (ConnectorState.READY, kind.remark(connector))
        assert checks
        assert all(check.ok and check.message for check in checks)


BROKEN: dict[str, Any] = {
    "AzureBlob": lambda world: {"connectionKeyVaultUrl": f"{world.vault_url}/secrets/nothing"},
    "Outbound": lambda world: {"outputBlobSASUri": world.sas.partition("sig=")[0] + "sig=Zm9yZ2Vk"},
    NOTEBOOK.name: lambda _: {"doorCode": "0-0-0"},
}


@every_kind
def test_a_connection_that_does_not_work_is_told_and_tells_no_secret(kind: Kind, world: World) -> None:
    assert (kind.name in BROKEN) == (kind.check is not None), "whoever is checked has a way to fail"
    if kind.check is None:
        return
    broken = BROKEN[kind.name](world)
    connector = world.put(kind, {**world.properties(kind), **broken})
    assert connector.state is ConnectorState.FAILED
    assert connector.state_detail
    assert all(value not in connector.state_detail for name, value in broken.items() if name in kind.secrets)


@every_kind
def test_a_secret_that_the_vault_has_lost_is_told(kind: Kind, world: World) -> None:
    if kind.check is None or not kind.secrets:
        return
    world.put(kind, world.properties(kind))
    for name in secret_names(world.definitions.connector(world.hub, "One").internal):
        Vaults(world.settings).delete(name)
    fresh = Definitions(world.table, Vaults(world.settings), Clock(world.settings), world.settings)
    assert [(check.name, check.ok) for check in fresh.connectors.test(world.hub, "One")] == [("secret", False)]
    assert fresh.connector(world.hub, "One").document.state is ConnectorState.FAILED


@every_kind
def test_nothing_of_it_stays_when_it_is_deleted(kind: Kind, world: World) -> None:
    world.put(kind, {name: f"canary-{name}" for name in kind.secrets} | world.properties(kind))
    if kind.reader is not None:
        world.definitions.put_mapping(world.hub, "One", "Customers", mapping())
    names = secret_names(world.definitions.connector(world.hub, "One").internal)
    assert len(names) == len(kind.secrets)
    world.definitions.connectors.delete(world.hub, "One")
    world.definitions.connectors.delete(world.hub, "One")
    assert world.definitions.connectors.all(world.hub) == []
    assert [secret.name for secret in Vaults(world.settings).kept() if secret.name in names] == []
    assert world.definitions.mappings(world.hub, "One") == []


@every_kind
def test_only_what_is_read_has_mappings(kind: Kind, world: World) -> None:
    assert kind.reader is None or kind.direction in {Direction.EVENTS, Direction.POLLING}
    assert (kind.reader is not None) == (kind.check is not None and kind.direction is not Direction.WRITTEN)
    world.put(kind, world.properties(kind))
    if kind.reader is None:
        with pytest.raises(InvalidRequestError) as refused:
            world.definitions.put_mapping(world.hub, "One", "Customers", mapping())
        assert [fault.code for fault in refused.value.details] == ["InvalidConnectorType"]
    else:
        stored, _ = world.definitions.put_mapping(world.hub, "One", "Customers", mapping())
        assert stored.document.connector_type == kind.name


PERSON = profile_type({"fieldName": "id", "fieldType": "Edm.String"}, {"fieldName": "age", "fieldType": "Edm.Int32"})
MAPPING = mapping_of(PERSON)
PEOPLE: dict[str, Any] = {
    "AzureBlob": lambda reader: reader([b"id,age\na,1\nb,old\nc\nd,4\n"], MAPPING, Settings(), gzipped=False),
    NOTEBOOK.name: lambda reader: reader(
        ["id", "age"], [{}, {"id": "a", "age": "1"}, {"id": "b", "age": "old"}, {"id": "c"}, {"id": "d", "age": "4"}]
    ),
}


@every_kind
def test_what_its_reader_gives_is_cast_with_its_origin(kind: Kind) -> None:
    assert (kind.name in PEOPLE) == (kind.reader is not None), "whoever is read has rows to cast"
    if kind.reader is None:
        return
    reader: Reader = PEOPLE[kind.name](kind.reader)
    header = reader.read_header() or []
    rows, rejects = [], []
    with typer_of(PERSON, MAPPING, header) as typer:
        for batch in reader:
            for piece in typer.pieces(batch):
                typed = typer.type(piece)
                rows += typed.table.to_pylist()
                rejects += [(one.line, one.code) for one in (*piece.rejects, *typed.rejects)]
                assert all(one.raw for one in typed.rejects)
    assert [(row["id"], row["age"], row["_line"]) for row in rows] == [("a", 1, 2), ("d", 4, 5)]
    assert {3, 4} <= {line for line, _ in rejects} <= {1, 3, 4}
    assert (3, "NotAnInteger") in rejects


@every_kind_of_the_product
def test_it_has_a_folder_of_its_own_and_its_model_needs_nothing_but_the_domain(kind: Kind) -> None:
    module = sys.modules[kind.document.__module__]
    path = Path(module.__file__ or "")
    assert path.parent.parent == HOME
    assert {path.name, "kind.py"} <= {file.name for file in path.parent.glob("*.py")}
    for name in imported(path):
        top = name.split(".")[0]
        assert top in {*sys.stdlib_module_names, "pydantic"} or name.startswith("shared.domain."), name


def test_every_folder_is_that_of_a_kind() -> None:
    folders = {path.parent.name for path in HOME.glob("*/kind.py")}
    assert folders == {Path(sys.modules[kind.document.__module__].__file__ or "").parent.name for kind in KINDS}


def test_nobody_else_asks_for_the_model_of_a_kind() -> None:
    """Whoever needs to know what a connector is like asks its kind."""
    names = {kind.name for kind in KINDS}
    telling = re.compile("|".join(["shared.connectors", *(f'"{name}"' for name in names)]))
    others = [path for path in ROOT.glob("shared/**/*.py") if HOME not in path.parents]
    others = [path for path in others if telling.search(path.read_text(encoding="utf-8"))]
    asking = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in others
        for name in imported(path)
        if name.startswith("shared.connectors.") and name.endswith((".document", ".check")) and name.count(".") == 3
    }
    assert asking == set()
    for path in others:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                compared = {one.value for one in ast.walk(node) if isinstance(one, ast.Constant)}
                assert not compared & names, f"{path.relative_to(ROOT)}:{node.lineno} tells kinds apart by name"


def imported(path: Path) -> list[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return names + [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]


def row(kind: Kind) -> list[str]:
    """The row of a kind on the page, but for what it says of the system."""

    def listed(names: list[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    return [
        f"`{kind.name}`",
        kind.direction.value if kind.direction else "",
        "yes" if kind.check else "not yet",
        listed([name for name, field in properties_of(kind).items() if field.is_required()]),
        listed([name for name, field in properties_of(kind).items() if not field.is_required()]),
        listed([name for name in properties_of(kind) if name in kind.secrets]),
    ]


def test_the_page_lists_every_kind_as_it_is() -> None:
    page = (ROOT / "docs" / "connectors.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:3] == "| `"]
    assert [[*cells[:1], *cells[2:]] for cells in rows] == [row(kind) for kind in KINDS]
    assert all(cells[1] for cells in rows)
