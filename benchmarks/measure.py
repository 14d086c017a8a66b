"""Measuring one thing in a process of its own: seconds, and the peak of its memory."""

import multiprocessing
import re
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Measured:
    """Attributes: seconds (wall), peak_mb (peak resident memory of the process), result (of the function)."""

    seconds: float
    peak_mb: float
    result: Any


def measure(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Runs `function` in a fresh process; it returns (seconds of the part that counts, result)."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(sender, function, arguments))
    process.start()
    sender.close()
    try:
        measured = receiver.recv()
    except EOFError:
        raise RuntimeError(f"{function.__name__} ended without a result") from None
    finally:
        process.join()
    if isinstance(measured, BaseException):
        raise measured
    return Measured(*measured)


def median(runs: list[Measured]) -> float:
    """Median of the seconds."""
    return statistics.median(run.seconds for run in runs)


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds (wall) and result of a call."""
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result


def _run(sender: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    try:
        seconds, result = function(*arguments)
        sender.send((seconds, _peak_mb(), result))
    except BaseException as error:  # it belongs to whoever asked
        sender.send(RuntimeError(f"{type(error).__name__}: {error}"))


def _peak_mb() -> float:
    # getrusage would count what the parent had before this process was started from it; the kernel's own mark does not.
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))
        if found:
            return int(found[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
