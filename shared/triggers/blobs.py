"""A blob was committed: its event, the queue of blob versions, and what the queue gave up."""

import azure.functions as func

from shared.app import services
from shared.deadline import EVENT_S, WORK_S, deadline
from shared.domain import function_names as names
from shared.domain.own_names import HUB_STORAGE, POISON, QUEUE_INGEST
from shared.triggers.calls import call

blobs = func.Blueprint()


@blobs.function_name(names.BLOB_CREATED)
@blobs.event_grid_trigger(arg_name="event")
def blob_created(event: str, context: func.Context) -> None:
    """Records the blob version that was announced and queues it; Event Grid waits 30 s for the answer.

    The annotation `str` asks for the event as it came: as `func.EventGridEvent` the worker would decode it, and
    fail before the app saw it where its time has an offset, it is a CloudEvent, or no object.
    """
    from shared.arrivals.match import handle_event
    from shared.storage.event_grid import read_event

    with call(context, EVENT_S):
        handle_event(services(), read_event(event))


@blobs.function_name(names.INGEST_BLOB)
@blobs.queue_trigger(arg_name="message", queue_name=QUEUE_INGEST, connection=HUB_STORAGE)
def ingest_blob(message: func.QueueMessage, context: func.Context) -> None:
    """Ingests one blob version for one mapping, or sweeps a mapping for versions that have no run."""
    from shared.messages.ingest import handle_message
    from shared.storage.queues import read_message

    with call(context, WORK_S):
        handle_message(services(), read_message(message.get_body()), message.id or "", message.dequeue_count or 1)


@blobs.function_name(names.INGEST_BLOB_POISON)
@blobs.queue_trigger(arg_name="message", queue_name=QUEUE_INGEST + POISON, connection=HUB_STORAGE)
def ingest_blob_poison(message: func.QueueMessage) -> None:
    """Marks a run Failed whose message has exhausted the attempts that host.json allows."""
    from shared.messages.ingest import give_up
    from shared.storage.queues import read_message

    with deadline(WORK_S):
        give_up(services(), read_message(message.get_body()))
