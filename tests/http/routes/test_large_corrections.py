"""Corrections that are large: refused early where a run has few rejects, and never more of them in memory than one."""

import asyncio
import gc
import os
from concurrent.futures import ThreadPoolExecutor

import azure.functions as func
import pytest
from azure.storage.blob import ContainerClient

from shared.app import Services
from shared.domain.documents.run import Run, RunState
from shared.http.protocol import csv_body
from shared.permits import Permits
from shared.repair import request_correction
from shared.triggers.bridge import Bridge, create_bridge
from tests.abuse.spending import Spending
from tests.http import bodies
from tests.http.conftest import Client
from tests.http.routes.test_repair import ingest, post, work

MB = 1024**2


@pytest.fixture
def run(client: Client, services: Services, hub: str, container: ContainerClient, storage_secret_url: str) -> Run:
    """A run with one open reject, of line 3."""
    for path, body in {
        "/profiles/Contact": bodies.profile_type(),
        "/connectors/Files": bodies.blob_connector(storage_secret_url),
        "/connectors/Files/mappings/Names": bodies.mapping(f"{container.container_name}/Names"),
    }.items():
        assert client.put(f"{hub}{path}", body).status_code == 201
    return ingest(services, hub, container, "Names/1.csv", "id,name\na,Ann\n,Bob\n")


def rows(megabytes: int) -> bytes:
    return b"id,name\n" + b"b,Bob\n" * (megabytes * MB // 6)


def outcome(bridge: Bridge, path: str, content: bytes) -> str:
    headers = {"Host": "contoso.azurewebsites.net", "Content-Type": "text/csv"}
    request = func.HttpRequest("POST", f"https://contoso.azurewebsites.net{path}", headers=headers, body=content)

    async def answered() -> func.HttpResponse:
        return await bridge(request, None)

    answer = asyncio.run(answered())
    return f"{answer.status_code} {answer.get_body().decode()}"


def test_many_rows_for_one_reject_are_not_read(client: Client, hub: str, run: Run) -> None:
    answer = post(client, f"{hub}/runs/{run.run_id}/rejects", rows(12))
    (fault,) = answer.json()["error"]["details"]
    assert (answer.status_code, fault["code"]) == (400, "TooManyRows")
    assert "1 rejects are open" in fault["message"]


def test_several_large_ones_take_the_memory_of_one(services: Services, hub: str, run: Run) -> None:
    bridge = create_bridge(services)
    path = f"{hub}/runs/{run.run_id}/rejects"
    content = rows(12)
    assert "TooManyRows" in outcome(bridge, path, content)
    gc.collect()
    with Spending(os.getpid(), is_alone=True).watched() as spent, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: outcome(bridge, path, content), range(12)))
    assert all("TooManyRows" in answer or answer.startswith("429 ") for answer in answers)
    assert sum("TooManyRows" in answer for answer in answers) >= 4
    assert spent.memory_mb < 60


def test_large_ones_without_a_turn(client: Client, hub: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_body, "_LARGE_BODIES", Permits(most_of_one=0, most=0, within_s=0))
    path = f"{hub}/runs/{run.run_id}/rejects"
    large = b"id,name\nb," + b"B" * MB + b"\n"
    refused = post(client, path, large)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "CorrectionsBusy")
    assert refused.headers["retry-after"]
    assert post(client, path, large[: MB - 1] + b"\n").status_code == 202


def test_a_large_one_is_taken(client: Client, hub: str, run: Run) -> None:
    large = b"id,name\nb," + b"B" * 3 * MB + b"\n"
    assert post(client, f"{hub}/runs/{run.run_id}/rejects", large).status_code == 202


def test_little_rows_for_large_rejects_need_a_turn(
    client: Client, hub: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, little = f"{hub}/runs/{run.run_id}/rejects", b"id,name\nb,Bob\n"
    monkeypatch.setattr(csv_body, "LITTLE_BYTES", len(little))
    with monkeypatch.context() as patched:
        patched.setattr(csv_body, "_LARGE_BODIES", Permits(most_of_one=0, most=0, within_s=0))
        refused = post(client, path, little)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "CorrectionsBusy")
    assert post(client, path, little).status_code == 202


def test_a_caller_does_not_wait_for_rejects_without_end(
    client: Client, services: Services, hub: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_correction, "READ_AT_ONCE", 20)
    path = f"{hub}/runs/{run.run_id}/rejects"
    assert post(client, path, b"line,id,name\n7,b,Bob\n").status_code == 202
    ended = work(services, hub, run.run_id)
    (repair,) = ended.details["repairs"]
    assert (ended.state, ended.rows_ingested, repair["ingested"]) == (RunState.PARTIALLY_SUCCEEDED, 1, 0)
    assert "7" in repair["error"]["message"]
