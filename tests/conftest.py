"""What every test may ask for: a real Azurite, or the whole local stack, one per worker process."""

import os
import random
from collections.abc import Iterator

import pytest
from hypothesis import settings

from infra.local.azurite import Endpoints
from infra.local.settings import bypass_proxy
from infra.local.stack import RunningStack, running_azurite, running_stack
from infra.local.state_dir import Stack
from shared.failpoints import FailPoint, arm
from tests.fault_proxy import PORTS
from tests.host.host import SAMPLE_APP
from tests.local_services import forget_hubs
from tests.thorough import THOROUGH

# How long an example takes says nothing on a machine that does other work too.
settings.register_profile("no-deadline", deadline=None, max_examples=100 if THOROUGH else 15)
settings.register_profile("quick", deadline=None, max_examples=5)
settings.load_profile("no-deadline")
# Before any settings are read, in this process or in those that it starts.
os.environ["DEVELOPMENT_ENDPOINTS"] = ",".join(f"http://127.0.0.1:{port}" for port in PORTS)


@pytest.fixture(scope="session", autouse=True)
def _loopback_is_direct() -> None:
    """A proxy of the environment is for the network outside, never for loopback."""
    bypass_proxy()


@pytest.fixture(autouse=True)
def _no_failpoint_stays_armed() -> Iterator[None]:
    yield
    for point in FailPoint:
        arm(point, lambda: None)


_SERVICES = frozenset({"azurite", "stack"})


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="only tests that start no service and are over in a moment: make check"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--quick"):
        settings.load_profile("quick")
    if config.option.hypothesis_seed is None:
        # Before Hypothesis reads it, and before the processes are started that are to have the same.
        config.option.hypothesis_seed = os.environ.get("SEED") or str(random.randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"random histories and examples: SEED={config.option.hypothesis_seed} repeats them"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--quick"):
        return
    quick = [item for item in items if not needs_services(item) and item.get_closest_marker("lengthy") is None]
    chosen = set(quick)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = quick


def needs_services(item: pytest.Item) -> bool:
    """Whether a test asks for storage or the whole stack, by whatever fixture."""
    return not _SERVICES.isdisjoint(getattr(item, "fixturenames", ()))


_SHARED: list[Endpoints] = []


@pytest.fixture(scope="session")
def azurite() -> Iterator[Endpoints]:
    """Storage alone. Tests share it: they work in containers, queues and tables of their own names."""
    with running_azurite() as endpoints:
        _SHARED.append(endpoints)
        yield endpoints
        _SHARED.clear()


@pytest.fixture(scope="module", autouse=True)
def _hubs_end_with_their_module() -> Iterator[None]:
    yield
    for endpoints in _SHARED:
        forget_hubs(endpoints)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole local stack over the real app. Tests share it: they work in hubs of their own names."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running.stack


@pytest.fixture(scope="session")
def sample_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The whole local stack over the app of `tests/host`. Tests share it: they tell their messages and events apart."""
    with running_stack(tmp_path_factory.mktemp("sample"), app_dir=SAMPLE_APP) as running:
        yield running
