"""Running a step of a pipeline in a thread of its own, a few items ahead of the step that follows."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.deadline import new_thread

_END: Final = object()


@contextmanager
def ahead[Item](items: Iterator[Item], depth: int = 1) -> Iterator[Iterator[Item]]:
    """Iterates over `items` in a thread, at most `depth` items ahead.

    numpy, pyarrow, DuckDB and the network release the interpreter lock, so the steps really run side by side.
    An error of the thread is raised where the items are taken; leaving the context stops the thread.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def run() -> None:
        try:
            for item in items:
                if not put(item):
                    return
                del item  # it may be large, and the next one takes a while
            put(_END)
        except BaseException as error:
            put(_Failure(error))

    def take() -> Iterator[Item]:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]
            del item

    thread = new_thread(run, "ingest-ahead")
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        thread.join()


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error
