"""What each of the four services is asked again, and for how long it is waited: as long as whoever waits for us."""

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from shared.deadline import EVENT_S, HTTP_ANSWER_S, WORK_S, deadline
from shared.domain.errors import (
    HubError,
    PreconditionError,
    RefusedError,
    ThrottledError,
    TransientError,
    UnavailableError,
)
from shared.ledger.stored_run import CLAIM_LENGTH
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from shared.storage.blob.destination import DestinationContainer
from shared.storage.key_vault import Vaults
from shared.storage.queues import Queue
from shared.storage.retries import LONGEST_PAUSE_S, RETRIES, asked_s
from shared.storage.tables import Insert, Table
from tests.fault_proxy import Answer, Fault, FaultProxy, Hang, LoseAnswer, running_proxy
from tests.local_services import account_of, container_sas, development
from tests.passing_time import PassingTime

SERVICES = ["blob", "destination", "queue", "table", "transaction", "vault"]
BUDGETS = {"answer": HTTP_ANSWER_S, "event": EVENT_S, "work": WORK_S, "nobody": None}
BUSY = {429: "TooManyRequests", 503: "ServerBusy"}


@dataclass
class Asked:
    """A service behind a proxy, asked for one thing."""

    proxy: FaultProxy
    act: Callable[[], object]

    def fails(self, fault: Fault) -> HubError:
        """What becomes of it while every request meets a fault."""
        self.proxy.plan = lambda _: fault
        with pytest.raises(HubError) as failed:
            self.act()
        return failed.value

    @property
    def requests(self) -> int:
        return len(self.proxy.requests)


@pytest.fixture
def asked(request: pytest.FixtureRequest, azurite: Endpoints, vault: KeyVault, name: str) -> Iterator[Asked]:
    service: str = request.param
    urls = {"queue": azurite.queue, "table": azurite.table, "transaction": azurite.table, "vault": vault.url}
    with running_proxy(urls.get(service, azurite.blob)) as proxy:
        yield Asked(proxy, act_of(service, proxy, azurite, name))


def act_of(service: str, proxy: FaultProxy, azurite: Endpoints, name: str) -> Callable[[], object]:
    match service:
        case "blob":
            return lambda: BlobContainer(account_of(azurite, blob=proxy.endpoint), name).properties("a.csv")
        case "destination":
            sas = container_sas(azurite, name).replace(azurite.blob, proxy.endpoint)
            destination = DestinationContainer(SecretStr(sas), development(azurite))
            return lambda: destination.upload_blocks("data.csv", [b"a"], {}, "text/csv")
        case "queue":
            return lambda: Queue(account_of(azurite, queue=proxy.endpoint), name).send({})
        case "vault":
            settings = Settings(azure_functions_environment="Development", key_vault_url=proxy.endpoint)
            return lambda: Vaults(settings).get(f"{proxy.endpoint}/secrets/storage")
        case _:
            table = Table(account_of(azurite, table=proxy.endpoint), name)
            row = {"PartitionKey": "p", "RowKey": "k"}
            return lambda: table.get("p", "k") if service == "table" else table.transact([Insert(row)])


@pytest.fixture
def time_passes(monkeypatch: pytest.MonkeyPatch) -> PassingTime:
    return PassingTime(monkeypatch)


# How often a service is asked that goes on asking for so many seconds, by who waits.
HOW_OFTEN = {
    None: {"answer": 4, "event": 4, "work": 4, "nobody": 4},
    "0": {"answer": 4, "event": 4, "work": 4, "nobody": 4},
    "8": {"answer": 2, "event": 3, "work": 4, "nobody": 4},
    "60": {"answer": 1, "event": 1, "work": 4, "nobody": 4},
    "3600": {"answer": 1, "event": 1, "work": 1, "nobody": 1},
}


@pytest.mark.parametrize("retry_after", HOW_OFTEN)
@pytest.mark.parametrize("status", BUSY)
@pytest.mark.parametrize("asked", SERVICES, indirect=True)
def test_a_busy_service_is_waited_for_as_long_as_whoever_waits_for_us(
    asked: Asked, status: int, retry_after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = Answer(status, BUSY[status], {} if retry_after is None else {"Retry-After": retry_after})
    for who, budget in BUDGETS.items():
        time_passes = PassingTime(monkeypatch)
        asked.proxy.requests.clear()
        with deadline(budget) if budget else nullcontext():
            error = asked.fails(answer)
        assert asked.requests == HOW_OFTEN[retry_after][who], who
        assert type(error) is (ThrottledError if status == 429 else UnavailableError)
        assert isinstance(error, TransientError)
        assert error.retry_after_s == (None if retry_after is None else float(retry_after))
        assert len(time_passes.pauses) == asked.requests - 1
        assert sum(time_passes.pauses) < (budget or 4 * LONGEST_PAUSE_S)
        assert all(pause >= float(retry_after or 0) for pause in time_passes.pauses)
        if retry_after in {None, "0"}:
            assert all(most / 2 <= pause <= most for pause, most in zip(time_passes.pauses, (1, 2, 4), strict=True))


@pytest.mark.parametrize("retry_after", [None, "0", "8", "3600"])
@pytest.mark.parametrize(
    ("status", "error"), [(403, RefusedError), (409, RefusedError), (412, PreconditionError), (501, UnavailableError)]
)
@pytest.mark.parametrize("asked", SERVICES, indirect=True)
def test_what_is_no_busy_service_is_asked_once_whatever_it_says(
    asked: Asked, status: int, error: type[HubError], retry_after: str | None, time_passes: PassingTime
) -> None:
    failed = asked.fails(Answer(status, headers={} if retry_after is None else {"Retry-After": retry_after}))
    is_vault = failed.code.startswith("Vault")
    assert isinstance(failed, UnavailableError if is_vault and status == 412 else error)
    assert (asked.requests, time_passes.pauses) == (1, [])


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("asked", SERVICES, indirect=True)
def test_what_may_have_been_done_is_not_done_again_by_a_transaction(
    asked: Asked, status: int, time_passes: PassingTime, request: pytest.FixtureRequest
) -> None:
    """Whoever sent it looks whether it is there."""
    asked.fails(Answer(status))
    posts = request.node.callspec.params["asked"] in {"transaction", "queue"}
    assert asked.requests == (1 if posts and status in {408, 502, 504} else 1 + RETRIES)


UNANSWERED = {"blob": 3, "destination": 3, "queue": 3, "table": 1, "transaction": 0, "vault": 1}


@pytest.mark.parametrize(
    ("asked", "repeated"), [pytest.param(*item, id=item[0]) for item in UNANSWERED.items()], indirect=["asked"]
)
def test_what_got_no_answer_is_asked_again_where_that_is_safe(
    asked: Asked, repeated: int, time_passes: PassingTime
) -> None:
    error = asked.fails(Hang(0))
    assert type(error) is UnavailableError
    assert error.retry_after_s is None
    assert asked.requests == 1 + repeated


@pytest.mark.parametrize("asked", ["queue"], indirect=True)
def test_a_message_whose_answer_is_lost_is_sent_again(
    asked: Asked, azurite: Endpoints, name: str, time_passes: PassingTime
) -> None:
    """Of two messages for one thing, the second finds nothing to do."""
    Queue(account_of(azurite), name).ensure()
    asked.proxy.break_once(LoseAnswer(), lambda _: True)
    asked.act()
    properties = Queue(account_of(azurite), name)._client.get_queue_properties()
    assert properties.approximate_message_count == 2


@pytest.mark.parametrize("asked", ["blob", "table", "vault"], indirect=True)
def test_whoever_hangs_is_given_up_when_whoever_waits_is_gone(asked: Asked) -> None:
    began = monotonic()
    with deadline(1):
        error = asked.fails(Hang())
    assert type(error) is UnavailableError
    assert monotonic() - began < 30, "the client of blobs would wait a minute"
    assert asked.requests == 1


def test_a_pause_that_is_asked_for_is_made(azurite: Endpoints, container: BlobContainer, name: str) -> None:
    etag = container.upload_bytes("blob", b"abc")
    with running_proxy(azurite.blob) as proxy:
        proxy.break_once(Answer(503, "ServerBusy", {"Retry-After": "2"}), lambda _: True)
        began = monotonic()
        behind = BlobContainer(account_of(azurite, blob=proxy.endpoint), container.name)
        assert b"".join(behind.download("blob", etag)) == b"abc"
        assert monotonic() - began >= 2
        assert len(proxy.requests) == 2


def test_a_file_that_is_sent_again_is_whole(
    azurite: Endpoints, container: BlobContainer, tmp_path: Path, time_passes: PassingTime
) -> None:
    (tmp_path / "file").write_bytes(b"0123456789" * 2_000_000)
    with running_proxy(azurite.blob) as proxy:
        refused = iter([Answer(503), Answer(429, headers={"Retry-After": "1"}), Answer(500)])
        proxy.plan = lambda _: next(refused, None)
        behind = BlobContainer(account_of(azurite, blob=proxy.endpoint), container.name)
        behind.upload_file("blob", tmp_path / "file")
    assert container.read_bytes("blob") == (tmp_path / "file").read_bytes()
    assert len(time_passes.pauses) == 3


def test_a_listing_goes_on_where_it_was_refused(
    azurite: Endpoints, container: BlobContainer, time_passes: PassingTime
) -> None:
    with running_proxy(azurite.blob) as proxy:
        behind = BlobContainer(account_of(azurite, blob=proxy.endpoint), container.name)
        for number in range(3):
            container.upload_bytes(f"{number}", b"")
        refused = iter([None, Answer(429, "TooManyRequests", {"Retry-After": "3"})])
        proxy.plan = lambda _: next(refused, None)
        pages = behind._client.list_blobs(results_per_page=1).by_page()
        assert [blob.name for page in pages for blob in page] == ["0", "1", "2"]
    assert time_passes.pauses == [3]


def test_a_copy_whose_source_is_busy_may_succeed_later(
    azurite: Endpoints, container: BlobContainer, name: str, time_passes: PassingTime
) -> None:
    with running_proxy(azurite.blob) as proxy:
        behind = BlobContainer(account_of(azurite, blob=proxy.endpoint), container.name)
        busy = {"x-ms-copy-source-error-code": "ServerBusy", "x-ms-copy-source-status-code": "503"}
        proxy.plan = lambda _: Answer(409, "CannotVerifyCopySource", busy)
        with pytest.raises(UnavailableError):
            behind.copy("a.csv", container.name, "b.csv")
        assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("0", 0, 0),
        ("7", 7, 7),
        ("1.5", 1.5, 1.5),
        ("-5", 0, 0),
        ("1e12", 604_800, 604_800),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 604_800, 604_800),
    ],
)
def test_what_a_service_asks_for_is_seconds(text: str, least: float, most: float) -> None:
    found = asked_s({"Retry-After": text})
    assert found is not None
    assert least <= found <= most


@pytest.mark.parametrize("zone", ["GMT", "-0000"])
def test_a_service_may_ask_for_a_time_of_day(zone: str) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True).replace("GMT", zone)
    assert 3_000 <= (asked_s({"Retry-After": in_an_hour}) or 0) <= 3_600


@pytest.mark.parametrize("text", ["", "soon", "nan", "inf", "1e999", "Sun, 99 Nov 1994 08:49:37 GMT", "٣ ٣"])
def test_what_nobody_understands_is_not_asked(text: str) -> None:
    assert asked_s({"Retry-After": text}) is None
    assert asked_s({}) is None


parts = st.integers().map(str) | st.text("0123456789:,.+- GMT", max_size=12)
dates = st.builds(
    "Mon, {} {} {} {} {}".format,
    parts,
    st.sampled_from(["Jan", "Dec", "x"]),
    parts,
    st.sampled_from(["00:00:00", "23:59:60"]) | st.builds("{}:{}:{}".format, parts, parts, parts),
    st.sampled_from(["GMT", "-0000"]) | st.builds("{}{}".format, st.sampled_from("+-"), parts),
)


@given(st.text() | dates | parts)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example("Mon, 01 Jan 2026 00:00:00 +" + "9" * 40)
@example("9" * 5000)
def test_whatever_a_service_says_is_seconds_or_nothing(text: str) -> None:
    found = asked_s({"Retry-After": text})
    assert found is None or 0 <= found <= 604_800


def test_a_deadline_of_work_leaves_time_to_give_it_back() -> None:
    """Before its claim is over, and before the host ends the process."""
    host = json.loads((Path(__file__).parents[2] / "host.json").read_text())
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    limits = [EVENT_S, 30, WORK_S, CLAIM_LENGTH.total_seconds(), 3600 * hours + 60 * minutes + seconds + 1]
    assert all(less < more for less, more in pairwise(limits))
