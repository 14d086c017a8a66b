"""A file that could not be moved or deleted when its rows had come in is so later, when a sweep finds it again.

The sweep asks for all such files of its mapping at once, by one message, and for none while that is under way. It works
through a part of them and sends another, which goes on where it stopped, so that all of these messages search the runs
of the hub once. So neither messages nor attempts become more where somebody asks again and again, or where a container
is missing that all of them are to go to.
"""

import logging
import random

from shared.app import Services
from shared.arrivals.match import send_completions
from shared.definitions.store.definition_store import Stored
from shared.domain.documents.mappings import Mapping
from shared.domain.errors import NotFoundError
from shared.ingest.beside import note_completion
from shared.ingest.complete import complete
from shared.ingest.outcome import Uncompleted
from shared.ingest.run_target import find_mapping

logger = logging.getLogger(__name__)

# Of one message: other hubs wait behind it.
_AT_ONCE = 100
_TIME_MS = 30_000
# Files that stayed where they are, each for a reason of its own, before the rest waits for the next sweep.
_REFUSED = 100


def complete_files(
    services: Services, hub: str, connector: str, mapping: str, number: str, refused: int = 0, place: str = ""
) -> None:
    """Moves or deletes what the runs of a mapping owe their files, a part of them; another message goes on.

    It ends where one is refused for a reason that holds for all of them, or many for reasons of their own.

    Args:
        services: of the process.
        hub: of the mapping.
        connector: of the mapping.
        mapping: whose files they are.
        number: tells the message, and those that go on in its place, from others (`Sweeps.note_completion`).
        refused: how many files its earlier messages could not move or delete.
        place: where these have left it, out of `Runs.owing`; empty for the first, and one of an earlier release.

    Raises:
        TransientError, FatalError: it may work the next time. DeferredError: the source is busy.
    """
    until_ms = services.clock.monotonic_ms() + _TIME_MS
    found = _asked(services, hub, connector, mapping, number)
    if found is None:
        return
    at = None if found.document.is_paused else _work_through(services, hub, found, number, refused, place, until_ms)
    if at is None:
        services.sweeps.end_completion(hub, found.instance_id)
    else:
        send_completions(services, hub, found, number, *at)


def _work_through(
    services: Services, hub: str, mapping: Stored[Mapping], number: str, refused: int, place: str, until_ms: int
) -> tuple[int, str] | None:
    """How many files were refused by now and from which place to go on; None where it is over."""
    instance, asked, tried = mapping.instance_id, mapping.document.completion.value, 0
    while True:
        # From the number on, which is one of chance, and then in an order of chance: so those that are refused each
        # time, or end the message, keep none of the others waiting for ever.
        owing, following = services.runs.owing(hub, instance, asked, number, place, _AT_ONCE - tried)
        random.shuffle(owing)
        is_time_up = services.clock.monotonic_ms() >= until_ms
        while owing and (not is_time_up or tried == 0):  # one at least, or it would come to nothing
            failure = complete_later(services, hub, owing.pop())
            tried += 1
            refused += failure is not None
            if refused >= _REFUSED or (failure is not None and failure.is_of_all):
                return None
            is_time_up = services.clock.monotonic_ms() >= until_ms
        if not owing:
            if following is None:
                return None
            place = following
        if is_time_up or tried == _AT_ONCE:
            return refused, place


def give_up_files(services: Services, hub: str, connector: str, mapping: str, number: str) -> None:
    """Leaves the files to the next sweep whose message has exhausted its attempts."""
    found = _asked(services, hub, connector, mapping, number)
    if found is not None:
        services.sweeps.end_completion(hub, found.instance_id)


def complete_later(services: Services, hub: str, run_id: str) -> Uncompleted | None:
    """Carries out what a run owes its file, and notes it, or why it failed again; safe to repeat.

    Only the version whose rows came in is moved or deleted, while the mapping asks for what it asked for then and the
    type that took the rows is there.

    Returns:
        Why it was not done; None also where there was nothing to do.

    Raises:
        TransientError, FatalError: it may work the next time. DeferredError: the source is busy.
    """
    stored = services.runs.get(hub, run_id)
    if stored is None or stored.owes is None:
        return None
    mapping = find_mapping(services, stored)
    if mapping is None or mapping.document.is_paused:
        return None
    failure = complete(services, stored)
    if failure is None:
        logger.info("the file of run %s was moved or deleted after all", run_id)
    note_completion(services, stored, failure)
    return failure


def _asked(services: Services, hub: str, connector: str, mapping: str, number: str) -> Stored[Mapping] | None:
    """The mapping whose files are asked for by a request; None where that is over, or the mapping is gone."""
    try:
        found = services.definitions.mapping(hub, connector, mapping)
    except NotFoundError:
        return None
    now = services.clock.machine_now()
    return found if services.sweeps.note_completion(hub, found.instance_id, number, now) else None
