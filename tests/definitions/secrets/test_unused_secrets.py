"""Upkeep of the vault: what no connector names goes after a day, and nothing that one names, whatever became of it."""

import contextlib
import http.client
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.secrets.secrets import references
from shared.definitions.store.definition_store import HUBS, Conditions
from shared.definitions.store.kinds import CONNECTOR, HUB
from shared.domain.documents.hubs import Hub
from shared.domain.errors import HubError, PreconditionError, UnavailableError
from shared.failpoints import FailPoint, arm
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Row, Table
from tests.definitions.places.claims import damage
from tests.definitions.samples import crm, profile
from tests.fault_proxy import Answer, Fault, FaultProxy, LoseAnswer, Request, running_proxy
from tests.local_services import STORAGE_SECRET, account_of, development, running_vault

DAY = timedelta(days=1)


@pytest.fixture
def vault(azurite: Endpoints, tmp_path: Path) -> Iterator[KeyVault]:
    """A vault of its own: what is in it is counted."""
    with running_vault(tmp_path / "vault", azurite) as vault:
        yield vault


@pytest.fixture
def settings(azurite: Endpoints, vault: KeyVault) -> Settings:
    return development(azurite, vault.url)


@pytest.fixture
def proxy(azurite: Endpoints) -> Iterator[FaultProxy]:
    with running_proxy(azurite.table) as proxy:
        yield proxy


@pytest.fixture
def far(azurite: Endpoints, table: Table, settings: Settings, proxy: FaultProxy) -> Definitions:
    """The same definitions, behind the proxy."""
    behind = Table(account_of(azurite, table=proxy.endpoint), table.name)
    return Definitions(behind, Vaults(settings), Clock(settings), settings)


def upkeep(definitions: Definitions, after: timedelta = 2 * DAY) -> int:
    return definitions.connectors.unused_secrets.remove(datetime.now(UTC) + after)


def names(settings: Settings) -> set[str]:
    """What the vault holds beside the secret that is there from the start."""
    return {secret.name.lower() for secret in Vaults(settings).kept()} - {STORAGE_SECRET}


def named(definitions: Definitions, hub: str, connector: str = "Crm") -> set[str]:
    found = references(definitions.connector(hub, connector).internal).values()
    return {name.split("/")[0].lower() for name in found}


def values(definitions: Definitions, hub: str, settings: Settings, connector: str = "Crm") -> list[str]:
    """What a connector's references lead to, read afresh."""
    internal = definitions.connector(hub, connector).internal
    return sorted(Vaults(settings).get_own(reference) for reference in references(internal).values())


def lists(table: Table) -> list[Row]:
    return list(table.query("RowKey ge @first and RowKey lt @beyond", {"first": "secrets|", "beyond": "secrets}"}))


def leave_behind(definitions: Definitions, hub: str) -> None:
    """A process dies between the vault and the table."""

    def die() -> None:
        raise KeyboardInterrupt

    arm(FailPoint.SECRETS_KEPT, die)
    with pytest.raises(KeyboardInterrupt):
        definitions.connectors.put(hub, "Dead", crm(accessToken="dead"))
    arm(FailPoint.SECRETS_KEPT, lambda: None)


def test_upkeep_removes_what_no_document_names(
    definitions: Definitions, hub: str, settings: Settings, table: Table
) -> None:
    definitions.connectors.put(hub, "Crm", crm(accessToken="old", apiKey="stays", password="goes"))
    definitions.connectors.put(hub, "Crm", crm(accessToken="new", apiKey="***"))
    leave_behind(definitions, hub)
    assert (len(names(settings)), len(named(definitions, hub))) == (5, 2)
    assert upkeep(definitions, DAY / 2) == 0, "a PUT may be about to name it, a run may still read it"
    assert len(names(settings)) == 5
    assert upkeep(definitions) == 3
    assert names(settings) == named(definitions, hub)
    assert values(definitions, hub, settings) == ["new", "stays"]
    assert lists(table) == []
    assert upkeep(definitions, 9 * DAY) == 0


def test_lists_outlive_connector_and_hub(definitions: Definitions, hub: str, settings: Settings, table: Table) -> None:
    definitions.connectors.put(hub, "Crm", crm(accessToken="old"))
    definitions.connectors.put(hub, "Crm", crm(accessToken="new"))
    leave_behind(definitions, hub)
    definitions.connectors.delete(hub, "Crm")
    definitions.delete_hub(hub)
    assert len(names(settings)) == 1
    assert upkeep(definitions) == 1
    assert (names(settings), lists(table)) == (set(), [])


def lose_the_table(table: Table) -> None:
    table._client.delete_table()


def lose_all_rows(table: Table) -> None:
    for row in list(table.query("PartitionKey ne ''")):
        table.delete(row["PartitionKey"], row["RowKey"])


def lose_the_hub(table: Table) -> None:
    assert table.delete(HUBS, f"{HUB.prefix}|contoso")


def lose_the_connector(table: Table) -> None:
    assert table.delete("contoso", f"{CONNECTOR.prefix}|crm")


@pytest.mark.parametrize("lose", [lose_the_table, lose_all_rows, lose_the_hub, lose_the_connector])
def test_definitions_that_are_lost_cost_no_secret(
    definitions: Definitions, hub: str, settings: Settings, table: Table, lose: Callable[[Table], None]
) -> None:
    definitions.connectors.put(hub, "Crm", crm(accessToken="first", apiKey="stays"))
    before = names(settings)
    lose(table)
    assert upkeep(definitions, 9 * DAY) == 0
    assert names(settings) == before


def test_definitions_restored_to_an_older_state_cost_no_secret(
    definitions: Definitions, hub: str, settings: Settings, table: Table
) -> None:
    definitions.connectors.put(hub, "Crm", crm(accessToken="first"))
    backup = list(table.query("PartitionKey ne ''"))
    definitions.connectors.put(hub, "Crm", crm(accessToken="second"))
    definitions.connectors.put(hub, "Late", crm(accessToken="late"))
    before = names(settings)
    assert len(before) == 3
    lose_all_rows(table)
    for row in backup:
        table.upsert(row)
    assert upkeep(definitions, 9 * DAY) == 0
    assert names(settings) == before
    assert values(definitions, hub, settings) == ["first"]


OWN_NAME = f"other-{'0' * 32}-0123456789-accessToken"


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        (OWN_NAME, {}),
        (OWN_NAME, {"connectorsOf": "anotherhubaccount"}),
        (OWN_NAME, {"connectorsOf": "devstoreaccount1"}),
        ("storage-of-the-shop", {"connectorsOf": "devstoreaccount1"}),
    ],
)
def test_upkeep_leaves_what_others_keep_in_the_vault(
    definitions: Definitions, hub: str, settings: Settings, name: str, tags: dict[str, str]
) -> None:
    Vaults(settings).set(name, "theirs", tags)
    leave_behind(definitions, hub)
    assert upkeep(definitions, 9 * DAY) == 1
    assert names(settings) == {name.lower()}


@pytest.mark.parametrize(
    ("name", "tags", "is_deleted"),
    [
        (OWN_NAME, {}, False),
        (OWN_NAME, {"connectorsOf": "anotherhubaccount"}, False),
        ("storage-of-the-shop", {"connectorsOf": "devstoreaccount1"}, False),
        (OWN_NAME, {"connectorsOf": "devstoreaccount1"}, True),
    ],
)
def test_a_list_is_no_right_to_what_others_keep(
    definitions: Definitions,
    hub: str,
    settings: Settings,
    table: Table,
    name: str,
    tags: dict[str, str],
    is_deleted: bool,
) -> None:
    Vaults(settings).set(name, "theirs", tags)
    leave_behind(definitions, hub)
    [row] = lists(table)
    table.upsert({**row, "names": f'["{name}"]'})
    assert upkeep(definitions) == is_deleted
    assert (name.lower() in names(settings)) is not is_deleted


def test_a_list_that_came_late_costs_no_secret(
    definitions: Definitions, hub: str, settings: Settings, table: Table
) -> None:
    """A request that was sent twice arrived again behind the transaction that took its row away."""
    sent: list[Row] = []
    arm(FailPoint.SECRETS_KEPT, lambda: sent.extend(lists(table)))
    definitions.connectors.put(hub, "Crm", crm(accessToken="first"))
    [row] = sent
    assert lists(table) == []
    table.upsert(row)
    assert upkeep(definitions) == 0
    assert values(definitions, hub, settings) == ["first"]
    assert lists(table) == []


def test_a_put_that_upkeep_took_for_dead_ends_with_its_secrets(
    definitions: Definitions, hub: str, settings: Settings, table: Table
) -> None:
    removed: list[int] = []

    def come_between() -> None:
        arm(FailPoint.SECRETS_KEPT, lambda: None)
        removed.append(upkeep(definitions))

    arm(FailPoint.SECRETS_KEPT, come_between)
    definitions.connectors.put(hub, "Crm", crm(accessToken="slow"))
    assert removed == [1]
    assert values(definitions, hub, settings) == ["slow"]
    assert (names(settings), lists(table)) == (named(definitions, hub), [])


def fail_after_commit(endpoint: str) -> Callable[[Request], Fault]:
    """The service does what it is asked, and answers 500: the client repeats it by itself."""

    def fail(request: Request) -> Fault:
        upstream = http.client.HTTPConnection(urlsplit(endpoint).netloc)
        with contextlib.closing(upstream):
            upstream.request(request.method, request.target, request.body, dict(request.headers))
            assert upstream.getresponse().status == 202
        return Answer(500, "InternalError")

    return fail


def lose_answer(_: str) -> Callable[[Request], Fault]:
    """The client cannot tell whether anything was done, and does not repeat it."""
    return lambda _: LoseAnswer()


@pytest.mark.parametrize("break_answer", [fail_after_commit, lose_answer])
@pytest.mark.parametrize(
    ("conditions", "exists"),
    [
        (lambda _: Conditions(if_none_match=True), False),
        (lambda etag: Conditions(if_match=etag), True),
        (lambda _: Conditions(), False),
        (lambda _: Conditions(), True),
    ],
    ids=["If-None-Match", "If-Match", "create", "replace"],
)
def test_a_commit_whose_answer_is_lost_keeps_its_secrets_though_the_hub_changes(
    azurite: Endpoints,
    definitions: Definitions,
    far: Definitions,
    proxy: FaultProxy,
    hub: str,
    settings: Settings,
    table: Table,
    break_answer: Callable[[str], Callable[[Request], Fault]],
    conditions: Callable[[str], Conditions],
    exists: bool,
) -> None:
    """The try that follows meets its own document, and refuses it where the request had a condition."""
    etag = definitions.connectors.put(hub, "Crm", crm(accessToken="first"))[0].etag if exists else ""
    broken = break_answer(azurite.table)
    seen: list[str] = []

    def plan(request: Request) -> Fault | None:
        if "$batch" in request.target and not seen:
            seen.append("commit")
            return broken(request)
        if seen == ["commit"]:
            seen.append("another change of the hub")
            definitions.put_entity_type(hub, "Customer", profile())
        return None

    proxy.plan = plan
    wanted = conditions(etag)
    with contextlib.suppress(PreconditionError, UnavailableError):
        far.connectors.put(hub, "Crm", crm(accessToken="mine"), wanted)
    assert len(seen) == 2
    assert values(definitions, hub, settings) == ["mine"]
    upkeep(definitions)
    assert values(definitions, hub, settings) == ["mine"]
    assert (names(settings), lists(table)) == (named(definitions, hub), [])


def test_a_commit_without_an_answer_keeps_its_secret(
    definitions: Definitions, far: Definitions, proxy: FaultProxy, hub: str, settings: Settings
) -> None:
    """Whether the document is stored cannot be told, so its secret stays for upkeep to judge."""
    proxy.plan = lambda request: Answer(503, "ServerBusy") if "$batch" in request.target else None
    with pytest.raises(UnavailableError):
        far.connectors.put(hub, "Crm", crm(accessToken="orphan"))
    assert definitions.connectors.all(hub) == []
    assert len(names(settings)) == 1
    _, created = definitions.connectors.put(hub, "Crm", crm(accessToken="kept"))
    assert created
    assert values(definitions, hub, settings) == ["kept"]
    assert upkeep(definitions) == 1
    assert names(settings) == named(definitions, hub)


def test_what_cannot_be_listed_is_not_stored(
    definitions: Definitions, far: Definitions, proxy: FaultProxy, hub: str, settings: Settings
) -> None:
    proxy.plan = lambda request: Answer(503, "ServerBusy") if "secrets%7C" in request.target else None
    with pytest.raises(UnavailableError):
        far.connectors.put(hub, "Crm", crm(accessToken="x"))
    assert names(settings) == set()
    assert definitions.connectors.all(hub) == []


def test_what_cannot_be_claimed_is_not_taken_back(
    definitions: Definitions, far: Definitions, proxy: FaultProxy, hub: str, settings: Settings
) -> None:
    """A PUT that came too late cannot tell the table so; its secret is left to upkeep."""
    first, _ = definitions.connectors.put(hub, "Crm", crm(accessToken="first"))

    def come_between() -> None:
        arm(FailPoint.SECRETS_KEPT, lambda: None)
        definitions.connectors.put(hub, "Crm", crm(accessToken="between"))
        proxy.plan = lambda request: Answer(503, "ServerBusy") if request.method in {"PUT", "PATCH"} else None

    arm(FailPoint.SECRETS_KEPT, come_between)
    with pytest.raises(PreconditionError):
        far.connectors.put(hub, "Crm", crm(accessToken="late"), Conditions(if_match=first.etag))
    assert len(names(settings)) == 3
    assert upkeep(definitions) == 2
    assert values(definitions, hub, settings) == ["between"]
    assert names(settings) == named(definitions, hub)


def test_upkeep_that_is_interrupted_goes_on_later(
    azurite: Endpoints, definitions: Definitions, hub: str, settings: Settings, table: Table, vault: KeyVault
) -> None:
    leave_behind(definitions, hub)
    with running_proxy(vault.url) as proxy:
        proxy.plan = lambda request: Answer(403) if request.method == "DELETE" else None
        unable = development(azurite, proxy.endpoint)
        with pytest.raises(HubError):
            upkeep(Definitions(table, Vaults(unable), Clock(unable), unable))
    assert len(names(settings)) == 1
    assert upkeep(definitions) == 1
    assert (names(settings), lists(table)) == (set(), [])


def test_a_connector_that_cannot_be_read_keeps_the_secrets_of_its_hub_and_of_no_other(
    definitions: Definitions, hub: str, settings: Settings, table: Table, caplog: pytest.LogCaptureFixture
) -> None:
    definitions.put_hub("Alpha", Hub())
    definitions.put_hub("Zeta", Hub())
    definitions.connectors.put(hub, "Crm", crm(accessToken="old"))
    definitions.connectors.put(hub, "Crm", crm(accessToken="new"))
    [row] = table.query("RowKey eq 'connector|crm'")
    kept = names(settings)
    for other in (hub, "Alpha", "Zeta"):
        leave_behind(definitions, other)
    damage(definitions, hub, "connector|crm")
    assert upkeep(definitions) == 2
    assert kept < names(settings)
    assert {found["PartitionKey"] for found in lists(table)} == {hub.lower()}
    assert "DefinitionUnreadable" in caplog.text
    table.upsert(row)
    assert upkeep(definitions) == 2
    assert values(definitions, hub, settings) == ["new"]
    assert (names(settings), lists(table)) == (named(definitions, hub), [])
