"""One look reads a hub as it is, and asks no more than whether it was changed."""

import threading
from collections.abc import Callable

import pytest

from shared.clock import Clock
from shared.definitions.definitions import Definitions
from shared.domain.entity_types import EntityKind, ProfileType
from shared.domain.errors import FatalError, NotFoundError
from shared.domain.hubs import Hub
from shared.settings import Settings
from shared.storage.key_vault import Vaults
from shared.storage.tables import Table


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
    with definitions.one_look(), pytest.raises(NotFoundError):
        names_of(definitions, hub)
    for fields in ([], ["Name"], ["Name", "City"]):
        elsewhere.put_entity_type(hub, "Customer", profile_type(*fields))
        for _ in range(2):
            with definitions.one_look():
                assert names_of(definitions, hub) == ["Id", *fields]
    elsewhere.delete_entity_type(hub, EntityKind.PROFILE, "Customer")
    with definitions.one_look(), pytest.raises(NotFoundError):
        names_of(definitions, hub)


def test_a_hub_made_and_deleted_elsewhere_is_seen(definitions: Definitions, elsewhere: Definitions) -> None:
    def seen() -> list[str]:
        with definitions.one_look():
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
    with definitions.one_look(), pytest.raises(FatalError):
        definitions.put_entity_type(hub, "Customer", profile_type())
    definitions.put_entity_type(hub, "Customer", profile_type())


def test_a_look_is_of_its_thread_and_takes_in_looks_within_it(
    definitions: Definitions, elsewhere: Definitions, hub: str
) -> None:
    elsewhere.put_entity_type(hub, "Customer", profile_type())
    with definitions.one_look():
        assert names_of(definitions, hub) == ["Id"]
        elsewhere.put_entity_type(hub, "Customer", profile_type("Name"))
        with definitions.one_look():
            assert names_of(definitions, hub) == ["Id"]
        assert in_another_thread(lambda: names_of(definitions, hub)) == ["Id", "Name"]
    with definitions.one_look():
        assert names_of(definitions, hub) == ["Id", "Name"]


def test_an_unchanged_hub_costs_one_request(
    definitions: Definitions, table: Table, hub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    definitions.put_entity_type(hub, "Customer", profile_type())
    with definitions.one_look():
        names_of(definitions, hub)
    asked: list[str] = []
    get = table.get

    def noted(partition: str, key: str) -> object:
        asked.append(key)
        return get(partition, key)

    monkeypatch.setattr(table, "get", noted)
    with definitions.one_look():
        for _ in range(3):
            names_of(definitions, hub)
    assert asked == ["guard"]


def in_another_thread[T](work: Callable[[], T]) -> T:
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join()
    return found[0]
