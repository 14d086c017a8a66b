"""DuckDB, for one operation at a time: a connection, and the one folder that it may read and write."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.disk_room import give_back_room
from shared.domain.errors import FatalError, UnavailableError
from shared.engine.sql import literal
from shared.settings import Settings
from shared.work_folder import work_folder

if TYPE_CHECKING:
    import duckdb


type Connection = duckdb.DuckDBPyConnection
"""A connection of the engine."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """A connection and its folder; files outside the folder are out of the engine's reach."""

    connection: "duckdb.DuckDBPyConnection"
    folder: Path


@contextmanager
def workspace(settings: Settings) -> Iterator[Workspace]:
    """A workspace for one thread; its folder, with all that was put there, goes when the context ends.

    Raises:
        UnavailableError: memory or disk did not suffice.
        FatalError: the engine refused a statement or a file.
    """
    with ExitStack() as at_end, work_folder() as folder:
        at_end.callback(give_back_room, folder)  # when the folder is gone
        connection = connect(settings, folder)
        try:
            with in_our_words():
                yield Workspace(connection, folder)
        finally:
            connection.close()


@contextmanager
def in_our_words() -> Iterator[None]:
    """Raises the engine's errors as those of `workspace`."""
    import duckdb

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise UnavailableError(
            "EngineOutOfRoom",
            "the query engine ran out of memory or disk; repeat the request when the app has less to do, or ask for "
            "less at once; where rows have megabytes, bring them in anew with smaller cells or fewer fields; an "
            "administrator can raise ENGINE_MEMORY_MB or the size of the temporary disk",
        ) from error
    except duckdb.Error as error:
        # The engine's own words may quote a value: they stay in the chained error and out of the message.
        kind = type(error).__name__
        raise FatalError("EngineFailed", f"the query engine refused a statement ({kind})") from error


def interruption() -> type[Exception]:
    """What a statement raises that was interrupted."""
    import duckdb

    return duckdb.InterruptException


def connect(settings: Settings, folder: Path) -> "duckdb.DuckDBPyConnection":
    """A connection that spills into `folder`, reads and writes nothing outside of it and loads no extension."""
    import duckdb

    connection = duckdb.connect(
        config={
            "memory_limit": f"{settings.engine_memory_mb}MB",
            "threads": settings.engine_threads,
            "temp_directory": str(folder / "spill"),
            # Of what is free, not nearly all of it: ingestion needs the same disk.
            "max_temp_directory_size": f"{shutil.disk_usage(folder).free // 4}B",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
    )
    for statement in (
        "SET TimeZone = 'UTC'",
        "SET enable_progress_bar = false",  # it would be drawn into the log of the host
        f"SET allowed_directories = [{literal(str(folder))}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)
    return connection
