"""Killed between any two steps and told again, the story ends as if nothing had happened."""

from pathlib import Path

import pytest

from infra.local.azurite import Endpoints
from shared.failpoints import FailPoint
from tests.crashes.matrix import WAYS, Way, differences, place_at
from tests.crashes.story import Kill
from tests.local_services import running_vault
from tests.thorough import THOROUGH, only_thorough

SOME = [FailPoint.ROWS_COMMITTED]
POINTS = list(FailPoint) if THOROUGH else SOME


@only_thorough  # where it is killed it has to come out the same
def test_the_story_undisturbed(azurite: Endpoints, tmp_path: Path) -> None:
    with running_vault(tmp_path, azurite) as vault:
        assert differences(place_at(azurite, vault.url, tmp_path), None, WAYS[0]) == {}


@pytest.mark.parametrize("way", WAYS if THOROUGH else WAYS[:1], ids=lambda way: way.name)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at(azurite: Endpoints, tmp_path: Path, point: FailPoint, way: Way) -> None:
    with running_vault(tmp_path, azurite) as vault:
        assert differences(place_at(azurite, vault.url, tmp_path), Kill(point), way) == {}
