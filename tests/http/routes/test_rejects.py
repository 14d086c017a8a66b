"""The file of a run's rejects, however large: whole, in pieces, and never more of it in memory than is bounded."""

import asyncio
import gc
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import azure.functions as func
import pytest

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.domain.own_names import CONTAINER_RUNS
from shared.domain.reject import Reject
from shared.http.app import create_http_app
from shared.http.protocol import csv_answer
from shared.permits import Permits
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from shared.triggers.bridge import create_bridge
from tests.abuse.spending import Spending
from tests.fault_proxy import Answer, CutAnswer, Fault, FaultProxy, Request, running_proxy
from tests.http.conftest import Client
from tests.http.routes.recorded_runs import keep, record
from tests.local_services import account_of

MB = 1024**2


def rejects(megabytes: float) -> Iterator[Reject]:
    """About so much of them; line ends and quotes in each."""
    for number in range(int(megabytes * 50)):
        yield Reject(number + 2, None, "RowWidth", "3 cells instead of 4", f'{number},"' + "x" * 20_000 + '\n"')


@dataclass
class Stored:
    """A client whose app reads rejects through a proxy, a run, and the file of its rejects."""

    client: Client
    proxy: FaultProxy
    path: str
    text: bytes

    def downloads(self) -> int:
        return sum(request.method == "GET" for request in self.proxy.requests)


@pytest.fixture
def stored(azurite: Endpoints, settings: Settings, services: Services, hub: str) -> Iterator[Stored]:
    run = record(services, hub)
    text = keep(services, hub, run, rejects(3)).encode()
    with running_proxy(azurite.blob) as proxy:
        behind = Services(settings)
        behind.run_files = BlobContainer(account_of(azurite, blob=proxy.endpoint), CONTAINER_RUNS)
        yield Stored(Client(create_http_app(behind)), proxy, f"{hub}/runs/{run.run_id}/rejects", text)


def test_many_rejects_are_given_whole(client: Client, services: Services, hub: str) -> None:
    run = record(services, hub)
    text = keep(services, hub, run, rejects(10))
    assert len(text) > 8 * MB
    path = f"{hub}/runs/{run.run_id}/rejects"
    assert client.get(path).content.decode() == text
    some = client.get(path, params={"$top": 400}).content.decode()
    assert text.startswith(some)
    assert some.count("RowWidth") == 400
    assert some.endswith('\n"""\n')


@pytest.mark.parametrize("conditions", [{"Range": "bytes=0-9"}, {"If-None-Match": '"other"'}, {}])
def test_head_downloads_nothing(stored: Stored, conditions: dict[str, str]) -> None:
    answer = stored.client.send("HEAD", stored.path, headers=conditions)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(stored.text))
    assert answer.headers["accept-ranges"] == "bytes"
    first = stored.client.send("HEAD", stored.path, params={"$top": 3}, headers=conditions)
    assert (first.status_code, first.content, first.headers["etag"]) == (200, b"", answer.headers["etag"])
    assert "content-length" not in first.headers
    known = {"If-None-Match": answer.headers["etag"]}
    for method in ("HEAD", "GET"):
        assert stored.client.send(method, stored.path, headers=known).status_code == 304
    assert stored.downloads() == 0


def test_the_first_of_many_cost_one_small_download(stored: Stored) -> None:
    fewer = stored.client.get(stored.path, params={"$top": 3}).content
    assert stored.text.startswith(fewer)
    assert fewer.count(b"RowWidth") == 3
    assert stored.downloads() == 1


@pytest.mark.parametrize("size", [1_000_000, 1_500_000, 5_000_000])
def test_ranges_put_together_are_the_file(stored: Stored, size: int) -> None:
    found, etag = b"", None
    while len(found) < len(stored.text):
        asked = {"Range": f"bytes={len(found)}-{len(found) + size - 1}", **({"If-Range": etag} if etag else {})}
        answer = stored.client.get(stored.path, headers=asked)
        last = min(len(found) + size, len(stored.text)) - 1
        assert (answer.status_code, answer.headers["content-type"]) == (206, "text/csv; charset=utf-8")
        assert answer.headers["content-range"] == f"bytes {len(found)}-{last}/{len(stored.text)}"
        assert answer.headers["content-length"] == str(len(answer.content))
        found, etag = found + answer.content, answer.headers["etag"]
    assert found == stored.text


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("Bytes = 5-9", 5, 9),
        ("bytes=-7", -7, -1),
        ("bytes=-999999999999", 0, -1),
        ("bytes=1000000-", 1_000_000, -1),
        (f"bytes=2999999-{'9' * 5000}", 2_999_999, -1),
    ],
)
def test_a_range(stored: Stored, asked: str, first: int, last: int) -> None:
    size = len(stored.text)
    answer = stored.client.get(stored.path, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first % size}-{last % size}/{size}"
    assert answer.content == stored.text[first % size : last % size + 1]


@pytest.mark.parametrize(
    "asked",
    [
        {"Range": "bytes=9-5"},
        {"Range": "bytes=0-1,5-9"},
        {"Range": "bytes=-"},
        {"Range": "bytes"},
        {"Range": "bytes=a-b"},
        {"Range": "rows=0-9"},
        {"Range": "bytes=0-9", "If-Range": '"of another version"'},
        {"Range": "bytes=0-9", "If-Range": "Sun, 22 Nov 2026 14:15:00 GMT"},
    ],
)
def test_what_is_no_range_of_this_version_gives_all(stored: Stored, asked: dict[str, str]) -> None:
    answer = stored.client.get(stored.path, headers=asked)
    assert (answer.status_code, answer.content) == (200, stored.text)
    assert "content-range" not in answer.headers


@pytest.mark.parametrize("asked", ["bytes=99999999-", f"bytes={'9' * 5000}-", "bytes=-0"])
def test_a_range_without_bytes(stored: Stored, asked: str) -> None:
    answer = stored.client.get(stored.path, headers={"Range": asked})
    assert (answer.status_code, answer.json()["error"]["code"]) == (416, "RangeNotSatisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(stored.text)}"
    assert stored.downloads() == 0


def test_a_range_of_no_rejects(client: Client, services: Services, hub: str) -> None:
    answer = client.get(f"{hub}/runs/{record(services, hub).run_id}/rejects", headers={"Range": "bytes=5-10"})
    assert (answer.status_code, answer.text) == (206, "column")


def test_more_than_an_answer_holds(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 2 * MB
    monkeypatch.setattr(csv_answer, "ANSWER_BYTES", limit)
    whole = stored.client.get(stored.path)
    error = whole.json()["error"]
    assert (whole.status_code, error["code"], stored.downloads()) == (413, "AnswerTooLarge", 0)
    for told in (f"{len(stored.text)} bytes", "$top", f"curl -r 0-{limit - 1}`", f"curl -r {limit}-{2 * limit - 1}`"):
        assert told in error["message"]
    head = stored.client.send("HEAD", stored.path)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(stored.text)))
    first = stored.client.get(stored.path, params={"$top": 1000})
    assert (first.status_code, first.json()["error"]["code"]) == (413, "AnswerTooLarge")
    assert stored.client.get(stored.path, params={"$top": 90}).status_code == 200
    begun = stored.client.get(stored.path, headers={"Range": "bytes=0-"})
    assert (begun.status_code, len(begun.content)) == (206, limit)
    assert begun.headers["content-range"] == f"bytes 0-{limit - 1}/{len(stored.text)}"
    rest = stored.client.get(stored.path, headers={"Range": f"bytes={limit}-"})
    assert begun.content + rest.content == stored.text


@pytest.mark.parametrize("options", [{}, {"params": {"$top": 140}}, {"headers": {"Range": "bytes=0-2000000"}}])
def test_storage_that_fails_midway_is_an_error(stored: Stored, options: dict[str, Any]) -> None:
    def plan(request: Request) -> Fault | None:
        if request.method != "GET":
            return None
        return CutAnswer(100_000) if stored.downloads() == 1 else Answer(HTTPStatus.FORBIDDEN, "AuthorizationFailure")

    stored.proxy.plan = plan
    answer = stored.client.get(stored.path, **options)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "AccessDenied")
    stored.proxy.plan = lambda _: None
    assert stored.client.get(stored.path).content == stored.text


def test_large_answers_without_a_turn(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_answer, "_LARGE_ANSWERS", Permits(most_of_one=0, most=0, within_s=0))
    asked: list[dict[str, Any]] = [{}, {"params": {"$top": 140}}, {"headers": {"Range": "bytes=0-2000000"}}]
    for options in asked:
        answer = stored.client.get(stored.path, **options)
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "LargeAnswersBusy")
        assert answer.headers["retry-after"]
    small: list[dict[str, Any]] = [{"params": {"$top": 20}}, {"headers": {"Range": "bytes=2000000-2999999"}}]
    for options in small:
        assert stored.client.get(stored.path, **options).status_code in {200, 206}


def test_several_at_once_take_the_memory_of_one(services: Services, hub: str) -> None:
    run = record(services, hub)
    size = len(keep(services, hub, run, rejects(12)))
    bridge = create_bridge(services)
    url = f"https://contoso.azurewebsites.net{hub}/runs/{run.run_id}/rejects"

    def get(headers: dict[str, str]) -> tuple[int, int]:
        request = func.HttpRequest("GET", url, headers={"Host": "contoso.azurewebsites.net", **headers}, body=b"")

        async def ask() -> func.HttpResponse:
            return await bridge(request, None)

        answer = asyncio.run(ask())
        return answer.status_code, len(answer.get_body())

    get({"Range": "bytes=0-2000000"})
    gc.collect()
    asked = [{}, {}, {"Range": "bytes=0-"}, {"Range": "bytes=9-"}]
    with Spending(os.getpid(), is_alone=True).watched() as spent, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(get, asked))
    assert answers == [(200, size), (200, size), (206, size), (206, size - 9)]
    assert spent.memory_mb < 3 * size / MB
