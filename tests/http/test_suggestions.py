"""Suggestions from real files: what is proposed is PUT as it stands, and takes in every row of the file."""

import gzip
import uuid
from dataclasses import dataclass
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from shared.app import Services
from shared.domain.run import Run
from shared.ingest.ingest_blob import ingest_blob
from shared.ingest.sweep import sweep_named
from tests.http import bodies
from tests.http.bodies import Body
from tests.http.conftest import Client


@dataclass(frozen=True)
class Landing:
    """A connector of a new hub, and a container that it reads."""

    client: Client
    services: Services
    hub: str
    container: ContainerClient

    @property
    def path(self) -> str:
        return f"{self.hub}/connectors/Files"

    def upload(self, path: str, content: str | bytes) -> str:
        """Uploads a blob; returns `container/path`."""
        data = content.encode() if isinstance(content, str) else content
        self.container.upload_blob(path, data, overwrite=True)
        return f"{self.container.container_name}/{path}"

    def ask(self, body: Any) -> Any:
        return self.client.post(f"{self.path}/suggest", body)

    def suggest(self, path: str, content: str | bytes, **options: Any) -> Body:
        answer = self.ask({"blob": self.upload(path, content), **options})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def take(self, suggestion: Body) -> Run:
        """PUTs both definitions as they are, and ingests what the mapping finds."""
        proposed, mapping = suggestion["type"], suggestion["mapping"]
        collection = "profiles" if proposed["entityType"] == "Profile" else "interactions"
        answer = self.client.put(f"{self.hub}/{collection}/{proposed['name']}", proposed["body"])
        assert answer.status_code == 201, answer.text
        answer = self.client.put(f"{self.path}/mappings/{mapping['name']}", mapping["body"])
        assert answer.status_code == 201, answer.text
        hub = self.hub.removeprefix("/hubs/")
        sweep_named(self.services, hub, "Files", mapping["name"])
        path = suggestion["blob"].split("/", maxsplit=1)[1]
        stored = next(
            run
            for run in self.client.get(f"{self.hub}/runs?mapping={mapping['name']}&$top=1000").json()["value"]
            if run["blob"]["path"] == path
        )
        ingest_blob(self.services, hub, stored["runId"], f"message-{uuid.uuid4()}")
        found = self.services.runs.get(hub, stored["runId"])
        assert found is not None
        return found.run

    def data(self, suggestion: Body) -> list[Body]:
        answer = self.client.get(f"{self.hub}/data/{suggestion['type']['name']}?$top=1000")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["value"])

    def check(self, suggestion: Body, rows: int) -> list[Body]:
        """What is proposed takes in every row, and the rows are there."""
        run = self.take(suggestion)
        assert (run.state.value, run.rows_ingested, run.rows_rejected, run.error) == ("Succeeded", rows, 0, None)
        found = self.data(suggestion)
        assert len(found) == rows
        return found


@pytest.fixture
def landing(
    client: Client, services: Services, hub: str, storage_secret_url: str, container: ContainerClient
) -> Landing:
    body = bodies.blob_connector(storage_secret_url)
    assert client.put(f"{hub}/connectors/Files", body).json()["state"] == "Ready"
    return Landing(client, services, hub, container)


def types(suggestion: Body) -> dict[str, str]:
    return {column["columnName"]: column["fieldType"].removeprefix("Edm.") for column in suggestion["columns"]}


def noted(suggestion: Body, word: str) -> str:
    found = [note for note in suggestion["notes"] if word in note]
    assert found, suggestion["notes"]
    return " | ".join(found)


CUSTOMERS = """customer_id,E-Mail,full name,born,points,balance,opted_in,zip,phone,joined,token
C1,a@example.org,Ann,1990-02-28,12,10.50,true,01099,+31201234,2026-01-31T10:00:00Z,0f8fad5b-d9cb-469f-a165-70867728950e
C2,b@example.org,"Bob, Jr.",1985-12-01,-3,0.5,FALSE,10117,+4930123,2026-02-01,7c9e6679-7425-40de-944b-e07fc1f90ae7
C3,,Ann,,4000000000,7,true,80331,,2026-02-01T23:59:59.25+01:00,
"""


def test_a_customer_file(landing: Landing) -> None:
    found = landing.suggest("crm/customers-2026-11-22.csv", CUSTOMERS)
    assert types(found) == {
        "customer_id": "String",
        "E-Mail": "String",
        "full name": "String",
        "born": "Date",
        "points": "Int64",
        "balance": "Decimal",
        "opted_in": "Boolean",
        "zip": "String",
        "phone": "String",
        "joined": "DateTimeOffset",
        "token": "Guid",
    }
    assert found["blob"] == f"{landing.container.container_name}/crm/customers-2026-11-22.csv"
    assert (found["rowsRead"], found["rejects"]) == (3, [])
    assert (found["type"]["entityType"], found["type"]["name"], found["mapping"]["name"]) == (
        "Profile",
        "Customers",
        "Customers",
    )
    assert found["type"]["body"]["strongIds"] == [{"strongIdName": "Main", "keyPropertyNames": ["CustomerId"]}]
    properties = found["mapping"]["body"]["mappingProperties"]
    assert properties["folderPath"] == f"{landing.container.container_name}/crm"
    assert properties["fileFilter"] == "customers-*.csv"
    assert "format" not in properties
    counts = {column["columnName"]: (column["distinct"], column["empty"]) for column in found["columns"]}
    assert (counts["customer_id"], counts["full name"], counts["E-Mail"]) == ((3, 0), (2, 0), (2, 1))
    assert "'zip'" in noted(found, "leading zeros")
    rows = {row["CustomerId"]: row for row in landing.check(found, 3)}
    assert rows["C3"]["Points"] == 4000000000
    assert (rows["C1"]["Zip"], rows["C2"]["FullName"], rows["C2"]["OptedIn"]) == ("01099", "Bob, Jr.", False)
