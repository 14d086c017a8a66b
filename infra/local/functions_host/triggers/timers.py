"""Timer triggers: NCRONTAB schedules in UTC, single instance, with a status that outlives restarts."""

import asyncio
import contextlib
import json
import logging
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from croniter import CroniterError, croniter

from infra.local.functions_host import messages
from infra.local.functions_host.host_json import ConfigurationError
from infra.local.functions_host.invocations import Invocations
from infra.local.functions_host.worker import Function, InvocationFailedError

logger = logging.getLogger(__name__)

# How often a waiting timer looks whether the clock file came or went.
_CLOCK_IS_LOOKED_AT_EVERY_S = 0.25
_FIVE_OR_SIX_FIELDS = (5, 6)


@dataclass(frozen=True)
class TimerStatus:
    """When a timer last ran and is next due, ISO 8601; with the schedule that says so."""

    schedule: str
    last: str
    next: str
    last_updated: str


class Schedule:
    """An NCRONTAB expression: `{second} {minute} {hour} {day} {month} {day-of-week}`; of five, no seconds.

    Day and day of the week must both match, as in NCrontab and unlike Unix cron.
    """

    def __init__(self, expression: str, function_name: str) -> None:
        self.expression = expression
        try:
            if len(expression.split()) not in _FIVE_OR_SIX_FIELDS:
                raise ValueError("six fields are expected: second minute hour day month day-of-week")
            self.after(datetime.now(UTC))
        except (CroniterError, ValueError) as error:
            raise ConfigurationError(
                f"Function {function_name}: the schedule {expression!r} is none: {error}"
            ) from error

    def after(self, moment: datetime) -> datetime:
        """The first time later than `moment`."""
        found: datetime = croniter(self.expression, moment, second_at_beginning=True, day_or=False).get_next(datetime)
        return found


class Timer:
    """One timer function: waits, runs, remembers."""

    def __init__(self, function: Function, folder: Path, invocations: Invocations) -> None:
        self.function = function
        self._invocations = invocations
        self._schedule = Schedule(function.trigger["schedule"], function.name)
        self._file = folder / f"{function.name}.json"
        self._one_at_a_time = asyncio.Lock()
        kept = self._read()
        self._is_new = kept is None
        self._status = kept or self._first()

    async def keep_time(self, stopping: asyncio.Event) -> None:
        """Run when due, until told to stop; never while the clock file holds a time."""
        if not time_stands_still():
            # A host that takes long to start makes no new timer late.
            if not self._is_new and self._status.next <= _iso(datetime.now(UTC)):
                await self._run_due(past_due=True)
            elif self.function.trigger.get("runOnStartup"):
                await self.run(reason="run on startup")
        due = self._schedule.after(datetime.now(UTC))
        self._write(self._status.last, due)
        while not stopping.is_set():
            if time_stands_still():
                await _sleep(stopping, _CLOCK_IS_LOOKED_AT_EVERY_S)
                # What fell due while time stood still is not made up for.
                due = self._schedule.after(datetime.now(UTC))
                continue
            remaining = (due - datetime.now(UTC)).total_seconds()
            if remaining > 0:
                await _sleep(stopping, min(remaining, _CLOCK_IS_LOOKED_AT_EVERY_S))
                continue
            await self._run_due(past_due=False)
            due = datetime.fromisoformat(self._status.next)

    async def run(self, *, past_due: bool = False, reason: str) -> None:
        """Run the function now, after a run that is under way."""
        async with self._one_at_a_time:
            status = self._status
            content = {
                "Schedule": {"AdjustForDST": True},
                "ScheduleStatus": {
                    "Last": status.last,
                    "Next": status.next,
                    "LastUpdated": status.last_updated,
                },
                "IsPastDue": past_due,
            }
            with contextlib.suppress(InvocationFailedError):
                await self._invocations.run(self.function, messages.TypedData(json=json.dumps(content)), reason=reason)

    async def _run_due(self, *, past_due: bool) -> None:
        started = datetime.now(UTC)
        await self.run(past_due=past_due, reason="timer, past due" if past_due else "timer")
        self._write(_iso(started), self._schedule.after(datetime.now(UTC)))

    def _read(self) -> TimerStatus | None:
        try:
            status = TimerStatus(**json.loads(self._file.read_text(encoding="utf-8")))
            if status.schedule == self._schedule.expression:
                return status
        except FileNotFoundError:
            pass
        except (ValueError, TypeError):
            logger.warning("%s cannot be read; the timer begins anew", self._file)
        return None

    def _first(self) -> TimerStatus:
        now = datetime.now(UTC)
        return TimerStatus(self._schedule.expression, "0001-01-01T00:00:00", _iso(self._schedule.after(now)), _iso(now))

    def _write(self, last: str, due: datetime) -> None:
        self._status = TimerStatus(self._schedule.expression, last, _iso(due), _iso(datetime.now(UTC)))
        self._file.parent.mkdir(parents=True, exist_ok=True)
        partial = self._file.with_suffix(".part")
        partial.write_text(json.dumps(asdict(self._status)), encoding="utf-8")
        partial.replace(self._file)


def time_stands_still() -> bool:
    """Whether the clock file gives the app its time; then timers run by the admin API alone."""
    path = os.environ.get("CLOCK_FILE", "")
    if os.environ.get("AZURE_FUNCTIONS_ENVIRONMENT") != "Development" or not path:
        return False
    try:
        datetime.fromisoformat(Path(path).read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return False
    return True


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


async def _sleep(stopping: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)
