"""Each type and KPI has a path in the lake that no other ever had: what is late for a deleted one finds no new one."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.local.azurite import Endpoints
from shared.definitions.definitions import Definitions
from shared.domain.documents.entity_types import EntityKind, ProfileType
from shared.domain.documents.hubs import Hub
from shared.domain.errors import (
    ClaimLostError,
    CommitConflictError,
    FatalError,
    GoneError,
    HubError,
    SkippedError,
    UnavailableError,
)
from shared.storage.blob.blobs import BlobContainer
from shared.storage.tables import Table
from tests.definitions.samples import interaction, kpi, profile
from tests.local_services import account_of

PROFILE, INTERACTION = EntityKind.PROFILE, EntityKind.INTERACTION
PLAIN = "contoso/profiles/customer"
OWN = re.compile(r"-[0-9a-f]{12}")


def made(definitions: Definitions, hub: str = "Contoso", name: str = "Customer") -> str:
    return definitions.put_entity_type(hub, name, profile())[0].document.lake_path


def made_anew(definitions: Definitions, hub: str = "Contoso") -> str:
    definitions.delete_entity_type(hub, PROFILE, "Customer")
    return made(definitions, hub)


def test_the_first_of_a_name_has_the_plain_path_and_each_later_one_its_own(definitions: Definitions, hub: str) -> None:
    paths = [made(definitions), *(made_anew(definitions) for _ in range(3))]
    assert paths[0] == PLAIN
    assert all(path.startswith(PLAIN) and OWN.fullmatch(path.removeprefix(PLAIN)) for path in paths[1:])
    assert len(set(paths)) == 4
    assert definitions.entity_type(hub, PROFILE, "customer").document.lake_path == paths[-1]
    assert sorted(definitions.retired_paths()) == sorted(paths[:-1])


def test_nothing_is_found_again_at_a_path_of_which_nothing_is_known(
    definitions: Definitions, hub: str, azurite: Endpoints
) -> None:
    """What an earlier release did not get to delete, or whose definitions were lost, is no new type's."""
    lake = BlobContainer(account_of(azurite), "lake")
    lake.ensure()
    left = f"{PLAIN}left/changes/_delta_log/00000000000000000000.json"
    lake.upload_bytes(left, b"{}")
    paths = [made(definitions, name="CustomerLeft"), made(definitions, name="Customer")]
    assert OWN.fullmatch(paths[0].removeprefix(f"{PLAIN}left"))
    assert paths[1] == PLAIN
    assert list(definitions.retired_paths()) == [], "upkeep leaves it alone: nobody can say whose it is"
    definitions.delete_entity_type(hub, PROFILE, "CustomerLeft")
    assert list(definitions.retired_paths()) == paths[:1]
    lake.delete(left)


def test_names_and_kinds_do_not_share_a_path(definitions: Definitions, hub: str) -> None:
    made(definitions)
    definitions.delete_entity_type(hub, PROFILE, "Customer")
    kinds = [
        made(definitions, name="Customer1"),
        definitions.put_entity_type(hub, "Customer", interaction())[0].document.lake_path,
        definitions.put_kpi(hub, "Customer", kpi(entityTypeName="Customer1"))[0].document.lake_path,
    ]
    assert kinds == ["contoso/profiles/customer1", "contoso/interactions/customer", "contoso/kpis/customer"]
    definitions.delete_kpi(hub, "Customer")
    second = definitions.put_kpi(hub, "CUSTOMER", kpi(entityTypeName="Customer1"))[0].document.lake_path
    assert OWN.fullmatch(second.removeprefix("contoso/kpis/customer"))


def test_a_hub_made_anew_gives_away_no_path_twice(definitions: Definitions, hub: str) -> None:
    first = made(definitions)
    definitions.delete_entity_type(hub, PROFILE, "Customer")
    definitions.delete_hub(hub)
    assert list(definitions.retired_paths()) == [first]
    definitions.put_hub("CONTOSO", Hub.from_request({}))
    assert made(definitions, "contoso") != first


def test_a_type_keeps_its_path_whatever_is_put(definitions: Definitions, hub: str) -> None:
    made(definitions)
    path = made_anew(definitions)
    forged = ProfileType.from_request({**profile().to_json(), "LakePath": "fabrikam/profiles/customer"})
    stored, created = definitions.put_entity_type(hub, "CUSTOMER", forged)
    assert (stored.document.lake_path, created) == (path, False)
    assert stored.document.to_json()["lakePath"] == path


def test_what_an_earlier_release_has_stored_lies_at_the_plain_path(
    definitions: Definitions, hub: str, table: Table
) -> None:
    made(definitions)
    definitions.put_kpi(hub, "Ages", kpi())
    for key in ("profile|customer", "kpi|ages"):
        row = table.get("contoso", key)
        assert row is not None
        document = json.loads(row["json0"])
        del document["lakePath"]
        table.upsert({**row, "json0": json.dumps(document)})
    for path in (PLAIN, "contoso/kpis/ages"):
        assert table.delete("contoso", f"path|{path.replace('/', '|')}")
    assert definitions.entity_type(hub, PROFILE, "Customer").document.lake_path == PLAIN
    assert definitions.kpi(hub, "Ages").document.lake_path == "contoso/kpis/ages"
    assert list(definitions.retired_paths()) == []

    assert definitions.delete_kpi(hub, "Ages") == ["contoso/kpis/ages"]
    assert made_anew(definitions) != PLAIN
    assert sorted(definitions.retired_paths()) == ["contoso/kpis/ages", PLAIN]


def test_a_deletion_says_what_may_go_also_when_it_is_repeated(definitions: Definitions, hub: str) -> None:
    paths = [made(definitions), made_anew(definitions)]
    made(definitions, name="Customer2")
    definitions.delete_entity_type(hub, PROFILE, "Customer2")
    assert definitions.delete_entity_type(hub, PROFILE, "Customer") == paths[1:]
    assert sorted(definitions.delete_entity_type(hub, PROFILE, "customer")) == sorted(paths)
    assert definitions.delete_entity_type(hub, INTERACTION, "Customer") == []


def test_who_creates_at_the_same_time_gets_no_path_twice(definitions: Definitions, hub: str) -> None:
    made(definitions)

    def churn(_: int) -> set[str]:
        return {made_anew(definitions) for _ in range(4)}

    with ThreadPoolExecutor(3) as pool:
        seen = set().union(*pool.map(churn, range(3)))
    retired = list(definitions.retired_paths())
    assert len(retired) == len(set(retired))
    assert seen <= {*retired, definitions.entity_type(hub, PROFILE, "Customer").document.lake_path}


def leave(definitions: Definitions) -> None:
    definitions.put_kpi("Contoso", "Ages", kpi(unit="a"))


def delete_the_kpi(definitions: Definitions) -> None:
    definitions.delete_kpi("Contoso", "Ages")


def make_the_kpi_anew(definitions: Definitions) -> None:
    delete_the_kpi(definitions)
    definitions.put_kpi("Contoso", "Ages", kpi())


def make_all_anew(definitions: Definitions) -> None:
    delete_the_kpi(definitions)
    made_anew(definitions)
    definitions.put_kpi("Contoso", "Ages", kpi())


DAMAGED = FatalError("TableDamaged", "x")


@pytest.mark.parametrize(
    ("meanwhile", "failed", "raised"),
    [
        (leave, DAMAGED, FatalError),
        (leave, UnavailableError("x", "x"), UnavailableError),
        (delete_the_kpi, DAMAGED, GoneError),
        (make_the_kpi_anew, CommitConflictError("x", "x"), GoneError),
        (make_all_anew, UnavailableError("x", "x"), GoneError),
        # These say themselves what is to be done.
        (make_all_anew, ClaimLostError("x", "x"), ClaimLostError),
        (make_all_anew, SkippedError("x", "x"), SkippedError),
    ],
)
def test_what_fails_over_a_definition_that_is_gone_says_so(
    definitions: Definitions, hub: str, meanwhile: Callable[[Definitions], None], failed: HubError, raised: type
) -> None:
    needed = definitions.put_entity_type(hub, "Customer", profile())[0], definitions.put_kpi(hub, "Ages", kpi())[0]

    def work() -> None:
        with definitions.while_there(hub, *needed):
            meanwhile(definitions)
            raise failed

    with pytest.raises(HubError) as caught:
        work()
    assert type(caught.value) is raised
