"""Timer triggers.

What is documented: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer.

Not here: other schedules, which `tests/local/test_timers.py` tries on the stand-in's own parser, and what a timer makes
up for after its host was down, for which the host must be stopped.
"""

from datetime import datetime
from typing import Any

from tests.host.host import Host
from tests.local.waiting import eventually


def test_a_schedule_of_every_second_runs_about_every_second(host: Host) -> None:
    """#ncrontab-expressions: six fields, of which the first is the second."""

    def beats() -> list[dict[str, Any]]:
        return host.seen("beat")

    before = len(eventually(beats))
    found = eventually(lambda: beats() if len(beats()) >= before + 3 else [])
    span = found[-1]["at"] - found[before - 1]["at"]
    assert len(found) - before - 0.5 < span < len(found) - before + 2


def test_a_run_knows_when_the_last_one_was_and_the_next_one_is(host: Host) -> None:
    """#usage: the timer's object, with `ScheduleStatus` and `IsPastDue`."""

    def later_ones() -> list[dict[str, Any]]:
        beats = [beat for beat in host.seen("beat") if not beat["pastDue"]]
        return [beat for beat in beats if not beat["status"]["Last"].startswith("0001")]

    status = eventually(later_ones)[-1]["status"]
    assert set(status) == {"Last", "Next", "LastUpdated"}
    assert datetime.fromisoformat(status["Last"]) < datetime.fromisoformat(status["Next"])
