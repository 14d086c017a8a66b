"""The work of a timer for all hubs: they take turns, so that much work for one keeps none of the others waiting."""

import logging
import random
from collections import deque
from collections.abc import Callable, Generator, Mapping
from datetime import UTC, datetime

from shared.app import Services
from shared.deadline import deadline, seconds_left
from shared.domain.names import name_key
from shared.telemetry.logs import failing_alone

logger = logging.getLogger(__name__)

SLICE_S = 30.0
# A timer that fires every quarter of an hour is done by then, or what becomes due meanwhile would wait for the next.
TICK_S = 10 * 60.0
STEP_S = 60.0
_NAMED = 20
_NEVER = datetime.min.replace(tzinfo=UTC)


def for_each_hub(
    services: Services,
    what: str,
    work: Callable[[str], Generator[None]],
    step_s: float = STEP_S,
    last_served: Mapping[str, datetime] | None = None,
) -> None:
    """Does some work for every hub, a turn of one after that of another, until all is done or the time is up.

    The order is one of chance, so that of many ticks that are too short none leaves out the same hubs. What is left is
    for the next tick, and logged. An error ends the work for its own hub.

    Args:
        services: of the process.
        what: is done, for log lines.
        work: for a hub of this name, in steps; it is closed where the time is up.
        step_s: seconds after which requests of a step are given up; none is begun with less time left.
        last_served: when each hub had its last turn, by its name in lower case, where that is known: the hub with the
            earliest is the first then, and chance decides among those without.
    """
    names = services.definitions.hub_names()
    random.shuffle(names)
    names.sort(key=lambda name: (last_served or {}).get(name_key(name), _NEVER))
    waiting = deque((hub, work(hub)) for hub in names)
    while waiting and seconds_left() >= step_s:
        hub, steps = waiting.popleft()
        if _work_for_a_slice(services, what, hub, steps, step_s):
            waiting.append((hub, steps))
    if not waiting:
        return
    for hub, steps in waiting:
        with failing_alone(what, hub=hub):
            steps.close()
    left = " ".join(sorted(hub for hub, _ in waiting)[:_NAMED])
    logger.warning("%s goes on with the next tick, for want of time: %d hubs: %s", what, len(waiting), left)


def _work_for_a_slice(services: Services, what: str, hub: str, steps: Generator[None], step_s: float) -> bool:
    """Takes steps until the turn is over; whether there are more."""
    began_ms = services.clock.monotonic_ms()
    with failing_alone(what, hub=hub):
        while True:
            with deadline(step_s):
                try:
                    next(steps)
                except StopIteration:
                    return False
            if services.clock.monotonic_ms() - began_ms >= SLICE_S * 1000 or seconds_left() < step_s:
                return True
    return False
