"""Storage that can be told to fail, for every test of this folder."""

import logging
from collections.abc import Iterator

import pytest

from infra.local.azurite import Endpoints
from tests.model.faulty_storage import FaultyStorage, faulty_storage


@pytest.fixture
def storage(azurite: Endpoints) -> Iterator[FaultyStorage]:
    # What the app logs of faults that were made is no news, and there is much of it.
    logging.disable(logging.CRITICAL)
    with faulty_storage(azurite) as faulty:
        yield faulty
    logging.disable(logging.NOTSET)
