"""Two hubs of one app: neither reads, changes or delays what is the other's."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote

import httpx
import pytest

from infra.local.state_dir import Stack
from tests.acceptance.hub import Hub, mapping_body, wait_for

# An answer may take longer beside the work of others, on a machine that may do more; it does not wait for its end.
WAIT_S = 2.0
WAIT_TIMES = 5.0
REFUSED = {"preview": (404, "BlobNotFound"), "suggest": (409, "ContainerOfAnotherHub")}


@pytest.fixture(scope="module")
def other(stack: Stack) -> Iterator[Hub]:
    with Hub.created(stack, "Stranger") as other:
        other.profile_type()
        yield other


def test_nothing_of_a_hub_is_there_for_another(hub: Hub, other: Hub) -> None:
    (run, *_) = hub.runs(kind="Ingest")
    for path in (
        f"/runs/{run['runId']}",
        f"/runs/{run['runId']}/rejects",
        "/connectors/Landing/mappings/Customers",
        "/data/Customer('A')",
        "/data/Customer/A",
    ):
        assert other.request("GET", path).status_code == 404, path
    assert other.data("Customer") == []
    assert [item["blob"]["path"] for item in other.runs()] == []
    assert other.request("POST", "/connectors/Landing/mappings/Customers/run").status_code == 404


def test_tags_and_tokens_of_a_hub_are_worth_nothing_in_another(hub: Hub, other: Hub) -> None:
    tag = hub.request("GET", "/profiles/Customer").headers["ETag"]
    assert other.request("DELETE", "/profiles/Customer", headers={"If-Match": tag}).status_code == 412
    first = hub.request("GET", "/data/Customer?$top=1").json()
    assert [row["Id"] for row in first["value"]] == ["A"]
    rest = first["nextLink"].partition("$skiptoken=")[2]
    assert other.get(f"/data/Customer?$skiptoken={rest}")["value"] == []


@pytest.mark.parametrize("spelling", [str.upper, str.lower, lambda name: "%" + f"{ord(name[0]):02X}" + name[1:]])
def test_a_hub_in_another_spelling_is_the_same_hub(hub: Hub, spelling: Callable[[str], str]) -> None:
    answer = hub.http.get(f"/hubs/{spelling(hub.name)}/data/Customer")
    assert [row["Id"] for row in answer.json()["value"]] == ["A", "B", "C"]


def test_a_container_that_another_hub_reads(hub: Hub, other: Hub) -> None:
    body = mapping_body(hub.inbox.container_name, {"Id": "id"})
    answer = other.request("PUT", "/connectors/Landing/mappings/Theirs", json=body)
    assert answer.status_code == 409, answer.text
    assert answer.json()["error"]["code"] == "ContainerOfAnotherHub"
    for place in ("preview", "suggest"):
        path = "/connectors/Landing/suggest" if place == "suggest" else "/connectors/Landing/mappings/Own/preview"
        other.mapping("Own", {"Id": "id"})
        seen = other.request("POST", path, json={"blob": f"{hub.inbox.container_name}/first.csv"})
        assert "Utrecht" not in seen.text
        # A preview looks below the mapping's own folder only; a suggestion may name any container.
        assert (seen.status_code, seen.json()["error"]["code"]) == REFUSED[place], seen.text


@pytest.mark.parametrize("opens", [False, True], ids=["names the account", "opens the account"])
def test_the_paths_of_a_hub_are_in_no_run_of_another(hub: Hub, other: Hub, *, opens: bool) -> None:
    secret, stack = f"late{opens}".lower(), hub.stack
    url = f"{stack.key_vault_url}/secrets/{secret}"
    landing = {"connectorType": "AzureBlob", "connectorProperties": {"connectionKeyVaultUrl": url}}
    assert other.put(f"/connectors/{secret}", landing)["state"] == "Failed", "there is no secret yet"
    other.put(f"/connectors/{secret}/mappings/Theirs", mapping_body(hub.inbox.container_name, {"Id": "id"}))
    named = f"AccountName=devstoreaccount1;AccountKey=TUFSS0VS;BlobEndpoint={stack.blob_endpoint}"
    text = stack.storage_connection_string if opens else named
    kept = httpx.put(f"{url}?api-version=7.4", json={"value": text}, headers={"Authorization": "Bearer local"})
    assert kept.status_code == 200
    checks = other.request("POST", f"/connectors/{secret}/test").json()["checks"]
    assert {check["name"]: check["ok"] for check in checks}["account"] is opens
    path = f"private-{secret}.csv"
    etag = hub.upload(path, "id,city,points\nA,Utrecht,1\n")
    assert hub.deliver(hub.event(path, etag)).status_code == 202
    assert hub.run_of(path, etag)["state"] == "Succeeded"
    other.fire("reconcile_blobs")
    asked = other.request("POST", f"/connectors/{secret}/mappings/Theirs/run")
    assert asked.status_code == 202
    progress = f"/connectors/{secret}/mappings/Theirs/progress"
    wait_for(lambda: other.get(progress)["state"] == "Failed", "the end of their sweep")
    own = {item["blob"]["path"] for item in hub.runs(kind="Ingest")}
    told = other.request("GET", "/runs").text + json.dumps(other.get(progress))
    assert [name for name in own if name in told] == []


def test_a_hub_at_work_does_not_delay_another(hub: Hub, other: Hub) -> None:
    other.mapping("Own", {"Id": "id"})
    alone_s = max(seconds_to_answer(other) for _ in range(3))
    etags = {path: hub.upload(path, b"id,city,points\n" + b'"\n' * 100_000) for path in ("ugly-1.csv", "ugly-2.csv")}
    dear = f"/data/Customer?$filter={quote(' or '.join(f'Points eq {n}' for n in range(300)))}"
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(hub.request, "GET", dear) for _ in range(12)]
        beside_s = max(seconds_to_answer(other) for _ in range(6))
    assert {answer.result().status_code for answer in asked} == {200}
    assert beside_s < WAIT_S + WAIT_TIMES * alone_s
    for path, etag in etags.items():
        assert hub.run_of(path, etag)["rowsRejected"] == 100_000


def seconds_to_answer(hub: Hub) -> float:
    """The longest that one of a few requests is waited for."""
    longest = 0.0
    for path in ("/data/Customer", "/profiles", "/connectors/Landing/mappings/Own", "/runs"):
        began = time.monotonic()
        assert hub.request("GET", path).status_code == 200
        longest = max(longest, time.monotonic() - began)
    return longest


def has_customer(hub: Hub, key: str) -> bool:
    return key in {row["Id"] for row in hub.data("Customer")}


def test_a_container_that_is_shared(hub: Hub, stack: Stack) -> None:
    shared = hub.container(f"{hub.name.lower()}-shared")
    hub.put("", {"sharedContainers": [shared.container_name]})
    body = mapping_body(shared.container_name, {"Id": "id", "City": "city", "Points": "points"})
    hub.put("/connectors/Landing/mappings/Shared", body)
    # Not the other hub, of which the tests above, if they come later, expect that it has no rows.
    with Hub.created(stack, "Sharer") as sharer:
        sharer.profile_type()
        sharer.put("/connectors/Landing/mappings/Shared", body)
        shared.upload_blob("both.csv", "id,city,points\nS,Oslo,9\n")
        for each in (hub, sharer):
            each.run_of("both.csv", mapping="Shared")
            wait_for(partial(has_customer, each, "S"), f"the row in {each.name}")
