"""What is listed, as a tick sees it: while others have their turns, and where a definition cannot be read."""

import uuid

import pytest

from infra.local.azurite import Endpoints
from shared.domain.own_names import TABLE_DEFINITIONS
from shared.ledger.slots import Plan, Series, new_life
from shared.outbound.due import _forget_unlisted, hand_out_kpis, hand_out_profile_exports
from tests.definitions.places.claims import damage
from tests.fault_proxy import running_proxy
from tests.local_services import account_of
from tests.outbound.conftest import NOON, PROFILE, HubUnderTest, OwnServices

OTHER = {"entityType": "Profile", "entityName": "Other"}
KPIS = [{"entityType": "Kpi", "entityName": name} for name in ("Broken", "Sound")]


def test_an_entity_put_back_during_the_turns_of_other_hubs_keeps_its_slots(hub: HubUnderTest) -> None:
    for name in ("Customer", "Other"):
        hub.ingest(hub.profile_type(name), [{"Id": "A"}])
    hub.outbound(PROFILE, OTHER)
    hub.tick(NOON)
    known = set(hub.services.slots.series_of(hub.name))
    assert len(known) == 2
    hub.outbound()
    steps = _forget_unlisted(hub.services, hub.name)
    next(steps)
    hub.outbound(PROFILE, OTHER)
    list(steps)
    assert len(known & set(hub.services.slots.series_of(hub.name))) == 1


def test_each_series_to_forget_costs_one_look_at_what_is_listed(hub: HubUnderTest, azurite: Endpoints) -> None:
    listed, unlisted = 8, 6
    for number in range(listed):
        hub.profile_type(f"Type{number}")
    hub.outbound(*({"entityType": "Profile", "entityName": f"Type{number}"} for number in range(listed)))
    for number in range(unlisted):
        series = Series(hub.name, uuid.uuid4().hex, "Profile", uuid.uuid4().hex)
        hub.services.slots.plan(series, None, new_life(), Plan(NOON, f"run{number}", 0, 1, 1, True, ()))
    with running_proxy(azurite.table) as proxy:
        services = OwnServices(hub.services.settings)
        services.prefix = hub.services.prefix
        services.account = account_of(azurite, table=proxy.endpoint)
        assert len(list(_forget_unlisted(services, hub.name))) == unlisted
        table = f"/{services.prefix}{TABLE_DEFINITIONS}("
        asked = [request for request in proxy.requests if table in request.target]
        assert len(asked) <= listed + 2 + unlisted
    assert hub.services.slots.series_of(hub.name) == []


@pytest.mark.parametrize("key", ["kpi|broken", "connector|broken"])
def test_what_cannot_be_read_holds_up_nothing_else_of_its_hub(
    hub: HubUnderTest, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    for name in ("Customer", "Other"):
        hub.ingest(hub.profile_type(name), [{"Id": "A"}])
    hub.interaction_type()
    for name in ("Broken", "Sound"):
        hub.kpi(name, function="Sum", expression="Amount")
    hub.outbound(PROFILE, OTHER)
    hub.outbound(name="Broken")
    hub.tick(NOON)
    hub.outbound(*KPIS, PROFILE)
    before = set(hub.services.slots.series_of(hub.name))
    assert len(before) == 2
    damage(hub.services.definitions, hub.name, key)
    hand_out_profile_exports(hub.services)
    assert [message["entityName"] for message in hub.messages()] == ["Customer"]
    assert set(hub.services.slots.series_of(hub.name)) == before
    assert "DefinitionUnreadable" in caplog.text
    hand_out_kpis(hub.services)
    assert "Sound" in {message["kpi"] for message in hub.messages()}
