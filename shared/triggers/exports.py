"""Exports: the timers say what is due, the queue carries out one slot or one KPI at a time."""

import azure.functions as func

from shared.app import services
from shared.deadline import WORK_S, deadline
from shared.domain import function_names as names
from shared.domain.own_names import HUB_STORAGE, POISON, QUEUE_EXPORT
from shared.triggers.calls import call

exports = func.Blueprint()


@exports.function_name(names.EXPORT_PROFILES)
@exports.timer_trigger(arg_name="timer", schedule="%PROFILE_EXPORT_SCHEDULE%")
def export_profiles(timer: func.TimerRequest) -> None:
    """Hands out the profile exports that are due."""
    from shared.outbound.due import hand_out_profile_exports

    with deadline(WORK_S):
        hand_out_profile_exports(services())


@exports.function_name(names.EXPORT_KPIS)
@exports.timer_trigger(arg_name="timer", schedule="%KPI_EXPORT_SCHEDULE%")
def export_kpis(timer: func.TimerRequest) -> None:
    """Hands out the KPIs to calculate; each is exported when it is calculated."""
    from shared.outbound.due import hand_out_kpis

    with deadline(WORK_S):
        hand_out_kpis(services())


@exports.function_name(names.RUN_EXPORT)
@exports.queue_trigger(arg_name="message", queue_name=QUEUE_EXPORT, connection=HUB_STORAGE)
def run_export(message: func.QueueMessage, context: func.Context) -> None:
    """Carries out one export slot, or calculates one KPI."""
    from shared.messages.export import handle_message
    from shared.storage.queues import read_message

    with call(context, WORK_S):
        handle_message(services(), read_message(message.get_body()), message.id or "", message.dequeue_count or 1)


@exports.function_name(names.RUN_EXPORT_POISON)
@exports.queue_trigger(arg_name="message", queue_name=QUEUE_EXPORT + POISON, connection=HUB_STORAGE)
def run_export_poison(message: func.QueueMessage) -> None:
    """Marks the run of a slot or KPI Failed whose attempts are exhausted; the next tick tries again."""
    from shared.messages.export import give_up
    from shared.storage.queues import read_message

    with deadline(WORK_S):
        give_up(services(), read_message(message.get_body()))
