"""Hubs that never named a container are not asked about it; those that may have are, whoever stored what names it."""

from collections.abc import Callable, Iterator
from threading import Barrier
from urllib.parse import unquote

import pytest

from infra.local.azurite import ACCOUNT, Endpoints
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.places.named_containers import MOST, NAMED, NamedContainers, hubs_naming, note_named
from shared.definitions.store.definition_store import HUBS, Change
from shared.definitions.store.kinds import HUB
from shared.domain.documents.hubs import Hub
from shared.domain.errors import ConflictError
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.definitions.places.claims import OF_ANOTHER, again, damage, listening, put, reads, refusal, use
from tests.definitions.samples import outbound
from tests.fault_proxy import FaultProxy, Request, running_proxy
from tests.local_services import account_of


@pytest.fixture
def proxy(azurite: Endpoints) -> Iterator[FaultProxy]:
    with running_proxy(azurite.table) as proxy:
        yield proxy


@pytest.fixture
def far(hubs: Definitions, proxy: FaultProxy, table: Table, azurite: Endpoints, settings: Settings) -> Definitions:
    """The definitions of the hubs behind the proxy, as another process sees them."""
    behind = Table(account_of(azurite, table=proxy.endpoint), table.name)
    return Definitions(behind, Vaults(settings), Clock(settings), settings)


def naming(definitions: Definitions, container: str) -> list[str]:
    return [hub.name for hub in hubs_naming(definitions._store, {container})]


def forget(definitions: Definitions, *hubs: str) -> None:
    """Leaves hubs as an earlier release does."""

    def delete(change: Change) -> None:
        for hub in hubs:
            change.delete(NAMED, hub)

    definitions._store.change(HUBS, delete)


def test_hubs_that_name_nothing_cost_the_others_nothing(hubs: Definitions, far: Definitions, proxy: FaultProxy) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    connector, mapping = hubs.connector("Zeta", "Files"), hubs.mapping("Zeta", "Files", "Customers")

    def cost(act: Callable[[], object]) -> int:
        before = len(proxy.requests)
        act()
        return len(proxy.requests) - before

    names = iter(("First", "Second"))

    def costs() -> list[int]:
        far.listeners(ACCOUNT, "inbox")  # reads the list of hubs
        event = cost(lambda: far.listeners(ACCOUNT, "inbox"))
        far.containers._known = {}
        ingestion = cost(lambda: far.account_of_mapping(connector, mapping))
        is_alone = cost(lambda: far.containers.is_alone("Zeta", far.connectors.source_account(connector), "done"))
        replaced = cost(lambda: far.put_mapping("Zeta", "Files", "Customers", reads("inbox", "done")))
        fresh = next(names)
        first = cost(lambda: far.put_mapping("Zeta", "Files", fresh, reads(fresh.lower())))
        return [event, ingestion, is_alone, replaced, first]

    few = costs()
    for number in range(30):
        hubs.put_hub(f"Empty{number}", Hub())
    assert costs() == few
    assert few[0] <= 2


def test_those_that_name_it_are_asked_at_once(hubs: Definitions, far: Definitions, proxy: FaultProxy) -> None:
    names = [f"More{number}" for number in range(8)]
    for name in names:
        hubs.put_hub(name, Hub())
        note_named(hubs._store, name, {"inbox"})
    together = Barrier(len(names))

    def plan(request: Request) -> None:
        if "PartitionKey='more" in (target := unquote(request.target)) and "RowKey='guard'" in target:
            together.wait(30)

    proxy.plan = plan
    assert far.listeners(ACCOUNT, "inbox") == []
    assert not together.broken


def test_a_mapping_is_found_by_another_process_at_once(hubs: Definitions) -> None:
    other = again(hubs)
    assert listening(other, "inbox") == []
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    assert listening(other, "inbox") == ["Zeta"]
    hubs.put_mapping("Alpha", "Files", "Elsewhere", reads("elsewhere"))
    with pytest.raises(ConflictError, match="another hub"):
        other.put_mapping("Alpha", "Files", "Customers", reads("done"))
    assert naming(other, "inbox") == naming(other, "done") == ["zeta"]
    assert naming(other, "elsewhere") == ["alpha"]


def test_where_a_hub_exports_is_found_by_another_process(hubs: Definitions, partner_sas: str) -> None:
    other = again(hubs)
    assert naming(other, "partner") == []
    hubs.connectors.put("Zeta", "Partner", outbound(partner_sas))
    assert naming(other, "partner") == ["zeta"]
    assert refusal(lambda: other.put_mapping("Alpha", "Files", "Customers", reads("partner"))) == OF_ANOTHER


def test_a_name_without_what_was_to_follow_does_no_harm(hubs: Definitions) -> None:
    note_named(hubs._store, "Zeta", {"inbox"})  # and the process ends
    assert naming(again(hubs), "inbox") == ["zeta"]
    assert again(hubs).listeners(ACCOUNT, "inbox") == []
    put(hubs, "Alpha", "Files", "Customers", reads("inbox"))
    assert use(again(hubs), "Alpha") is None
    hubs.put_mapping("Zeta", "Files", "Customers", reads("other"))
    assert naming(again(hubs), "other") == ["zeta"]


def test_a_container_is_noted_before_the_mapping_is_stored(
    hubs: Definitions, far: Definitions, proxy: FaultProxy
) -> None:
    seen: list[list[str]] = []

    def plan(request: Request) -> None:
        if request.method == "POST" and b"mapping|files" in request.body:
            seen.append(naming(again(hubs), "inbox"))

    proxy.plan = plan
    far.put_mapping("Zeta", "Files", "Customers", reads("inbox"))
    assert seen == [["zeta"]]


def test_a_mapping_that_is_refused_is_not_noted(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    assert refusal(lambda: hubs.put_mapping("Alpha", "Files", "Customers", reads("inbox"))) == OF_ANOTHER
    assert naming(hubs, "inbox") == ["zeta"]


@pytest.mark.parametrize("completes", [Definitions.note_containers, lambda hubs, hub: hubs.put_hub(hub, Hub())])
def test_a_hub_of_an_earlier_release_is_found(
    hubs: Definitions, partner_sas: str, completes: Callable[[Definitions, str], object]
) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox", "done"))
    hubs.connectors.put("Zeta", "Partner", outbound(partner_sas))
    etag = hubs.hub("Zeta").etag
    forget(hubs, "Zeta")
    hubs.put_mapping("Zeta", "Files", "Later", reads("later"))
    assert naming(hubs, "inbox") == naming(hubs, "never") == ["zeta"]
    assert listening(again(hubs), "inbox") == ["Zeta"]
    hubs.note_containers("Zeta")
    assert hubs.hub("Zeta").etag == etag
    forget(hubs, "Zeta")
    completes(hubs, "Zeta")
    assert naming(hubs, "never") == []
    for container in ("inbox", "done", "later", "partner"):
        assert naming(again(hubs), container) == ["zeta"], container


def test_what_an_earlier_release_stored_beside_the_list_is_added(hubs: Definitions) -> None:
    put(hubs, "Zeta", "Files", "Customers", reads("inbox"))
    hubs._store.change(HUBS, lambda change: change.put(NAMED, ("Zeta",), NamedContainers(is_complete=True)))
    assert naming(hubs, "inbox") == []
    hubs.note_containers("Zeta")
    assert (naming(hubs, "inbox"), naming(hubs, "never")) == (["zeta"], [])


def test_a_hub_with_a_mapping_that_cannot_be_read_may_name_any(hubs: Definitions) -> None:
    hubs.put_mapping("Zeta", "Files", "Customers", reads("inbox"))
    damage(hubs, "Zeta", "mapping|files|customers")
    forget(hubs, "Zeta")
    hubs.note_containers("Zeta")
    assert naming(hubs, "never") == ["zeta"]


def test_a_hub_that_names_too_many_may_name_any(hubs: Definitions) -> None:
    note_named(hubs._store, "Zeta", {f"c{number}" for number in range(MOST)})
    assert naming(hubs, "never") == []
    note_named(hubs._store, "Zeta", {"one", "more"})
    assert naming(hubs, "never") == ["zeta"]
    hubs.note_containers("Zeta")
    assert naming(hubs, "never") == ["zeta"]


def test_the_names_go_with_the_hub(definitions: Definitions) -> None:
    definitions.put_hub("Zeta", Hub())
    note_named(definitions._store, "Zeta", {"inbox"})
    definitions.delete_hub("Zeta")
    assert definitions._store.get(NAMED, HUBS, "Zeta") is None
    note_named(definitions._store, "Zeta", {"inbox"})
    assert definitions._store.get(NAMED, HUBS, "Zeta") is None
    definitions.put_hub("Zeta", Hub())
    assert naming(definitions, "inbox") == []


def test_what_was_noted_of_an_earlier_hub_is_noted_again_for_the_one_made_anew(hubs: Definitions) -> None:
    """The hub is deleted and made anew between the note and the mapping, by requests that saw it in use."""
    store, tries = hubs._store, list[str]()

    def end(change: Change) -> None:
        change.delete(HUB, "Zeta")
        change.delete(NAMED, "Zeta")

    def gone_and_back(change: Change) -> None:
        note_named(store, "Zeta", {"inbox"})
        if not tries:
            store.change(HUBS, end)
            again(hubs).put_hub("Zeta", Hub())
        tries.append("")
        change.is_needed = True

    store.change("Zeta", gone_and_back)
    assert len(tries) == 2
    assert (naming(hubs, "inbox"), naming(hubs, "never")) == (["zeta"], [])
