"""Nights too short for the upkeep of all tables: each table has its turn, and what keeps one readable comes first."""

import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from math import ceil
from pathlib import Path
from urllib.parse import unquote

import pytest

from infra.local.azurite import Endpoints
from shared import hub_rotation
from shared.app import Services
from shared.deadline import WORK_S, deadline
from shared.definitions.store.definition_store import Conditions
from shared.domain.documents.entity_types import EntityKind, EntityType, InteractionType, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.own_names import TABLE_RUNS
from shared.lake.container.store import Lake
from shared.lake.log.tables import open_snapshot
from shared.lake.paths import changes_path, states_path
from shared.lake.states.state_rows import APP_REFRESH
from shared.maintain import delete_type, maintain_all
from shared.settings import Settings
from shared.storage.tables import Table
from tests.fault_proxy import FaultProxy, Request, running_proxy
from tests.lake.given import ingest
from tests.local_services import account_of, development
from tests.passing_time import PassingTime

NOON = datetime(2026, 11, 22, 12, 7, tzinfo=UTC)
UPKEEP_S = 10.0
FIELDS = [{"fieldName": "Id", "fieldType": "Edm.String"}, {"fieldName": "At", "fieldType": "Edm.DateTimeOffset"}]
PROFILE = {"fields": FIELDS, "strongIds": [{"strongIdName": "ById", "keyPropertyNames": ["Id"]}]}
INTERACTION = {"fields": FIELDS, "timestampFieldName": "At", "idPropertyNames": ["Id"]}


class Nights(Services):
    """The app's services with tables and a lake of their own; to open the tables of a type takes ten seconds.

    Attributes:
        reached: paths of the types whose tables were opened this night, in order.
    """

    def __init__(self, settings: Settings, azurite: Endpoints, proxy: FaultProxy, passing: PassingTime) -> None:
        super().__init__(settings)
        self.reached: list[str] = []
        self._passed = timedelta()
        self._paths: list[str] = []
        self._prefix = f"t{uuid.uuid4().hex[:10]}"
        self._through_proxy = account_of(azurite, blob=proxy.endpoint)
        self._passing = passing
        proxy.plan = self._see

    @cached_property
    def lake(self) -> Lake:
        return Lake(self._through_proxy, self.settings, container=f"{self._prefix}-lake")

    def hub(self, name: str, *, interactions: int = 0, profiles: int = 0) -> list[EntityType]:
        self.definitions.put_hub(name, Hub.from_request({}))
        types: list[EntityType] = []
        for number in range(interactions):
            body = InteractionType.from_request({**INTERACTION, "apiEntitySetName": f"Visit{number}s"})
            types.append(self.definitions.put_entity_type(name, f"Visit{number}", body)[0].document)
        for number in range(profiles):
            profile = ProfileType.from_request({**PROFILE, "apiEntitySetName": f"Person{number}s"})
            types.append(self.definitions.put_entity_type(name, f"Person{number}", profile)[0].document)
        self._paths += [entity_type.lake_path for entity_type in types]
        return types

    def night(self, upkeeps: int, days: int = 1) -> list[str]:
        """So many days later there is a night with time for so many upkeeps; the paths of the types it reached."""
        self.reached = []
        self._passed += timedelta(days=days)
        assert self.settings.clock_file
        self.settings.clock_file.write_text((NOON + self._passed).isoformat())
        with deadline(WORK_S / 2 + UPKEEP_S * (upkeeps - 0.5)):
            maintain_all(self)
        assert len(self.reached) <= upkeeps
        return self.reached

    def noted(self) -> int:
        """Of how many tables it is noted when their upkeep was."""
        return len(list(self._table(TABLE_RUNS).query("PartitionKey eq @upkeep", {"upkeep": "|upkeep"})))

    def _table(self, name: str) -> Table:
        return Table(self.account, f"{self._prefix}{name}")

    def _see(self, request: Request) -> None:
        target = unquote(request.target)
        for path in self._paths:
            if f"{path}/" in target and path not in self.reached[-1:]:
                self.reached.append(path)
                self._passing.pauses.append(UPKEEP_S)


@pytest.fixture
def nights(azurite: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nights]:
    """A turn of a hub is the upkeep of one table."""
    monkeypatch.setattr(hub_rotation, "SLICE_S", 0.0)
    with running_proxy(azurite.blob) as proxy:
        yield Nights(development(azurite, clock_file=tmp_path / "clock"), azurite, proxy, PassingTime(monkeypatch))


@pytest.mark.parametrize(("hubs", "tables", "upkeeps"), [(1, 5, 2), (3, 2, 1), (4, 2, 3)], ids=str)
def test_every_table_is_reached(nights: Nights, hubs: int, tables: int, upkeeps: int) -> None:
    types = [nights.hub(f"Hub{number}", interactions=tables) for number in range(hubs)]
    paths = {entity_type.lake_path for of_hub in types for entity_type in of_hub}
    bound = ceil(len(paths) / upkeeps) + 1
    for _ in range(2):
        reached = Counter(path for _ in range(bound) for path in nights.night(upkeeps))
        assert set(reached) == paths
        assert max(reached.values()) - min(reached.values()) <= 2, "none has much more than its share"


def test_a_hub_with_many_tables_takes_no_turns_of_the_others(nights: Nights) -> None:
    many, few = nights.hub("Many", interactions=8), nights.hub("Few", interactions=1)
    for _ in range(3):
        assert few[0].lake_path in nights.night(2)
    reached = {path for _ in range(len(many)) for path in nights.night(2)}
    assert reached == {entity_type.lake_path for entity_type in (*many, *few)}


def is_refreshed(lake: Lake, profile: EntityType) -> bool:
    changes, states = open_snapshot(lake, changes_path(profile)), open_snapshot(lake, states_path(profile))
    return changes is not None and states is not None and states.transaction(APP_REFRESH) == changes.version


def test_no_refresh_waits_for_the_upkeep_of_others(nights: Nights, tmp_path: Path) -> None:
    """A quarter of the 29 days that a log keeps its commits is the longest, though six tables are before in line."""
    profiles = nights.hub("Contoso", profiles=2)
    nights.night(9)
    for profile in profiles:
        ingest(nights.lake, profile, [{"_key": "a", "Id": "a"}], tmp_path)
    others = {entity_type.lake_path for entity_type in nights.hub("Contoso", interactions=6)}
    first = nights.night(2, days=4)
    assert set(first) < others
    assert set(nights.night(2, days=4)) == {profile.lake_path for profile in profiles}
    assert all(is_refreshed(nights.lake, profile) for profile in profiles)
    assert {*first, *nights.night(2), *nights.night(2)} == others


def test_what_is_noted_goes_with_its_type(nights: Nights) -> None:
    gone, stays = nights.hub("Contoso", interactions=2)
    nights.hub("Fabrikam", interactions=1)
    nights.night(9)
    assert nights.noted() == 3
    delete_type(nights, "Contoso", EntityKind.INTERACTION, gone.type_name, Conditions())
    delete_type(nights, "Fabrikam", EntityKind.INTERACTION, "Visit0", Conditions())
    nights.definitions.delete_hub("Fabrikam")
    assert nights.night(9) == [stays.lake_path]
    assert nights.noted() == 1


def test_a_table_whose_upkeep_fails_keeps_none_from_its_turn(nights: Nights) -> None:
    broken, *others = nights.hub("Contoso", interactions=4)
    nights.lake.blobs.upload_bytes(f"{broken.lake_path}/changes/_delta_log/00000000000000000000.json", b"garbage\n")
    assert {path for _ in range(5) for path in nights.night(1)} >= {other.lake_path for other in others}
