"""What the demo waits for before it prints its runs."""

import pytest

from infra.local.demo import under_way
from shared.domain.documents.run import RunState


@pytest.mark.parametrize("state", RunState)
def test_a_run_is_under_way_until_its_state_is_final(state: RunState) -> None:
    runs = [{"kind": "Ingest", "state": "Succeeded"}, {"kind": "Export", "state": state.value}]
    assert under_way(runs) == ([] if state.is_final else runs[1:])
