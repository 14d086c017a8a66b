"""NCRONTAB schedules, and timers through the functions host."""

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infra.local.functions_host.host_json import ConfigurationError
from infra.local.functions_host.triggers.timers import Schedule
from infra.local.stack import running_stack
from tests.host.host import SAMPLE_APP
from tests.local.conftest import SampleApp
from tests.local.waiting import eventually

pytestmark = pytest.mark.lengthy

_EVERY_SECOND = {"TICK_SCHEDULE": "* * * * * *"}


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("0 */15 * * * *", ["2026-11-22T14:15:00", "2026-11-22T14:30:00"]),
        ("0 7/15 * * * *", ["2026-11-22T14:07:00", "2026-11-22T14:22:00", "2026-11-22T14:37:00"]),
        ("0 45 1 * * *", ["2026-11-23T01:45:00", "2026-11-24T01:45:00"]),
        ("30 0 9-17/4 * * MON-FRI", ["2026-11-23T09:00:30", "2026-11-23T13:00:30", "2026-11-23T17:00:30"]),
        ("0 0 0 13 * 5", ["2027-08-13T00:00:00"]),
        ("*/20 * * * * *", ["2026-11-22T14:00:20", "2026-11-22T14:00:40"]),
        ("5 * * * *", ["2026-11-22T14:05:00", "2026-11-22T15:05:00"]),
    ],
)
def test_schedule(expression: str, times: list[str]) -> None:
    schedule = Schedule(expression, "f")
    moment = datetime(2026, 11, 22, 14, tzinfo=UTC)
    found = []
    for _ in times:
        moment = schedule.after(moment)
        found.append(moment.strftime("%Y-%m-%dT%H:%M:%S"))
    assert found == times


@pytest.mark.parametrize("expression", ["", "often", "* * *", "0 0 0 31 2 *", "61 * * * * *", "00:05:00"])
def test_what_is_no_schedule(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="Function f: the schedule"):
        Schedule(expression, "f")


def test_a_timer_stands_still_with_the_clock_and_makes_up_once_for_downtime(tmp_path: Path) -> None:
    with running_stack(tmp_path, _EVERY_SECOND, SAMPLE_APP) as running:
        app = SampleApp(running)
        eventually(lambda: len(app.seen("tick")) >= 2)
        assert not app.seen("tick")[0]["pastDue"]
        clock = Path(app.stack.clock_file)
        clock.write_text("2026-01-01T00:00:00Z", encoding="ascii")
        assert app.admin("tick").status_code == 202
        # A look at the clock is at most a quarter of a second old, a tick at most a second away.
        settled = stable_count(app)
        app.admin("tick")
        eventually(lambda: len(app.seen("tick")) == settled + 1)
        clock.unlink()
        eventually(lambda: len(app.seen("tick")) >= settled + 3)
        app.close()
    with running_stack(tmp_path, _EVERY_SECOND, SAMPLE_APP) as running:
        app = SampleApp(running)
        eventually(lambda: len(app.seen("tick")) >= 2)
        assert app.seen("tick")[0]["pastDue"]
        eventually(lambda: not app.seen("tick")[-1]["pastDue"])
        assert app.seen("tick")[0]["status"]["Last"] > "2026"
        app.close()


def stable_count(app: SampleApp) -> int:
    count, since = len(app.seen("tick")), time.monotonic()
    while time.monotonic() - since < 1.5:
        if (now := len(app.seen("tick"))) != count:
            count, since = now, time.monotonic()
    return count
