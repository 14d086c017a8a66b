"""A destination that takes connections and never answers holds up its own exports, and nobody else's."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from infra.local.azurite import Endpoints
from infra.local.functions_host.host_json import read_host_options
from infra.local.settings import REPOSITORY
from shared.app import Services
from shared.domain.documents.hubs import Hub
from shared.domain.documents.run import RunState
from shared.domain.errors import UnavailableError
from shared.messages.export import handle_message
from shared.outbound.due import hand_out_profile_exports
from shared.storage.account_permits import DESTINATION_BUSY, OF_HUB, PERMITS, AccountPermits
from shared.storage.queues import ATTEMPTS, Queue
from tests.acceptance.hub import wait_for
from tests.fault_proxy import FaultProxy, Hang, running_proxy
from tests.local_services import account_of
from tests.outbound.conftest import PROFILE, HubUnderTest, Partner
from tests.outbound.slots import FIRST, at, contents
from tests.passing_time import PassingTime
from tests.sent_messages import sent_messages

TYPES = ("Customer", "Guest", "Member")
PATIENCE_S = 0.1


@contextmanager
def neighbour(hub: HubUnderTest, partner: Partner) -> Iterator[HubUnderTest]:
    """Another hub of the same app, with one export to a partner that is well."""
    hub.services.definitions.put_hub("Fabrikam", Hub.from_request({}))
    other = HubUnderTest(hub.services, partner, hub.clock_file, hub.folder, "Fabrikam")
    other.ingest(other.profile_type(), [{"Id": "B"}])
    other.outbound(PROFILE)
    yield other


def handed_out(hub: HubUnderTest, sas: str, *names: str) -> list[dict[str, Any]]:
    """The messages of exports of some types to one destination, and of what else is due."""
    hub.services.destination_permits = AccountPermits(DESTINATION_BUSY, patience_s=PATIENCE_S)
    for name in names:
        hub.ingest(hub.profile_type(name), [{"Id": "A"}])
    hub.outbound(*({**PROFILE, "entityName": name} for name in names), sas=sas)
    hub.set_clock(at(0))
    hand_out_profile_exports(hub.services)
    return hub.messages()


def at_once(slots: ThreadPoolExecutor, services: Services, messages: Sequence[Any]) -> list[Future[None]]:
    """The work at each of the messages, in their order."""
    return [
        slots.submit(handle_message, services, message, f"message-{number}") for number, message in enumerate(messages)
    ]


def test_a_destination_that_hangs_holds_up_nobody_else(hub: HubUnderTest, second: Partner, azurite: Endpoints) -> None:
    services = hub.services
    with (
        running_proxy(azurite.blob) as proxy,
        running_proxy(azurite.queue) as queue,
        neighbour(hub, second) as other,
        ThreadPoolExecutor(len(TYPES)) as slots,
    ):
        sas = hub.partner.sas().replace(azurite.blob, proxy.endpoint)
        messages = handed_out(hub, sas, *TYPES)
        messages.sort(key=lambda message: str(message["hub"]) == other.name)
        assert len(messages) == len(TYPES) + 1
        services.export_queue = Queue(account_of(azurite, queue=queue.endpoint), services.export_queue.name)
        proxy.requests.clear()
        proxy.plan = lambda _: Hang()
        try:
            # There are as many slots as exports that hang, and the neighbour's comes last.
            work = at_once(slots, services, messages)
            work[-1].result(30)
            assert contents(other) == {FIRST: ["B"]}
            wait_for(lambda: sum(one.done() for one in work) == len(work) - PERMITS, "those that go back", 30)
            assert len(proxy.requests) == PERMITS, "no more of them wait for an answer"
        finally:
            proxy.plan = lambda _: None
            proxy.release()
        for one in work:
            one.result(30)
        assert_put_back(hub, queue)
        for _, message in sent_messages(queue):
            handle_message(services, message, "another message")
    assert hub.codes() == ["Succeeded"] * len(TYPES)
    assert [run.attempts for run in hub.runs()] == [1] * len(TYPES)


def test_many_destinations_of_one_hub_that_hang_hold_up_no_other_hub(
    hub: HubUnderTest, second: Partner, azurite: Endpoints
) -> None:
    services = hub.services
    with (
        ExitStack() as running,
        neighbour(hub, second) as other,
        ThreadPoolExecutor(read_host_options(REPOSITORY, {}).queues.new_batch_threshold) as slots,
    ):
        proxies = [running.enter_context(running_proxy(azurite.blob)) for _ in range(6)]
        hub.ingest(hub.profile_type(), [{"Id": "A"}])
        for number, proxy in enumerate(proxies):
            sas = hub.partner.sas().replace(azurite.blob, proxy.endpoint)
            hub.outbound(PROFILE, name=f"Partner{number}", sas=sas)
        services.destination_permits = AccountPermits(DESTINATION_BUSY, patience_s=PATIENCE_S)
        hub.set_clock(at(0))
        hand_out_profile_exports(services)
        messages = sorted(hub.messages(), key=lambda message: str(message["hub"]) == other.name)
        assert len(messages) == len(proxies) + 1
        for proxy in proxies:
            proxy.requests.clear()
            proxy.plan = lambda _: Hang()
        try:
            # As many at once as the host goes on with when there is nothing else; the neighbour's comes last.
            work = at_once(slots, services, messages)
            work[-1].result(30)
            assert contents(other) == {FIRST: ["B"]}
            wait_for(lambda: sum(one.done() for one in work) == len(work) - OF_HUB - 1, "those that go back", 30)
            assert sum(len(proxy.requests) for proxy in proxies) == OF_HUB + 1
        finally:
            for proxy in proxies:
                proxy.plan = lambda _: None
                proxy.release()
        for one in work:
            one.result(30)
    requeue = [run for run in hub.runs() if run.state is RunState.QUEUED]
    assert [(run.attempts, run.error and run.error.code) for run in requeue] == [(0, "DestinationBusy")] * 3


def assert_put_back(hub: HubUnderTest, queue: FaultProxy) -> None:
    """What waited for its permit rests until its message comes, without an attempt; afterwards it rests no more."""
    requeue = sent_messages(queue)
    waiting = [run for run in hub.runs() if run.state is RunState.QUEUED]
    assert len(requeue) == len(waiting) == len(TYPES) - PERMITS
    assert all(20 <= delay_s <= 40 for delay_s, _ in requeue)
    now = hub.services.clock.machine_now()
    for run in waiting:
        assert (run.attempts, run.error and run.error.code) == (0, "DestinationBusy")
        stored = hub.services.runs.get(hub.name, run.run_id)
        assert stored is not None
        assert stored.rests(now), "a tick finds that it rests, and brings no second message"
        hub.services.runs.save(replace(stored, claimed_until=now))


def test_the_exports_of_one_hub_leave_the_other_hubs_of_its_destination_a_turn(
    hub: HubUnderTest, second: Partner, azurite: Endpoints
) -> None:
    services = hub.services
    with neighbour(hub, second) as other, ExitStack() as hanging:
        messages = handed_out(hub, hub.partner.sas(), "Customer")
        message, of_other = sorted(messages, key=lambda message: str(message["hub"]) == other.name)

        def publish(message: dict[str, Any], whose: HubUnderTest) -> str:
            for run in whose.runs():
                stored = services.runs.get(whose.name, run.run_id)
                assert stored is not None
                services.runs.save(replace(stored, claimed_until=services.clock.machine_now()))  # it has rested
            handle_message(services, message, f"message of {whose.name}")
            (run,) = whose.runs()
            return run.error.code if run.error else run.state

        def hang() -> ExitStack:
            one = hanging.enter_context(ExitStack())
            permit = one.enter_context(closing(services.destination_permits.permit(azurite.blob, hub.name)))
            one.enter_context(permit.request())
            return one

        hangs, _ = hang(), hang()
        assert publish(of_other, other) == "DestinationBusy"
        hangs.close()
        assert publish(message, hub) == "DestinationBusy", "the permit that is free is the other hub's"
        assert publish(of_other, other) == "Succeeded"
        assert publish(message, hub) == "Succeeded"


def test_the_attempts_of_a_message_that_was_put_back_are_added_up(
    hub: HubUnderTest, azurite: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a destination that hangs for ever would get more messages with every tick, and none would end."""
    services = hub.services
    with running_proxy(azurite.blob) as proxy:
        account = proxy.endpoint
        (message,) = handed_out(hub, hub.partner.sas().replace(azurite.blob, account), "Customer")
    with running_proxy(azurite.queue) as queue, ExitStack() as hanging:
        services.export_queue = Queue(account_of(azurite, queue=queue.endpoint), services.export_queue.name)
        for _ in range(PERMITS):
            permit = hanging.enter_context(closing(services.destination_permits.permit(account, hub.name)))
            hanging.enter_context(permit.request())
        handle_message(services, message, "message-1", ATTEMPTS - 1)
    ((_, requeue),) = sent_messages(queue)
    (run,) = hub.runs()
    stored = services.runs.get(hub.name, run.run_id)
    assert stored is not None
    services.runs.save(replace(stored, claimed_until=services.clock.machine_now()))
    PassingTime(monkeypatch)
    # By now nobody listens there.
    with pytest.raises(UnavailableError):
        handle_message(services, {**requeue, "tries": 0}, "message-2", 1)
    handle_message(services, requeue, "message-2", ATTEMPTS)
    assert hub.codes() == ["Failed StorageUnavailable"]
