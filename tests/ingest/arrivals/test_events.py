"""What becomes of an event: a run, nothing, or a record of what was wrong with it; never an error for ever."""

import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import unquote

import pytest
from azure.data.tables import TableServiceClient

from infra.local.azurite import ACCOUNT
from shared.app import Services
from shared.arrivals.match import handle_event
from shared.connectors.kinds import connector_from_request
from shared.deadline import deadline
from shared.definitions.definitions import Definitions
from shared.domain.documents.entity_types import InteractionType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import RunState
from shared.domain.errors import TransientError
from shared.domain.own_names import TABLE_DEFINITIONS
from shared.messages.ingest import handle_message
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.definitions.places.claims import damage
from tests.fault_proxy import Answer, FaultProxy, running_proxy
from tests.ingest.arrivals.events import TOPIC, Event, announced, event
from tests.ingest.conftest import MESSAGE, ROWS, World, mapping_body
from tests.ingest.late import Late
from tests.local_services import STORAGE_SECRET, account_of, forget_hub
from tests.sent_messages import sent_messages
from tests.thorough import only_thorough

MIB = 1024**2


def without_url(facts: Event) -> Event:
    """For names that no URL can carry."""
    return {**facts, "data": {name: value for name, value in facts["data"].items() if name != "url"}}


DATA: dict[str, tuple[Event, str]] = {
    "one call": ({"api": "PutBlob"}, "taken"),
    "block list": ({"api": "PutBlockList"}, "taken"),
    "copy": ({"api": "CopyBlob"}, "taken"),
    "data lake, flushed": ({"api": "FlushWithClose"}, "taken"),
    "sftp, committed": ({"api": "SftpCommit"}, "taken"),
    "a call not known yet": ({"api": "PutBlobOfNextYear"}, "taken"),
    "no call named": ({"api": None}, "taken"),
    "data lake, created": ({"api": "CreateFile", "contentLength": 0}, "ignored"),
    "sftp, created": ({"api": "SftpCreate", "contentLength": 0}, "ignored"),
    "no bytes announced": ({"contentLength": 0}, "taken"),
    "no length": ({"contentLength": None}, "taken"),
    "a length that no blob has": ({"contentLength": 10**30}, "recorded"),
    "quoted etag": ({"eTag": '"0x8D4"'}, "taken"),
    "an etag of 1 MiB": ({"eTag": "x" * MIB}, "recorded"),
    "half a character": ({"eTag": "0x\ud800"}, "recorded"),
    "an etag that is no header": ({"eTag": "0x1\r\nx-ms-meta-a: b"}, "recorded"),
    "an etag with a quote inside": ({"eTag": 'a"b'}, "recorded"),
    "no sequencer": ({"sequencer": None}, "taken"),
    "a sequencer of 48": ({"sequencer": "0" * 27 + "442" + "0" * 13 + "2896B"}, "taken"),
    "a sequencer in lower case": ({"sequencer": "0000000000000442000000000002896b"}, "taken"),
    "a sequencer that is none": ({"sequencer": "not hexadecimal"}, "taken"),
    "a sequencer of 1 MiB": ({"sequencer": "0" * MIB}, "recorded"),
    "more facts": ({"storageDiagnostics": {"batchId": "b"}, "of next year": [1]}, "taken"),
    "1 MiB of more facts": ({"more": "x" * MIB}, "taken"),
}
ENVELOPE: dict[str, tuple[Event, str]] = {
    "deleted": ({"eventType": "Microsoft.Storage.BlobDeleted"}, "recorded"),
    "renamed": ({"eventType": "Microsoft.Storage.BlobRenamed"}, "recorded"),
    "tier changed": ({"eventType": "Microsoft.Storage.BlobTierChanged"}, "recorded"),
    "directory": ({"eventType": "Microsoft.Storage.DirectoryCreated"}, "recorded"),
    "no type": ({"eventType": None}, "recorded"),
    "topic and url differ": ({"topic": TOPIC.replace(ACCOUNT, "other")}, "recorded"),
    "no topic": ({"topic": None}, "taken"),
    "no id": ({"id": None}, "taken"),
    "odd id": ({"id": {"of": "another kind"}}, "taken"),
    "no time": ({"eventTime": "yesterday"}, "taken"),
    "1 MiB of text": ({"data": "x" * MIB}, "recorded"),
    "1 MiB of subject": ({"subject": "x" * MIB}, "recorded"),
    "half a character": ({"id": "\ud800", "eventType": "\ud800"}, "recorded"),
}
NAMES = {
    "a\ud800.csv": "recorded",
    "x" * 1025 + ".csv": "recorded",
    "x" * 1020 + ".csv": "taken",
    "caf\u00e9 \U0001f642'%23#?&.csv": "taken",
}


def test_what_becomes_of_an_event(world: World) -> None:
    events = {name: ({**event(world, f"{name}.csv", **data)}, outcome) for name, (data, outcome) in DATA.items()}
    events |= {
        f"envelope: {name}": ({**event(world, f"{name}-.csv"), **change}, outcome)
        for name, (change, outcome) in ENVELOPE.items()
    }
    events |= {name: (without_url(event(world, name)), outcome) for name, outcome in NAMES.items()}
    assert {name: outcome_of(world, facts) for name, (facts, _) in events.items()} == {
        name: outcome for name, (_, outcome) in events.items()
    }


def test_a_cloud_event_is_taken_as_an_event_of_the_other_schema(world: World) -> None:
    ours = announced(world, world.upload("a.csv", ROWS))
    cloud = {"specversion": "1.0", "type": ours["eventType"], "source": TOPIC, "time": ours["eventTime"]}
    cloud |= {name: ours[name] for name in ("id", "subject", "data")}
    assert outcome_of(world, cloud) == "taken"
    assert handle_event(world.services, ours) == handle_event(world.services, cloud)
    world.work_off()
    assert world.states() == {"a.csv": RunState.SUCCEEDED}
    assert outcome_of(world, {**cloud, "source": TOPIC.replace(ACCOUNT, "other")}) == "recorded"


@pytest.mark.parametrize("value", [None, True, 7, 0.5, "", "text", [], [{"id": "inside"}], {}, {"specversion": None}])
def test_what_is_no_event_is_recorded(world: World, value: object) -> None:
    assert outcome_of(world, value) == "recorded"


def test_an_event_for_nobody_leaves_nothing_behind(world: World) -> None:
    facts = json.dumps(event(world))
    for change in [(world.container, "no-such-container"), (ACCOUNT, "somebodyelse"), ("a.csv", "a.txt")]:
        assert outcome_of(world, json.loads(facts.replace(*change))) == "ignored"
    assert outcome_of(world, {**without_url(json.loads(facts)), "topic": None}) == "ignored", "it names no account"
    world.services.definitions.pause_mapping(world.hub, "Landing", "Visits", paused=True)
    assert outcome_of(world, json.loads(facts)) == "ignored"


def outcome_of(world: World, facts: object) -> str:
    runs, bad = len(world.states()), recorded(world)
    queued = len(handle_event(world.services, facts))
    assert len(world.states()) - runs == queued
    assert queued <= 1
    if queued:
        return "taken"
    return "recorded" if recorded(world) > bad else "ignored"


def recorded(world: World) -> int:
    """How many events were recorded as bad, in all tests so far."""
    with TableServiceClient.from_connection_string(world.azurite.connection_string) as service:
        return len(list(service.create_table_if_not_exists("badevents").list_entities(select=["RowKey"])))


def test_a_secret_in_a_bad_event_is_not_kept(world: World) -> None:
    canary = uuid.uuid4().hex
    subject = f"/x?sig={canary}&AccountKey={canary}"
    assert outcome_of(world, {**event(world), "subject": subject, "data": {"url": canary}}) == "recorded"
    with TableServiceClient.from_connection_string(world.azurite.connection_string) as service:
        kept = [dict(entity) for entity in service.get_table_client("badevents").list_entities()]
    assert canary not in str(kept)
    assert "sig=***" in str(kept)


def test_one_bad_event_among_a_hundred(world: World) -> None:
    before = recorded(world)
    batch = [event(world, f"{number}.csv") for number in range(100)]
    batch[50]["data"]["eTag"] = 7
    assert sum(len(handle_event(world.services, facts)) for facts in batch) == 99
    assert set(world.states()) == {f"{number}.csv" for number in range(100) if number != 50}
    assert recorded(world) == before + 1


@pytest.mark.parametrize("copies", [2, 10])
def test_copies_of_an_event_are_one_run(world: World, copies: int) -> None:
    version = world.upload("a.csv", ROWS)
    runs = {
        run_id
        for number in range(copies)
        for run_id in handle_event(
            world.services, {**announced(world, version, eTag=f'"{version.etag}"'), "id": str(number)}
        )
    }
    assert runs == set(handle_event(world.services, announced(world, version)))
    assert len(runs) == 1
    world.work_off()
    assert world.states() == {"a.csv": RunState.SUCCEEDED}
    assert world.committed_rows == 3


@pytest.mark.parametrize("down", ["queue", "table"])
def test_an_event_is_not_acknowledged_before_it_is_safe(world: World, down: str) -> None:
    """The host answers 500, and Event Grid delivers again for a day."""
    facts = announced(world, world.upload("a.csv", ROWS))
    services = world.services
    queue, table = services.ingest_queue, services.runs._table
    with running_proxy(getattr(world.azurite, down)) as proxy:
        account = account_of(world.azurite, **{down: proxy.endpoint})
        services.ingest_queue = Queue(account, queue.name) if down == "queue" else queue
        services.runs._table = Table(account, "runs") if down == "table" else table
        proxy.plan = lambda _: Answer(503, "ServerBusy")
        with pytest.raises(TransientError):
            handle_event(services, facts)
    services.ingest_queue, services.runs._table = queue, table
    handle_event(services, facts)
    world.work_off()
    assert world.states() == {"a.csv": RunState.SUCCEEDED}


@only_thorough
def test_a_burst_of_events_is_answered_in_time(world: World) -> None:
    """Event Grid waits for half a minute; the work itself waits in the queue."""
    versions = [world.upload(f"{number}.csv", ROWS) for number in range(100)]

    def deliver(facts: Event) -> float:
        began = time.monotonic()
        assert len(handle_event(world.services, facts)) == 1
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:
        slowest = max(pool.map(deliver, [announced(world, version) for version in versions] * 5))
    assert slowest < 10
    assert len(world.states()) == len(versions)
    world.work_off()
    assert set(world.states().values()) == {RunState.SUCCEEDED}
    assert world.committed_rows == 3 * len(versions)


def test_a_definition_of_another_hub_that_cannot_be_read_holds_up_no_event(world: World) -> None:
    definitions = world.services.definitions
    other = f"Broken{uuid.uuid4().hex[:12]}"
    definitions.put_hub(other, Hub())
    fields = [{"fieldName": "Page", "fieldType": "Edm.String"}]
    definitions.put_entity_type(other, "Visit", InteractionType.from_request({"fields": fields}))
    secret = {"connectionKeyVaultUrl": f"{world.vault.url}/secrets/{STORAGE_SECRET}"}
    body = {"connectorType": "AzureBlob", "connectorProperties": secret}
    definitions.connectors.put(other, "Landing", connector_from_request(body))
    wanted = Mapping.from_request(mapping_body(f"c{uuid.uuid4().hex}"))
    definitions.put_mapping(other, "Landing", "Visits", wanted)
    damage(definitions, other, "mapping|landing|visits")
    (run_id,) = handle_event(world.services, announced(world, world.upload("a.csv", ROWS)))
    assert world.ingest(run_id).state is RunState.SUCCEEDED
    forget_hub(world.azurite, other)


@contextmanager
def far(world: World) -> Iterator[tuple[Services, FaultProxy]]:
    """A process that has looked at nothing yet, and what it asks of the definitions."""
    with running_proxy(world.azurite.table) as proxy:
        services = Services(world.services.settings)
        table = Table(account_of(world.azurite, table=proxy.endpoint), TABLE_DEFINITIONS)
        services.definitions = Definitions(table, services.vaults, services.clock, services.settings)
        yield services, proxy


def requests_of(world: World, sent: Event) -> list[str]:
    """What a process that has looked at nothing yet asks of the definitions of the hub for an event."""
    with far(world) as (services, proxy):
        handle_event(services, sent)
        return [request.target for request in proxy.requests if world.hub.lower() in unquote(request.target)]


def test_an_event_asks_for_no_more_where_there_are_many_connectors(world: World) -> None:
    asked = requests_of(world, event(world))
    url = f"https://elsewhere.blob.core.windows.net/{world.container}/a.csv"
    elsewhere = event(world, url=url) | {"topic": TOPIC.replace(ACCOUNT, "elsewhere")}
    secret = {"connectionKeyVaultUrl": f"{world.vault.url}/secrets/{STORAGE_SECRET}"}
    body = {"connectorType": "AzureBlob", "connectorProperties": secret}
    for number in range(4):
        world.services.definitions.connectors.put(world.hub, f"More{number}", connector_from_request(body))
        world.put_mapping(connector=f"More{number}")
    assert len(requests_of(world, event(world))) == len(asked) == 3, "the guard, the connectors, the mappings"
    assert len(requests_of(world, elsewhere)) == 2, "no mapping reads that account"
    assert len(handle_event(world.services, event(world))) == 5
    assert handle_event(world.services, elsewhere) == []


def test_who_may_hear_of_an_event_is_not_asked_anew_for_each(world: World) -> None:
    """One request for each hub says that nothing was changed, also where a hub is refused each time."""
    late = Late(world, world.container)
    late.set_secret()
    assert late.test()["account"]
    with far(world) as (services, proxy):
        handle_event(services, event(world, "0.csv"))
        proxy.requests.clear()
        for number in range(1, 4):
            assert len(handle_event(services, event(world, f"{number}.csv"))) == 1
        asked = [unquote(request.target) for request in proxy.requests]
    assert [target for target in asked if "RowKey='guard'" not in target] == []
    for hub in (world.hub, late.hub):
        assert len([target for target in asked if hub.lower() in target]) == 3
    forget_hub(world.azurite, late.hub)


def test_an_event_that_too_many_mappings_match_is_left_to_their_sweeps(world: World, queue: FaultProxy) -> None:
    """Each delivery would begin with the first of them, and never come to the last."""
    version = world.upload("a.csv", ROWS)
    queue.requests.clear()
    with deadline(1.0):
        assert handle_event(world.services, announced(world, version)) == []
    ((_, message),) = sent_messages(queue)
    assert (message["sweep"], message["mapping"]) == (True, "Visits")
    handle_message(world.services, message, MESSAGE)
    assert [run.blob and run.blob.etag for run in world.services.runs.page(world.hub)[0]] == [version.etag]
