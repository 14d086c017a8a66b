"""Bodies of the permitted size in ugly shapes: each is answered soon, and the event loop goes on meanwhile."""

import asyncio
import json
import time

import httpx
import pytest

from shared.http.protocol.body import BODY_LIMIT_BYTES
from shared.http.protocol.json_body import NAME_LIMIT, VALUES_LIMIT
from tests.http import bodies
from tests.http.conftest import Client

LIMIT_S = 0.2  # of processor time, for all threads together
STORED_LIMIT_S = 1.0  # where there is something to store
ANSWER_LIMIT_BYTES = 64 * 1024  # of one that refuses
LOOP_LIMIT_S = 0.05  # of the event loop's thread, in which everybody else waits
ROUTES = ("", "/profiles/Contact", "/connectors/Partner", "/connectors/Files/mappings/daily")
TRIES = 3  # as many as it may take on a machine that does other work too; the first that is soon enough ends them


def filled(head: str, unit: str, tail: str = "") -> str:
    """`unit` as often as the limit lets it stand between `head` and `tail`."""
    return head + unit * ((BODY_LIMIT_BYTES - len(head) - len(tail)) // len(unit)) + tail


def numbered(head: str, unit: str, tail: str) -> str:
    """The same with a number in each unit, where it says `#`, which makes them differ."""
    size = len(unit) + 4
    count = (BODY_LIMIT_BYTES - len(head) - len(tail)) // size
    return head + "".join(unit.replace("#", f"{number:05}") for number in range(count)) + tail


EXPORT = (
    '{"connectorType":"Outbound","connectorProperties":{"outputBlobSASUri":"https://x","entityList":'
    '[{"entityType":"Profile","entityName":"Contact","fieldNames":"'
)
SHAPES = {
    "an open string of backslash and quote": filled('"', '\\"'),
    "an open value of backslashes": filled('{"tags":"', "\\\\"),
    "nothing but quotes": filled("", '"'),
    "arrays that never close": filled("", "["),
    "objects that never close": filled("", '{"a":'),
    "deep, then closed": filled("", "[", "]" * (BODY_LIMIT_BYTES // 2)),
    "as deep as allowed, again and again": filled('{"tags":[', "[" * 29 + "]" * 29 + ",", "1]}"),
    "closing brackets alone": filled("{", "]"),
    "many unknown names": numbered("{", '"k#":1,', '"a":1}'),
    "many names of a dictionary": numbered('{"tags":{', '"k#":"",', '"a":""}}'),
    "one name again and again": filled("{", '"a":1,', '"A":1}'),
    "a number without end": filled('{"tags":', "9", "}"),
    "an exponent without end": filled('{"tags":1e', "9", "}"),
    "many small strings": filled('{"tags":[', '"",', '""]}'),
    "many numbers": filled('{"tags":[', "1,", "1.5]}"),
    "many empty objects": filled('{"tags":[', "{},", "{}]}"),
    "as many empty fields as are read": '{"fields":[' + "{}," * (VALUES_LIMIT // 2 - 1) + "1]}",
    "as many wrong columns as are read": '{"mappingProperties":{"structure":[' + "1," * (VALUES_LIMIT - 3) + "1]}}",
    "as many fields in one text as fit": filled(EXPORT, "a,", '"}]}}'),
    "a long name above many values": numbered(
        '{"localizedAttributes":{"' + "k" * 100_000 + '":{', '"#":1,', '"a":1}}}'
    ),
    "a name as long as allowed above many values": numbered(
        '{"localizedAttributes":{"' + "k" * NAME_LIMIT + '":{', '"#":1,', '"a":1}}}'
    ),
    "escapes": filled('{"tags":"', "\\u00e4", '"}'),
    "halves of pairs, far behind": filled('{"tags":["', "\\ud83d\\ude00", '\\ud83d"]}'),
    "marks without an order": filled(
        '{"connectorType":"None","connectorProperties":{"note":"a', "\\u0315\\u0300", '"}}'
    ),
    "many names that carry a secret": numbered(
        '{"connectorType":"None","connectorProperties":{', '"pwd=a#":1,', '"a":1}}'
    ),
    "many secrets": numbered('{"connectorType":"None","connectorProperties":{', '"k#":"pwd=a",', '"a":1}}'),
    "many secrets to keep": numbered('{"connectorType":"None","connectorProperties":{', '"k#":"***",', '"a":1}}'),
    "blanks": filled("{", " ", "}"),
    "lines": filled("{", "\r\n", "1}"),
}


def send(client: Client, path: str, content: bytes) -> tuple[httpx.Response, int, float, float]:
    """The answer, and the status of `/health/live` sent beside; processor time of all threads, and of the loop's."""

    async def both() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hubs.example:8080") as http:
            return await asyncio.gather(http.put(path, content=content), http.get("/health/live"))

    began, began_loop = time.process_time(), time.thread_time()
    answer, live = asyncio.run(both())
    return answer, live.status_code, time.process_time() - began, time.thread_time() - began_loop


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_every_shape_is_answered_soon(client: Client, hub: str, shape: str) -> None:
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    for route in ROUTES:
        for _ in range(TRIES):
            answer, live, taken, in_loop = send(client, f"{hub}{route}", shape.encode())
            assert (200 <= answer.status_code < 500, live) == (True, 200), route
            assert answer.status_code < 400 or len(answer.content) < ANSWER_LIMIT_BYTES, route
            if taken < LIMIT_S and in_loop < LOOP_LIMIT_S:
                break
        assert taken < LIMIT_S, route
        assert in_loop < LOOP_LIMIT_S, route


@pytest.mark.parametrize("word", ["bearer ", "pass   ", "pwd:"])
def test_connectors_full_of_words_that_begin_a_secret_are_put_soon(
    client: Client, hub: str, sas_uri: str, word: str
) -> None:
    """Also beside others of the kind: who looks at all connectors of a hub looks for no secrets in them."""
    assert client.put(f"{hub}/profiles/Contact", bodies.profile_type()).status_code == 201
    note = {f"k{number:05}": word for number in range(200_000 // (len(word) + 12))}
    body = bodies.outbound_connector(sas_uri)
    body["connectorProperties"]["note"] = note
    other = {"connectorType": "None", "connectorProperties": {"note": note}}
    for number in range(3):
        assert client.put(f"{hub}/connectors/Other{number}", other).status_code == 201
    content = json.dumps(body).encode()
    tries = [send(client, f"{hub}/connectors/Partner", content) for _ in range(2)]
    assert [answer.json()["state"] for answer, _, _, _ in tries] == ["Ready", "Ready"]
    assert min(taken for _, _, taken, _ in tries) < STORED_LIMIT_S
