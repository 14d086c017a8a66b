"""A connector whose files are asked about, and what is proposed carried out."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from azure.storage.blob import ContainerClient

from shared.app import Services
from shared.arrivals.sweep import carry_out_backfill, request_backfill
from shared.domain.documents.run import Run
from shared.messages.ingest import carry_out_run
from tests.http.bodies import Body

if TYPE_CHECKING:
    from tests.http.conftest import Client


@dataclass(frozen=True)
class Landing:
    """A connector of a new hub, and a container that it reads."""

    client: "Client"
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
        backfill = request_backfill(self.services, self.services.definitions.mapping(hub, "Files", mapping["name"]))
        carry_out_backfill(self.services, hub, "Files", mapping["name"], backfill.number)
        path = suggestion["blob"].split("/", maxsplit=1)[1]
        stored = next(
            run
            for run in self.client.get(f"{self.hub}/runs?mapping={mapping['name']}&$top=1000").json()["value"]
            if run["blob"]["path"] == path
        )
        carry_out_run(self.services, hub, stored["runId"], f"message-{uuid.uuid4()}")
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


def types(suggestion: Body) -> dict[str, str]:
    return {column["columnName"]: column["fieldType"].removeprefix("Edm.") for column in suggestion["columns"]}


def noted(suggestion: Body, word: str) -> str:
    found = [note for note in suggestion["notes"] if word in note]
    assert found, suggestion["notes"]
    return " | ".join(found)
