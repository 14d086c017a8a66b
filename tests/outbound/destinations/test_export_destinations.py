"""Slots and their destinations: what waits comes out in order, what is not ours is left alone, nothing twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from infra.local.azurite import Endpoints
from shared.deadline import deadline
from shared.domain.documents.connectors import ConnectorState
from shared.domain.documents.run import RunState
from shared.domain.errors import ThrottledError, UnavailableError
from shared.ledger.stored_run import RESTED
from shared.messages.export import give_up, handle_message
from shared.outbound.due import hand_out_profile_exports
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.fault_proxy import Answer, LoseAnswer, Request, listening_socket, running_proxy
from tests.local_services import account_of
from tests.outbound.conftest import PROFILE, HubUnderTest
from tests.outbound.slots import FIRST, at, contents, path_of, rows_in
from tests.sent_messages import sent_messages
from tests.thorough import only_thorough

MESSAGE = "message-1"


def test_slots_wait_for_their_destination_and_come_out_in_order(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    for number in range(3):
        hub.ingest(customer, [{"Id": f"{number}"}, {"Id": "X", "Points": number}])
        hub.tick(at(number))
    assert hub.partner.paths() == []
    assert hub.codes() == ["Failed SasRightMissing"] * 3
    assert [run.attempts for run in hub.runs()] == [3, 0, 0]
    hub.outbound(PROFILE)
    hub.tick(at(3))
    assert contents(hub) == {path_of(0): ["0", "X"], path_of(1): ["1", "X"], path_of(2): ["2", "X"]}
    assert [rows_in(hub.partner.blobs()[path_of(number)])[1]["Points"] for number in range(3)] == ["0", "1", "2"]
    assert hub.codes() == ["Succeeded"] * 3
    written = [
        hub.partner.client.get_blob_client(path_of(number)).get_blob_properties().creation_time for number in range(3)
    ]
    assert written == sorted(written)


def test_many_slots_that_wait_are_published_in_the_time_of_several_messages(hub: HubUnderTest) -> None:
    """A worker that goes on for too long is ended, and with it all that works beside."""
    customer = hub.profile_type()
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    for number in range(2):
        hub.ingest(customer, [{"Id": f"{number}"}])
        hub.tick(at(number))
    hub.outbound(PROFILE)
    hand_out_profile_exports(hub.services)
    (message,) = hub.messages()
    with deadline(60):
        handle_message(hub.services, message, MESSAGE)
    assert contents(hub) == {path_of(0): ["0"]}
    (following,) = hub.messages()
    assert following == {**message, "tries": 0, "worker": MESSAGE}
    handle_message(hub.services, following, "another message")
    assert contents(hub) == {path_of(0): ["0"], path_of(1): ["1"]}
    assert hub.codes() == ["Succeeded"] * 2


def test_the_state_of_the_connector_says_how_its_destination_fares(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)

    def state() -> tuple[str, bool]:
        document = hub.services.definitions.connector(hub.name, "Partner").document
        return document.state.value, bool(document.state_detail)

    assert state() == ("Ready", False)
    hub.partner.client.delete_container()
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    assert hub.codes() == ["Failed ContainerNotFound"]
    assert state() == ("Failed", True)
    hub.partner.client.create_container()
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    assert state() == ("Ready", False)


@pytest.mark.parametrize(
    ("run_id", "said"), [("forged", "not written by this app"), ("0123456789abcdef" * 2, "export of another hub")]
)
def test_a_foreign_blob_in_the_way_is_left_alone(hub: HubUnderTest, run_id: str, said: str) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.partner.client.upload_blob(FIRST, b"theirs", metadata={"runid": run_id})
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    hub.tick(at(1))
    assert hub.partner.blobs("Profile/") == {FIRST: b"theirs"}
    assert hub.codes() == ["Failed DestinationBlobExists"]
    assert said in str(hub.services.runs.page(hub.name)[0][0].error)
    hub.partner.client.delete_blob(FIRST)
    hub.tick(at(2))
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]


def test_a_connector_whose_entity_another_one_exports_there_says_so_and_exports_the_rest(hub: HubUnderTest) -> None:
    customer, other = hub.profile_type(), hub.profile_type("Other")
    hub.outbound(PROFILE)
    hub.outbound(PROFILE, {**PROFILE, "entityName": "Other"}, name="Second")
    hub.ingest(customer, [{"Id": "A"}])
    hub.ingest(other, [{"Id": "B"}])
    hub.tick(at(0))
    assert hub.partner.paths("Profile/") == [FIRST, FIRST.replace("Customer", "Other")]

    def state_of(name: str) -> tuple[str, str]:
        document = hub.services.definitions.connector(hub.name, name).document
        return document.state.value, document.state_detail or ""

    ours, theirs = sorted(("Partner", "Second"), key=lambda name: state_of(name)[0], reverse=True)
    assert (state_of(ours), state_of(theirs)[0]) == (("Ready", ""), "Failed")
    assert FIRST in state_of(theirs)[1]
    hub.services.definitions.connectors.delete(hub.name, ours)
    hub.tick(at(1))
    assert state_of(theirs) == ("Ready", "")


def test_two_connectors_on_one_container_are_told_apart(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.outbound(PROFILE, name="Second")
    hub.ingest(customer, [{"Id": "A"}])
    hub.tick(at(0))
    published = hub.partner.blobs("Profile/")
    assert contents(hub) == {FIRST: ["A"]}
    assert sorted(hub.codes()) == ["Failed DestinationBlobExists", "Succeeded"]
    hub.tick(at(1))
    assert hub.partner.blobs("Profile/") == published


def test_a_destination_that_does_not_answer_is_tried_again_by_the_queue(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A"}])
    hub.set_clock(at(0))
    sas = hub.partner.sas()
    with listening_socket() as closed:
        host, port = closed.getsockname()
    unreachable = sas.replace(sas.split("/")[2], f"{host}:{port}")
    hub.outbound(PROFILE, sas=unreachable)
    hand_out_profile_exports(hub.services)
    (message,) = hub.messages()
    with pytest.raises(UnavailableError):
        handle_message(hub.services, message, MESSAGE)
    (run,) = hub.runs()
    assert (run.state, run.error and run.error.code) == (RunState.QUEUED, "StorageUnavailable")
    give_up(hub.services, message)
    assert hub.codes() == ["Failed StorageUnavailable"]
    hub.outbound(PROFILE)
    hub.tick(at(1))
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]


def test_a_destination_that_asks_for_an_hour_is_left_alone_for_an_hour(hub: HubUnderTest, azurite: Endpoints) -> None:
    customer = hub.profile_type()
    hub.ingest(customer, [{"Id": "A"}])
    with running_proxy(azurite.blob) as proxy, running_proxy(azurite.queue) as queue:
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))
        services = hub.services
        services.export_queue = Queue(account_of(azurite, queue=queue.endpoint), services.export_queue.name)
        proxy.plan = lambda _: Answer(429, "TooManyRequests", {"Retry-After": "3600"})
        proxy.requests.clear()
        hub.tick(at(0))
        assert len(proxy.requests) == 1
        delay_s, message = sent_messages(queue)[-1]
        assert 3600 <= delay_s <= 3961
        (run,) = hub.runs()
        assert (run.state, run.error and run.error.code, run.attempts) == (RunState.QUEUED, "Throttled", 0)
        hub.ingest(customer, [{"Id": "B"}])
        hub.tick(at(1))
        assert len(proxy.requests) == 1, "no tick disturbs it before"
        proxy.plan = lambda _: None
        stored = services.runs.get(hub.name, run.run_id)
        assert stored is not None
        services.runs.save(replace(stored, claimed_until=services.clock.machine_now()))
        handle_message(services, message, MESSAGE)
    assert contents(hub) == {path_of(0): ["A"], path_of(1): ["B"]}
    assert hub.codes() == ["Succeeded", "Succeeded"]
    assert hub.runs()[0].attempts == 1


@pytest.mark.parametrize("asked", [3600, pytest.param(50_000, marks=only_thorough), 604_800])
def test_a_destination_that_asks_for_hours_and_hours_has_failed_in_the_end(
    hub: HubUnderTest, azurite: Endpoints, asked: int
) -> None:
    """Whichever message asks for the run, also one of a later tick: the run keeps count."""
    services, customer = hub.services, hub.profile_type()
    hub.ingest(customer, [{"Id": "A"}])
    with running_proxy(azurite.blob) as proxy, running_proxy(azurite.queue) as queue:
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))
        hub.set_clock(at(0))
        hand_out_profile_exports(services)
        (message,) = hub.messages()
        services.export_queue = Queue(account_of(azurite, queue=queue.endpoint), services.export_queue.name)
        proxy.plan = lambda _: Answer(429, "TooManyRequests", {"Retry-After": str(asked)})
        rests: list[int] = []
        for number in range(30):
            try:
                handle_message(services, message, f"tick-{number}")
            except ThrottledError:
                break
            rests.append(sent_messages(queue)[-1][0])
            stored = services.runs.get(hub.name, hub.runs()[0].run_id)
            assert stored is not None
            assert stored.claimed_until is not None
            now = services.clock.machine_now()
            assert now < stored.claimed_until <= now + timedelta(seconds=rests[-1])
            services.runs.save(replace(stored, claimed_until=now))
        assert len(rests) == len(sent_messages(queue))
        assert 86_400 <= sum(rests) < 86_400 + rests[0]
        assert max(rests) <= 86_400
        for _ in range(2):
            # The deliveries that are left find a run that does not rest, and so do those of the next ticks.
            for delivery in range(4):
                with pytest.raises(ThrottledError):
                    handle_message(services, message, f"{delivery}")
            give_up(services, message)
            assert hub.codes() == ["Failed Throttled"]
            document = services.definitions.connector(hub.name, "Partner").document
            assert document.state is ConnectorState.FAILED
            assert "slow down" in (document.state_detail or "")
        proxy.plan = lambda _: None
        handle_message(services, message, MESSAGE)
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]
    assert services.definitions.connector(hub.name, "Partner").document.state is ConnectorState.READY
    assert RESTED not in hub.runs()[0].details


def test_a_claim_that_could_not_be_given_back_is_held_by_the_message_that_rests(
    hub: HubUnderTest, azurite: Endpoints
) -> None:
    services, customer = hub.services, hub.profile_type()
    hub.ingest(customer, [{"Id": "A"}])
    table = services.runs._table
    with (
        running_proxy(azurite.blob) as proxy,
        running_proxy(azurite.queue) as queue,
        running_proxy(azurite.table) as tables,
    ):
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))
        hub.set_clock(at(0))
        hand_out_profile_exports(services)
        (first,) = hub.messages()
        services.export_queue = Queue(account_of(azurite, queue=queue.endpoint), services.export_queue.name)
        services.runs._table = Table(account_of(azurite, table=tables.endpoint), table.name)

        def refuse(request: Request) -> Answer:
            # Both are busy from the moment at which the run is claimed.
            tables.plan = lambda _: Answer(503, "ServerBusy", {"Retry-After": "300"})
            return Answer(429, "TooManyRequests", {"Retry-After": "3600"})

        proxy.plan = refuse
        handle_message(services, first, MESSAGE)
        services.runs._table = table
        assert hub.runs()[0].state is RunState.RUNNING
        ((delay_s, message),) = sent_messages(queue)
        assert 300 <= delay_s <= 331
        proxy.plan = lambda _: None
        handle_message(services, first, "a message of somebody else")
        assert hub.runs()[0].state is RunState.RUNNING
        handle_message(services, message, "another message")
    assert contents(hub) == {FIRST: ["A"]}
    assert hub.codes() == ["Succeeded"]


def test_slots_that_waited_too_long_are_carried_by_one_with_everything(hub: HubUnderTest) -> None:
    customer = hub.profile_type()
    hub.outbound(PROFILE)
    hub.ingest(customer, [{"Id": "A", "Points": 1}])
    hub.tick(at(0))
    hub.outbound(PROFILE, sas=hub.partner.sas("l"))
    for days in (1, 2, 30):
        hub.ingest(customer, [{"Id": f"{days}"}])
        hub.tick(at(0) + timedelta(days=days))
    hub.outbound(PROFILE)
    hub.tick(at(1) + timedelta(days=30))
    assert list(contents(hub).values()) == [["A"], ["1", "2", "30", "A"]]
    assert list(contents(hub))[1].startswith("Profile/Customer/year=2026/month=12/day=22/hour=12/min=00/")
    assert hub.codes() == ["Succeeded", "Skipped SlotExpired", "Skipped SlotExpired", "Succeeded"]
    hub.ingest(customer, [{"Id": "A", "Points": 2}])
    hub.tick(at(2) + timedelta(days=30))
    assert list(contents(hub).values())[2] == ["A"]


def test_a_commit_whose_answer_is_lost_is_published_once(hub: HubUnderTest, azurite: Endpoints) -> None:
    customer = hub.profile_type()
    with running_proxy(azurite.blob) as proxy:
        hub.outbound(PROFILE, sas=hub.partner.sas().replace(azurite.blob, proxy.endpoint))
        hub.ingest(customer, [{"Id": "A"}])
        proxy.break_once(LoseAnswer(), lambda request: "comp=blocklist" in request.target)
        hub.tick(at(0))
        hub.ingest(customer, [{"Id": "B"}])
        hub.tick(at(1))
    assert contents(hub) == {path_of(0): ["A"], path_of(1): ["B"]}
    assert hub.codes() == ["Succeeded", "Succeeded"]
