"""Upkeep of everything: what deleted types left behind goes, and nothing else ever does."""

import logging
import uuid
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import pytest

from infra.local.azurite import Endpoints
from shared.app import Services
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.documents.run import Run, RunKind
from shared.domain.errors import HubError
from shared.domain.own_names import rejects_path, run_files_of
from shared.lake.container.store import Lake
from shared.ledger.stored_run import StoredRun
from shared.maintain import delete_type, maintain_all, tables_of
from shared.settings import Settings
from shared.storage.tables import Table
from tests.definitions.places.claims import damage
from tests.definitions.samples import kpi
from tests.fault_proxy import Answer, FaultProxy, running_proxy
from tests.local_services import development

HUB = "Contoso"
BODY: dict[str, list[dict[str, object]]] = {
    "fields": [{"fieldName": "Id", "fieldType": "Edm.String"}],
    "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["Id"]}],
}


class OwnServices(Services):
    """The app's services, with a table and a lake that no other test uses."""

    def __init__(self, settings: Settings, prefix: str) -> None:
        super().__init__(settings)
        self._prefix = prefix

    @cached_property
    def lake(self) -> Lake:
        return Lake(self.account, self.settings, container=f"{self._prefix}-lake")

    def _table(self, name: str) -> Table:
        return Table(self.account, f"{self._prefix}{name}")


@pytest.fixture
def proxy(azurite: Endpoints) -> Iterator[FaultProxy]:
    with running_proxy(azurite.table) as proxy:
        yield proxy


@pytest.fixture
def clock_file(tmp_path: Path) -> Path:
    return tmp_path / "clock"


@pytest.fixture
def services(azurite: Endpoints, proxy: FaultProxy, clock_file: Path) -> OwnServices:
    port = int(proxy.endpoint.rpartition(":")[2].split("/")[0])
    endpoints = Endpoints(azurite.blob_port, azurite.queue_port, port)
    services = OwnServices(development(endpoints, clock_file=clock_file), f"t{uuid.uuid4().hex[:10]}")
    services.definitions.put_hub(HUB, Hub.from_request({}))
    return services


def put(services: Services, name: str = "Customer") -> str:
    """A type with a blob where its tables are; its path."""
    path = services.definitions.put_entity_type(HUB, name, ProfileType.from_request(BODY))[0].document.lake_path
    write(services, path)
    return path


def write(services: Services, path: str) -> None:
    services.lake.blobs.upload_bytes(f"{path}/late.parquet", b"late")


def lying(services: Services) -> set[str]:
    return {blob.path.rpartition("/")[0] for blob in services.lake.blobs.list()}


def test_what_a_deleted_type_left_goes_and_nothing_else_does(services: OwnServices) -> None:
    gone = [put(services)]
    delete_type(services, HUB, EntityKind.PROFILE, "Customer", Conditions())
    gone.append(put(services))
    services.definitions.delete_entity_type(HUB, EntityKind.PROFILE, "Customer")  # and there it was interrupted
    write(services, gone[0])  # by somebody who was late
    kept = {put(services), put(services, "Customer2"), "contoso/profiles/theirs", "theirs", "fabrikam/kpis/total"}
    for path in kept:
        write(services, path)
    assert lying(services) == kept | set(gone)
    for _ in range(2):
        maintain_all(services)
        assert lying(services) == kept


def test_what_a_hub_that_is_gone_left_goes(services: OwnServices) -> None:
    path = put(services)
    services.definitions.delete_entity_type(HUB, EntityKind.PROFILE, "Customer")
    services.definitions.delete_hub(HUB)
    assert lying(services) == {path}
    maintain_all(services)
    assert lying(services) == set()


def test_the_runs_of_a_hub_that_is_gone_go_and_no_others(services: OwnServices) -> None:
    """As earlier releases left them; of a hub that nobody has deleted none go, though its definition be lost."""
    gone, lost, kept = (f"h{uuid.uuid4().hex[:10]}" for _ in range(3))
    for name in (gone, kept):
        services.definitions.put_hub(name, Hub.from_request({}))
    for name in (gone, lost, kept):
        run = Run(run_id=uuid.uuid4().hex, kind=RunKind.INGEST, queued_at=services.clock.now())
        assert services.runs.create(StoredRun(name, run))
        services.run_files.upload_bytes(rejects_path(name, run.run_id, "first"), b"line,column,code,message,raw\n")
    services.definitions.delete_hub(gone)
    maintain_all(services)
    left = {name: len(services.runs.page(name)[0]) for name in (gone, lost, kept)}
    files = {name: len(list(services.run_files.list(run_files_of(name)))) for name in (gone, lost, kept)}
    assert left == files == {gone: 0, lost: 1, kept: 1}


def test_a_hub_that_is_gone_is_looked_after_for_a_week(services: OwnServices, clock_file: Path) -> None:
    """What somebody writes behind a deletion goes; later no night asks for the hub any more, however many have gone."""
    name = f"h{uuid.uuid4().hex[:10]}"

    def left_of(late: bool) -> int:
        if late:
            run = Run(run_id=uuid.uuid4().hex, kind=RunKind.INGEST, queued_at=services.clock.now())
            assert services.runs.create(StoredRun(name, run))
        maintain_all(services)
        return len(services.runs.page(name)[0])

    def a_night_later(days: int) -> None:
        clock_file.write_text((services.clock.now() + timedelta(days=days)).isoformat())

    services.definitions.put_hub(name, Hub.from_request({}))
    services.definitions.delete_hub(name)
    assert left_of(late=False) == 0
    a_night_later(6)
    assert left_of(late=True) == 0
    a_night_later(2)
    assert left_of(late=True) == 1
    services.definitions.put_hub(name, Hub.from_request({}))  # as nobody's request does, with what was left
    services.definitions.delete_hub(name)
    assert left_of(late=False) == 0


def test_a_deletion_goes_on_where_it_was_interrupted(services: OwnServices) -> None:
    path = put(services)
    services.definitions.delete_entity_type(HUB, EntityKind.PROFILE, "Customer")
    newer = put(services)
    delete_type(services, HUB, EntityKind.PROFILE, "Customer", Conditions())
    assert lying(services) == {path}
    delete_type(services, HUB, EntityKind.PROFILE, "Customer", Conditions())
    assert lying(services) == set()
    assert put(services) not in {path, newer}


def test_nothing_goes_where_definitions_are_lost_or_cannot_be_read(
    services: OwnServices, azurite: Endpoints, proxy: FaultProxy, caplog: pytest.LogCaptureFixture
) -> None:
    paths = {put(services), put(services, "Other")}
    services.definitions.delete_entity_type(HUB, EntityKind.PROFILE, "Other")
    proxy.plan = lambda _: Answer(403, "AuthorizationFailure")
    with pytest.raises(HubError):
        maintain_all(services)
    proxy.plan = lambda request: Answer(403, "AuthorizationFailure") if "path" in request.target else None
    with caplog.at_level(logging.ERROR):
        maintain_all(services)
    assert "removing what deleted types left failed" in caplog.text
    assert lying(services) == paths

    class Restored(OwnServices):
        """Their lake, with definitions that know nothing of it."""

        def _table(self, name: str) -> Table:
            return Table(self.account, f"empty{self._prefix}{name}")

    maintain_all(Restored(services.settings, services._prefix))
    assert lying(services) == paths


@pytest.mark.parametrize(
    ("key", "others"),
    [("profile|broken", ["Customer", "BrokenSum", "Sum"]), ("kpi|brokensum", ["Broken", "Customer", "Sum"])],
)
def test_a_definition_that_cannot_be_read_holds_up_no_other(
    services: OwnServices, key: str, others: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    fields = [*BODY["fields"], {"fieldName": "Age", "fieldType": "Edm.Int32"}]
    for name in ("Customer", "Broken"):
        services.definitions.put_entity_type(HUB, name, ProfileType.from_request({**BODY, "fields": fields}))
    for name in ("Sum", "BrokenSum"):
        services.definitions.put_kpi(HUB, name, kpi())
    damage(services.definitions, HUB, key)
    assert [table.name for table in tables_of(services, HUB)] == others
    assert "DefinitionUnreadable" in caplog.text
