"""The host under test: the one that is named, else the stand-in of the local stack.

`CONFORMANCE_HOST` is its URL, `CONFORMANCE_STORAGE` the connection string of its storage (by default that of an Azurite
on its usual ports) and `CONFORMANCE_KEY` its master key, if it asks for keys; docs/functions-host.md says how to
start one.
"""

import os
from collections.abc import Iterator

import pytest

from infra.local.stack import RunningStack
from shared.storage.loopback import without_shorthand
from tests.host.host import Address, Host


@pytest.fixture(scope="session")
def address(request: pytest.FixtureRequest) -> Address:
    """Where the host is."""
    if url := os.environ.get("CONFORMANCE_HOST", "").strip():
        storage = os.environ.get("CONFORMANCE_STORAGE", "").strip() or "UseDevelopmentStorage=true"
        return Address(url, without_shorthand(storage), os.environ.get("CONFORMANCE_KEY", "").strip())
    stand_in: RunningStack = request.getfixturevalue("sample_stack")
    return Address(stand_in.stack.functions_url, stand_in.stack.storage_connection_string)


@pytest.fixture(scope="session")
def host(address: Address) -> Iterator[Host]:
    """The host, which nobody else uses meanwhile."""
    host = Host(address)
    host.empty_queues()
    yield host
    host.close()
