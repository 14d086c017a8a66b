"""An account that hangs holds up nobody else: the time of the others' runs, measured before and meanwhile."""

import statistics
from datetime import datetime

import httpx
import pytest

from infra.local.state_dir import Stack
from shared.storage.account_permits import PATIENCE_S
from tests.acceptance.hub import Hub, mapping_body, wait_for
from tests.fault_proxy import Drip, Fault, Hang, Request, running_proxy
from tests.thorough import only_thorough

COLUMNS = {"Id": "id", "City": "city", "Points": "points"}
GOOD = "id,city,points\nA,Utrecht,1\nB,Paris,2\n"
BLOBS = 24
# For so long an account may be silent before it is kept apart.
ALLOWANCE_S = PATIENCE_S


@pytest.mark.parametrize(
    "fault", [Hang(), pytest.param(Drip(pause_s=1.0), marks=only_thorough)], ids=["hangs", "drips"]
)
def test_an_account_that_hangs_does_not_delay_the_others(hub: Hub, stack: Stack, fault: Fault) -> None:
    with running_proxy(stack.blob_endpoint) as proxy:
        slow = hub.container(f"{hub.name.lower()}-slow")
        hub.profile_type()
        hub.mapping("Customers", COLUMNS)
        connect(hub, stack.storage_connection_string.replace(stack.blob_endpoint, proxy.endpoint))
        hub.put("/connectors/Slow/mappings/Slow", mapping_body(slow.container_name, COLUMNS))
        normal = p95_of_runs(hub, "before")

        def breaks(request: Request) -> Fault | None:
            return fault if request.method == "GET" and "/s" in request.target and ".csv" in request.target else None

        proxy.plan = breaks
        for number in range(BLOBS):
            slow.upload_blob(f"s{number}.csv", GOOD)
        wait_for(lambda: bool(hub.runs(mapping="Slow", state="Running")), "the first run that hangs")
        meanwhile = p95_of_runs(hub, "meanwhile")
        assert len(hub.runs(mapping="Slow", state="Succeeded")) < BLOBS, "the account did not hang for long enough"
        assert meanwhile <= 2 * normal + ALLOWANCE_S
        # It comes to itself again: whatever waited is ingested, without an attempt wasted on the waiting.
        proxy.plan = lambda _: None
        proxy.release()
        wait_for(lambda: len(hub.runs(mapping="Slow", state="Succeeded")) == BLOBS, "the runs that waited", 150)
        assert max(run["attempts"] for run in hub.runs(mapping="Slow")) <= 2


def connect(hub: Hub, connection_string: str) -> None:
    """A connector to an account of its own, as far as the app can tell."""
    name = f"slow{hub.name.lower()}"
    url = f"{hub.stack.key_vault_url}/secrets/{name}"
    body = {"value": connection_string}
    answer = httpx.put(f"{url}?api-version=7.4", json=body, headers={"Authorization": "Bearer local"})
    assert answer.status_code == 200, answer.text
    secret = {"connectionKeyVaultUrl": url}
    connector = hub.put("/connectors/Slow", {"connectorType": "AzureBlob", "connectorProperties": secret})
    assert connector["state"] == "Ready", connector


def p95_of_runs(hub: Hub, folder: str) -> float:
    """Uploads blobs one after another and gives the time of their runs, from the queue to the end, in seconds."""
    for number in range(BLOBS):
        hub.upload(f"{folder}/{number}.csv", GOOD)
    ended = [hub.run_of(f"{folder}/{number}.csv", mapping="Customers") for number in range(BLOBS)]
    assert {run["state"] for run in ended} == {"Succeeded"}
    times = [datetime.fromisoformat(run["finishedAt"]) - datetime.fromisoformat(run["queuedAt"]) for run in ended]
    return statistics.quantiles([time.total_seconds() for time in times], n=20)[-1]
