"""No request makes the app fail, spends what is others', or hears its own words back at length."""

import httpx
import pytest

from tests.abuse.requests import REQUESTS, Try
from tests.abuse.spending import Spending
from tests.acceptance.hub import Hub

# A PUT of a definition spends about 0.05 s; what the timers of the stack do meanwhile counts as well.
CPU_S = 2.0
MEMORY_MB = 200.0
REPEATED = 200


@pytest.mark.parametrize("tried", REQUESTS, ids=str)
def test_a_request(hub: Hub, spending: Spending, tried: Try) -> None:
    with spending.watched() as spent:
        answer = send(hub, tried)
    assert answer.status_code in tried.status, answer.text[:500]
    assert spent.cpu_s < CPU_S
    assert spent.memory_mb < MEMORY_MB
    if answer.status_code >= 400:
        check_error(answer, tried)
    health = hub.http.get("/health/live")
    assert health.status_code == 200


def send(hub: Hub, tried: Try) -> httpx.Response:
    sent = {"content": tried.content} if tried.content is not None else {"json": tried.body} if tried.body else {}
    # As it is written: the client would else mend the path.
    raw_path = tried.path.format(hub=f"/hubs/{hub.name}").encode()
    url = httpx.URL(hub.stack.functions_url).copy_with(raw_path=raw_path)
    return hub.http.request(tried.method, url, headers=dict(tried.headers), **sent)


def check_error(answer: httpx.Response, tried: Try) -> None:
    error = answer.json()["error"]
    assert error["message"]
    assert error["code"]
    if tried.code is not None:
        assert tried.code in {error["code"], *(detail["code"] for detail in error["details"])}, error
    for sign in "ax9'[":
        assert sign * (REPEATED + 1) not in answer.text
