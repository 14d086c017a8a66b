"""The record of runs on an Azurite, in a table of its own for each test."""

import itertools
import uuid

import pytest

from infra.local.azurite import Endpoints
from shared.ledger.runs import Runs
from shared.storage.tables import Table
from tests.ledger.sample_runs import CLOCK
from tests.local_services import account_of

_NUMBERS = itertools.count(1)


@pytest.fixture
def table(azurite: Endpoints) -> Table:
    return Table(account_of(azurite), f"runs{next(_NUMBERS)}x{uuid.uuid4().hex[:8]}")


@pytest.fixture
def runs(table: Table) -> Runs:
    return Runs(table, CLOCK)
