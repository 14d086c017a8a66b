"""Marked secrets are planted wherever one can come in, and looked for wherever one could come out."""

import base64
import json
import logging
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from pydantic import SecretStr

from infra.local.azurite import ACCOUNT, Endpoints
from infra.local.stack import running_azurite
from shared.clock import Clock
from shared.connectors.kinds import connector_from_request
from shared.deadline import deadline
from shared.definitions.definitions import Definitions
from shared.domain.documents.hubs import Hub
from shared.domain.documents.mappings import Mapping
from shared.domain.documents.run import Run, RunError, RunKind
from shared.domain.errors import HubError
from shared.ledger.runs import Runs
from shared.ledger.stored_run import StoredRun
from shared.settings import Settings
from shared.storage.blob.blobs import BlobContainer
from shared.storage.blob.destination import DestinationContainer
from shared.storage.key_vault import Vaults
from shared.storage.queues import Queue
from shared.storage.tables import Table
from tests.definitions.samples import crm, files, mapping, outbound, profile
from tests.fault_proxy import Answer, CutAnswer, FaultProxy, LoseAnswer, running_proxy
from tests.local_services import STORAGE_SECRET, account_of, container_sas, development, running_vault

MARKERS = {name: f"CANARY{name}8c1f" for name in ("token", "connection", "deep", "list", "text", "query", "sas", "own")}
SOURCE_KEY = base64.b64encode(b"CANARY-source-key").decode()


class Witness:
    """Everything that was said: exceptions, answers and representations."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def hears(self, call: Callable[[], object]) -> None:
        try:
            result = call()
            self.said += [repr(result), str(result)]
        except HubError as error:
            self.said += [str(error), repr(error), repr(error.details), "".join(traceback.format_exception(error))]
        except ValueError as error:
            # pydantic's own, which the HTTP layer never shows as it is
            self.said.append(str(error).partition("input_value")[0])


def spellings(marker: str) -> list[bytes]:
    return [
        marker.encode(),
        quote(marker, safe="").encode(),
        base64.b64encode(marker.encode()).rstrip(b"=")[:-2],
        marker.encode("utf-16-le"),
        json.dumps(marker).strip('"').encode(),
    ]


def exercise(
    definitions: Definitions, settings: Settings, endpoints: Endpoints, vault_url: str, said: Witness
) -> list[str]:
    """Puts, reads, tests and breaks connectors with marked secrets; returns the URLs that were used."""
    hub = "Contoso"
    definitions.put_hub(hub, Hub())
    definitions.put_entity_type(hub, "Customer", profile())
    BlobContainer(account_of(endpoints), "partner").ensure()
    good = container_sas(endpoints, "partner")
    forged = f"{good.partition('sig=')[0]}sig={MARKERS['sas']}"

    secrets = {
        "accessToken": MARKERS["token"],
        "connectionString": f"Url=x; Password={MARKERS['connection']};",
        "deep": {"apiUrl": f"https://x?SIG={MARKERS['deep']}"},
        "many": [{"accessToken": [MARKERS["list"]]}],
    }
    said.hears(lambda: definitions.connectors.put(hub, "Crm", crm(**secrets)))
    said.hears(lambda: definitions.connectors.put(hub, "Crm", definitions.connector(hub, "Crm").document))
    said.hears(lambda: definitions.connectors.put(hub, "Partner", outbound(good)))
    said.hears(lambda: definitions.connectors.test(hub, "Partner"))
    said.hears(lambda: definitions.connectors.destinations.sas(definitions.connector(hub, "Partner")))
    said.hears(lambda: definitions.connectors.put(hub, "Forged", outbound(forged)))
    said.hears(lambda: definitions.connectors.test(hub, "Forged"))

    key = f"AccountName={ACCOUNT};AccountKey={SOURCE_KEY};BlobEndpoint={endpoints.blob}"
    Vaults(settings).set("wrong-key", key)
    vault_secret = type("Vault", (), {"url": vault_url})()

    def use_key(secret: str) -> None:
        name = f"Files_{secret[:5]}"
        said.hears(lambda: definitions.connectors.put(hub, name, files(vault_secret, secret)))
        said.hears(lambda: definitions.connectors.source_account(definitions.connector(hub, name)))

    for secret in ("wrong-key", STORAGE_SECRET):
        use_key(secret)

    refused = {
        "description": f"AccountKey={MARKERS['text']}",
        "displayName": f"https://x?sig={MARKERS['text']}",
        "connectorProperties": {"entityList": [{"entityType": MARKERS["text"]}], "outputBlobSASUri": forged + "&sr=b"},
    }
    said.hears(
        lambda: definitions.connectors.put(hub, "No", connector_from_request({"connectorType": "Outbound"} | refused))
    )
    said.hears(lambda: definitions.connectors.put(hub, "No", outbound(forged.replace("127.0.0.1", "evil.example"))))
    said.hears(lambda: definitions.connectors.put(hub, "No", crm(**{f"Password={MARKERS['own']}": 1})))
    said.hears(lambda: definitions.put_hub("Other", Hub(tags={"a": f"sig={MARKERS['text']}"})))
    signed: Mapping = mapping(folderPath=f"https://{ACCOUNT}.blob.core.windows.net/inbox?sig={MARKERS['query']}")
    said.hears(lambda: definitions.put_mapping(hub, "Files_stora", "Signed", signed))

    for stored in definitions.connectors.all(hub):
        said.said += [repr(stored), json.dumps(stored.document.to_json()), json.dumps(dict(stored.internal))]
    said.said += [repr(definitions), repr(vars(definitions)), repr(settings)]
    write_records(endpoints, said)
    break_storage(endpoints, good, forged, said)
    return [good, forged]


def write_records(endpoints: Endpoints, said: Witness) -> None:
    """A run, and a message, with what was said so far: it is what would be recorded."""
    account = account_of(endpoints)
    error = RunError(code="X", message="\n".join(said.said)[-4000:])
    run = Run(run_id="r1", kind=RunKind.EXPORT, queued_at=datetime.now(UTC), error=error)
    runs = Runs(Table(account, "runs"), Clock(Settings()))
    runs.create(StoredRun(hub="Contoso", run=run))
    said.hears(lambda: runs.get("Contoso", "r1"))
    Queue(account, "export").send({"hub": "Contoso", "runId": "r1"})


def break_storage(endpoints: Endpoints, good: str, forged: str, said: Witness) -> None:
    """Everything that can fail with a signature in hand."""
    settings = Settings(azure_functions_environment="Development")

    def with_proxy(url: str, break_it: Callable[[FaultProxy], None]) -> None:
        with running_proxy(endpoints.blob) as proxy:
            break_it(proxy)
            destination = DestinationContainer(SecretStr(url.replace(endpoints.blob, proxy.endpoint)), settings)
            said.hears(lambda: list(destination.list()))
            said.hears(lambda: destination.upload_blocks("a.csv", [b"1"], {}, "text/csv"))
            said.hears(lambda: destination.upload_bytes("b.json", b"1", "application/json", {}))
            said.hears(lambda: destination.set_metadata("b.json", {}, "0x1"))
            said.hears(lambda: destination.delete("a.csv", "0x1"))
            said.said += [repr(destination), repr(vars(destination)), repr(destination.sas)]

    def fail_with(answer: Answer) -> Callable[[FaultProxy], None]:
        return lambda proxy: setattr(proxy, "plan", lambda _: answer)

    with deadline(0):  # nothing is asked twice
        for url in (good, forged):
            for status in (400, 403, 404, 409, 412, 429):
                with_proxy(url, fail_with(Answer(status, "SomeCode")))
    with_proxy(good, lambda proxy: proxy.break_once(LoseAnswer(), lambda _: True))
    with_proxy(good, lambda proxy: proxy.break_once(CutAnswer(3), lambda _: True))
    with running_proxy(endpoints.blob) as gone:
        gone_url = good.replace(endpoints.blob, gone.endpoint)
    said.hears(lambda: list(DestinationContainer(SecretStr(gone_url), settings).list()))


@pytest.mark.lengthy
def test_no_marked_secret_comes_out_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = Witness()
    with (
        caplog.at_level(logging.DEBUG),
        running_azurite(tmp_path / "azurite") as endpoints,
        running_vault(tmp_path / "vault", endpoints) as vault,
    ):
        settings = development(endpoints, vault.url)
        definitions = Definitions(
            Table(account_of(endpoints), "definitions"), Vaults(settings), Clock(settings), settings
        )
        signed = exercise(definitions, settings, endpoints, vault.url, said)
    signatures = [parse_qs(urlsplit(url).query)["sig"][0] for url in signed]
    stored = {path: path.read_bytes() for path in (tmp_path / "azurite").rglob("*") if path.is_file()}
    # The witnesses must have seen enough for their silence to count.
    assert all(word in b"".join(stored.values()) for word in (b"Files_stora", b"Forged", b"accessToken", b"is denied"))
    assert any(record.name == "urllib3.connectionpool" and "sig=" in record.getMessage() for record in caplog.records)
    assert len(said.said) > 150
    logged = "\n".join(f"{record.getMessage()} {record.exc_text or ''}" for record in caplog.records)

    for marker in [*MARKERS.values(), *signatures, SOURCE_KEY]:
        for spelling in spellings(marker):
            assert [str(path) for path, content in stored.items() if spelling in content] == []
            assert spelling not in logged.encode("utf-8", "replace")
            assert spelling not in "\n".join(said.said).encode("utf-8", "replace")
