"""An answer about definitions must not wait for engines to load, so it must not load them."""

import json
import subprocess
import sys
from pathlib import Path

from infra.local.azurite import Endpoints
from infra.local.key_vault import KeyVault
from tests.http import bodies
from tests.local_services import called_on_loopback

ROOT = Path(__file__).parents[3]
HEAVY = ("duckdb", "deltalake", "pyarrow", "numpy", "obstore", "odata_query")

PROGRAM = """
import asyncio, json, sys
import httpx
from shared.app import services
from shared.http.app import create_http_app

async def main():
    transport = httpx.ASGITransport(create_http_app(services()))
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        found = []
        for method, path, body in json.load(sys.stdin):
            answer = await client.request(method, path, json=body)
            heavy = sorted({name.split(".")[0] for name in sys.modules} & set(sys.argv[1:]))
            found.append([method, path, answer.status_code, heavy])
        print(json.dumps(found))

asyncio.run(main())
"""


def test_only_data_and_preview_load_the_engines(azurite: Endpoints, vault: KeyVault) -> None:
    hub = "/hubs/imports"
    type_body = {
        "fields": [{"fieldName": "Id", "fieldType": "Edm.String"}],
        "strongIds": [{"strongIdName": "Main", "keyPropertyNames": ["Id"]}],
    }
    kpi = bodies.kpi(entityType="Profile", entityTypeName="Contact", function="Count", expression="*")
    light = [
        ("GET", "/health/ready", None, 200),
        ("GET", "/openapi.json", None, 200),
        ("GET", "/hubs", None, 200),
        ("PUT", hub, {}, 201),
        ("PUT", f"{hub}/profiles/Contact", type_body, 201),
        ("GET", f"{hub}/profiles", None, 200),
        ("PUT", f"{hub}/connectors/C1", {"connectorType": "None", "connectorProperties": {}}, 201),
        ("GET", f"{hub}/connectors?$orderby=created desc", None, 200),
        ("POST", f"{hub}/connectors/C1/test", None, 200),
        ("GET", f"{hub}/connectors/C1/mappings", None, 200),
        ("POST", f"{hub}/kpi/K2/reprocess", None, 404),
        ("POST", f"{hub}/connectors/C1/mappings/m1/run", None, 404),
        ("POST", f"{hub}/connectors/C1/suggest", {"blob": "c1", "rows": 0}, 400),
        ("POST", f"{hub}/connectors/C1/suggest", {"blob": "shop/a.csv"}, 409),
        ("PUT", f"{hub}/connectors/C1/mappings/m1", {}, 400),
        ("PUT", f"{hub}/kpi/K1", kpi, 201),
        ("POST", f"{hub}/kpi/K1/reprocess", None, 202),
        ("GET", f"{hub}/runs", None, 200),
        ("GET", f"{hub}/runs/0", None, 404),
        ("GET", f"{hub}/data/Absent/1", None, 404),
        ("GET", "/nowhere", None, 404),
    ]
    requests = [(method, path, body) for method, path, body, _ in light]
    requests.append(("GET", f"{hub}/data/Contact", None))
    environment = {
        "AZURE_FUNCTIONS_ENVIRONMENT": "Development",
        "HUB_STORAGE": azurite.connection_string,
        "KEY_VAULT_URL": vault.url,
        "DEVELOPMENT_ENDPOINTS": called_on_loopback(azurite, vault.url),
        "PATH": "",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *HEAVY],
        input=json.dumps(requests),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environment,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [entry[2] for entry in found] == [*(status for *_, status in light), 200]
    assert {f"{method} {path}": heavy for method, path, _, heavy in found[:-1] if heavy} == {}
    assert "duckdb" in found[-1][3]


def test_the_app_chooses_the_allocator_before_anything_loads_arrow() -> None:
    program = "import function_app, pyarrow; print(pyarrow.default_memory_pool().backend_name)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["jemalloc"]
