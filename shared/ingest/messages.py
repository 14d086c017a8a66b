"""The messages of the queue `ingest`: a run to carry out, or a mapping to sweep."""

import logging
from typing import Any

from shared.app import Services
from shared.domain.run import RunKind
from shared.ingest.correct_run import give_up_correction
from shared.ingest.ingest_blob import give_up_run, ingest_blob
from shared.ingest.sweep import sweep_named

logger = logging.getLogger(__name__)


def take_message(services: Services, message: Any, message_id: str) -> None:
    """Does what a message asks for; one that nobody understands is logged and dropped.

    Raises:
        TransientError, FatalError, or anything unexpected: the message is to be delivered again.
    """
    match message:
        case {"sweep": True, "hub": str(hub), "connector": str(connector), "mapping": str(mapping)}:
            sweep_named(services, hub, connector, mapping)
        case {"hub": str(hub), "runId": str(run_id)}:
            ingest_blob(services, hub, run_id, worker=message_id)
        case _:
            logger.error("a message of the queue ingest is not understood; it is dropped")


def give_up(services: Services, message: Any) -> None:
    """Marks the run Failed whose message was tried in vain; the reason of the last attempt is kept.

    A run that failed for want of a service, not by its data or by us, the reconciler takes up again.

    Raises:
        ClaimLostError: the run goes on elsewhere at this very moment; the next delivery looks again.
        TransientError: so it does where storage does not answer.
    """
    match message:
        case {"sweep": True, "hub": str(hub), "connector": str(connector), "mapping": str(mapping)}:
            logger.error("sweep given up: hub %s connector %s mapping %s", hub, connector, mapping)
        case {"hub": str(hub), "runId": str(run_id)}:
            stored = services.runs.get(hub, run_id)
            if stored is None or stored.run.kind is not RunKind.INGEST or stored.run.state.is_final:
                return
            if stored.correction is not None:
                give_up_correction(services, stored)
            else:
                give_up_run(services, stored)
        case _:
            logger.error("a message of the queue ingest-poison is not understood; it is dropped")
