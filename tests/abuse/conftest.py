"""A hub whose owner means no good, on the whole local stack, and what its requests cost."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.state_dir import Stack
from tests.abuse.spending import Spending
from tests.acceptance.hub import Hub


@pytest.fixture(scope="module")
def hub(stack: Stack) -> Iterator[Hub]:
    """A hub with a type of a few rows, so that a request finds something to harm; the tries of a file share it."""
    with Hub.created(stack, f"Abuse{uuid.uuid4().hex[:8]}") as hub:
        hub.profile_type()
        hub.mapping("Customers", {"Id": "id", "City": "city", "Points": "points"})
        etag = hub.upload("first.csv", "id,city,points\nA,Utrecht,1\nB,Paris,2\nC,Lima,3\n")
        assert hub.run_of("first.csv", etag)["state"] == "Succeeded"
        # What is loaded with the first question is nobody's expense.
        assert len(hub.data("Customer")) == 3
        yield hub


@pytest.fixture
def spending(stack: Stack) -> Spending:
    """What the processes of the app spend."""
    return Spending(int((Path(stack.log_file).parent / "functions.pid").read_text(encoding="ascii")))
