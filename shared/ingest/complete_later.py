"""A file that could not be moved or deleted when its rows had come in is so later, when a sweep finds it again."""

import logging
from contextlib import suppress
from dataclasses import replace

from shared.app import Services
from shared.domain.errors import PreconditionError
from shared.ingest.complete import complete
from shared.ingest.correction_target import find_mapping
from shared.ingest.outcome import COMPLETE_OPERATION

logger = logging.getLogger(__name__)


def complete_later(services: Services, hub: str, run_id: str) -> None:
    """Carries out what a run owes its file, and notes it, or why it failed again; safe to repeat.

    Only the version whose rows came in is moved or deleted, while the mapping asks for what it asked for then and the
    type that took the rows is there.

    Raises:
        TransientError, FatalError: it may work the next time. DeferredError: the source is busy.
    """
    stored = services.runs.get(hub, run_id)
    if stored is None or stored.owes is None:
        return
    mapping = find_mapping(services, stored)
    if mapping is None or mapping.document.is_paused:
        return
    failure = complete(services, stored)
    details = {name: fact for name, fact in stored.run.details.items() if name != COMPLETE_OPERATION}
    if failure is None:
        logger.info("the file of run %s was moved or deleted after all", run_id)
        stored = replace(stored, owes=None)
    else:
        details[COMPLETE_OPERATION] = failure.message
        stored = replace(stored, owes=failure.owes)
    with suppress(PreconditionError):  # a second message has done the same
        services.runs.save(stored.with_run(details=details))
