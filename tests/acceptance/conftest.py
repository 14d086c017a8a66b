"""A hub of its own for each test, seen only through HTTP and storage."""

import itertools
from collections.abc import Iterator

import pytest

from infra.local.state_dir import Stack
from tests.acceptance.hub import Hub

_NUMBERS = itertools.count(1)


@pytest.fixture
def hub(stack: Stack) -> Iterator[Hub]:
    """An empty hub with a landing container and a partner's container."""
    with Hub.created(stack, f"Hub{next(_NUMBERS)}") as hub:
        yield hub
