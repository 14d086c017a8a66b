"""One statement over batch after batch, in an engine that is kept open for the next file.

To open an engine and to plan a statement takes longer than to type a few thousand rows, and most files have no more;
so an engine goes from one file to the next, and takes its plan along where the statement is the same.
"""

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from shared.domain.errors import AccountingError
from shared.engine.workspace import connect, in_our_words
from shared.settings import Settings
from shared.work_folder import work_folder

if TYPE_CHECKING:
    import pyarrow as pa

# As many files as an instance types at once: `batchSize` and `newBatchThreshold` of host.json.
_IDLE_AT_MOST = 12


class BatchEngine:
    """An engine that carries out one statement at a time; its connection knows the rows as `batch`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.statement = ""
        self._batch = _Batch()
        self._planned: tuple[str, pa.Schema] | None = None
        self._open = ExitStack()
        self._connection = connect(settings, self._open.enter_context(work_folder()))
        self._open.callback(self._connection.close)

    def run(self, batch: "pa.Table") -> "pa.Table":
        """What the statement selects from a batch.

        Raises:
            UnavailableError, FatalError: as `workspace`.
        """
        with in_our_words():
            self._batch.table = batch
            try:
                if self._planned != (self.statement, batch.schema):
                    self._plan(batch)
                return self._connection.sql("EXECUTE batches").to_arrow_table()
            finally:
                self._batch.table = None

    def close(self) -> None:
        """Closes the engine."""
        self._open.close()

    def _plan(self, batch: "pa.Table") -> None:
        if self._planned is not None:
            self._planned = None
            self._connection.execute("DEALLOCATE batches")
            self._connection.unregister("batch")
        self._connection.register("batch", self._batch)
        self._connection.execute(f"PREPARE batches AS {self.statement}")
        self._planned = (self.statement, batch.schema)


@contextmanager
def batch_engine(settings: Settings, statement: str) -> Iterator[BatchEngine]:
    """An engine for a statement, for one thread at a time. One that failed is not used again.

    Args:
        settings: of the process.
        statement: selects from `batch`; it reads no file and creates nothing.
    """
    engine = _take(settings, statement) or BatchEngine(settings)
    engine.statement = statement
    try:
        yield engine
    except BaseException:
        engine.close()
        raise
    _give_back(engine)


class _Batch:
    """What the engine knows as `batch`: it stays the same, so that the statement is planned once, and gives its rows
    anew for each execution.
    """

    table: "pa.Table | None" = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        if self.table is None:
            raise AccountingError("NoBatch", "the engine asked for rows when there were none")
        return self.table.__arrow_c_stream__(requested_schema)


_idle: list[BatchEngine] = []
_idle_lock = Lock()


def _take(settings: Settings, statement: str) -> BatchEngine | None:
    with _idle_lock:
        fitting = [engine for engine in reversed(_idle) if engine.settings == settings]
        # One with the plan, if there is one, and of these the one used last.
        engine = max(fitting, key=lambda engine: engine.statement == statement, default=None)
        if engine is not None:
            _idle.remove(engine)
        return engine


def _give_back(engine: BatchEngine) -> None:
    with _idle_lock:
        _idle.append(engine)
        oldest = _idle.pop(0) if len(_idle) > _IDLE_AT_MOST else None
    if oldest is not None:
        oldest.close()


@atexit.register
def _close_idle() -> None:
    with _idle_lock:
        while _idle:
            _idle.pop().close()
