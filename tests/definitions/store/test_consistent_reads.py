"""One look reads a hub as it is, and asks no more than whether it was changed."""

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import pytest

from infra.local.azurite import Endpoints
from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.definitions.store.consistent_reads import ConsistentReads, Found
from shared.domain.documents.entity_types import EntityKind, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.errors import FatalError, NotFoundError
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table
from tests.fault_proxy import running_proxy
from tests.local_services import account_of


def profile_type(*more: str) -> ProfileType:
    fields = [{"fieldName": name, "fieldType": "Edm.String"} for name in ("Id", *more)]
    return ProfileType.from_request(
        {"fields": fields, "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["Id"]}]}
    )


def names_of(definitions: Definitions, hub: str) -> list[str]:
    stored = definitions.entity_type(hub, EntityKind.PROFILE, "Customer")
    return [field.field_name for field in stored.document.fields]


@pytest.fixture
def elsewhere(table: Table, settings: Settings) -> Definitions:
    """The definitions as another process has them."""
    return Definitions(table, Vaults(settings), Clock(settings), settings)


def test_each_look_sees_what_another_process_has_changed(
    definitions: Definitions, elsewhere: Definitions, hub: str
) -> None:
    with definitions.consistent_read(), pytest.raises(NotFoundError):
        names_of(definitions, hub)
    for fields in ([], ["Name"], ["Name", "City"]):
        elsewhere.put_entity_type(hub, "Customer", profile_type(*fields))
        for _ in range(2):
            with definitions.consistent_read():
                assert names_of(definitions, hub) == ["Id", *fields]
    elsewhere.delete_entity_type(hub, EntityKind.PROFILE, "Customer")
    with definitions.consistent_read(), pytest.raises(NotFoundError):
        names_of(definitions, hub)


def test_a_hub_made_and_deleted_elsewhere_is_seen(definitions: Definitions, elsewhere: Definitions) -> None:
    def seen() -> list[str]:
        with definitions.consistent_read():
            return definitions.hub_names()

    assert seen() == []
    elsewhere.put_hub("Contoso", Hub.from_request({}))
    assert seen() == ["Contoso"]
    elsewhere.put_hub("Fabrikam", Hub.from_request({}))
    assert seen() == ["Contoso", "Fabrikam"]
    elsewhere.delete_hub("Contoso")
    assert seen() == ["Fabrikam"]


def test_outside_of_a_look_everything_is_read_anew(definitions: Definitions, elsewhere: Definitions, hub: str) -> None:
    elsewhere.put_entity_type(hub, "Customer", profile_type())
    assert names_of(definitions, hub) == ["Id"]
    elsewhere.put_entity_type(hub, "Customer", profile_type("Name"))
    assert names_of(definitions, hub) == ["Id", "Name"]


def test_nothing_is_changed_on_the_strength_of_a_look(definitions: Definitions, hub: str) -> None:
    with definitions.consistent_read(), pytest.raises(FatalError):
        definitions.put_entity_type(hub, "Customer", profile_type())
    definitions.put_entity_type(hub, "Customer", profile_type())


def test_a_look_is_of_its_thread_and_takes_in_looks_within_it(
    definitions: Definitions, elsewhere: Definitions, hub: str
) -> None:
    elsewhere.put_entity_type(hub, "Customer", profile_type())
    with definitions.consistent_read():
        assert names_of(definitions, hub) == ["Id"]
        elsewhere.put_entity_type(hub, "Customer", profile_type("Name"))
        with definitions.consistent_read():
            assert names_of(definitions, hub) == ["Id"]
        assert in_another_thread(lambda: names_of(definitions, hub)) == ["Id", "Name"]
    with definitions.consistent_read():
        assert names_of(definitions, hub) == ["Id", "Name"]


def test_an_unchanged_hub_costs_one_request(
    definitions: Definitions, table: Table, hub: str, azurite: Endpoints, settings: Settings
) -> None:
    definitions.put_entity_type(hub, "Customer", profile_type())
    with running_proxy(azurite.table) as proxy:
        behind = Table(account_of(azurite, table=proxy.endpoint), table.name)
        far = Definitions(behind, Vaults(settings), Clock(settings), settings)
        with far.consistent_read():
            names_of(far, hub)
        before = len(proxy.requests)
        with far.consistent_read():
            for _ in range(3):
                names_of(far, hub)
        (asked,) = proxy.requests[before:]
    assert "RowKey='guard'" in unquote(asked.target)


class Read:
    """What is read of a partition."""


def looked(looks: ConsistentReads, partition: str, memory: int = 100_000, key: str = "key") -> Read:
    with looks.one():
        return looks.seen(partition, key, lambda: Found(Read(), memory))


def change(table: Table, partition: str) -> None:
    table.upsert({"PartitionKey": partition, "RowKey": "guard"})


def test_of_a_hub_that_is_changed_all_the_time_only_the_newest_is_kept(table: Table) -> None:
    looks = ConsistentReads(table, "guard")
    sizes, earlier = set(), []
    for _ in range(6):
        change(table, "evil")
        earlier.append(weakref.ref(looked(looks, "evil")))
        with looks.one():
            looks.read_on("evil", "list", lambda _: Found([Read()], 100_000))
        sizes.add(looks.memory)
    gc.collect()
    assert len(sizes) == 1
    assert [one() is None for one in earlier] == [True] * 5 + [False]


def test_where_it_is_too_much_the_largest_goes_first(table: Table) -> None:
    looks = ConsistentReads(table, "guard", most=1_000_000)
    for partition in ("good", "evil", "other"):
        change(table, partition)
    good = looked(looks, "good")
    large = looked(looks, "evil", 900_000)
    other = looked(looks, "other")
    assert looks.memory < 1_000_000
    assert looked(looks, "good") is good
    assert looked(looks, "other") is other
    assert looked(looks, "evil", 2_000_000) is not large
    assert looked(looks, "good") is good
    assert looks.memory < 1_000_000


def test_who_still_reads_what_was_changed_meanwhile_disturbs_nobody(table: Table) -> None:
    looks = ConsistentReads(table, "guard")
    change(table, "hub")
    asked, done = threading.Event(), threading.Event()

    def slow() -> Found[str]:
        asked.set()
        assert done.wait(30)
        return Found("old", 500_000)

    def old_look() -> list[str]:
        with looks.one():
            return [looks.seen("hub", "key", slow) for _ in range(2)]

    with ThreadPoolExecutor(1) as pool:
        old = pool.submit(old_look)
        assert asked.wait(30)
        change(table, "hub")
        with looks.one():
            assert looks.seen("hub", "key", lambda: Found("new", 1000)) == "new"
        kept = looks.memory
        done.set()
        assert old.result(30) == ["old", "old"]
    assert looks.memory == kept
    with looks.one():
        assert looks.seen("hub", "key", lambda: Found("newer")) == "new"


def in_another_thread[T](work: Callable[[], T]) -> T:
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]
