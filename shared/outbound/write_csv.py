"""Rows as CSV, in pieces, while the engine still makes them.

The format is the contract's: UTF-8, header, comma, RFC 4180 with the least quoting, LF; null is empty and the empty
string is `""`. The same rows give the same bytes.
"""

import hashlib
import os
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from shared.domain.documents.fields import FieldType
from shared.engine.sql import literal, quoted
from shared.engine.workspace import Workspace
from shared.outbound.columns import Column
from shared.storage.clients import BLOCK_BYTES

_READ_BYTES = 1024**2
# COMMENT '': else every cell with a `#` is quoted. USE_TMP_FILE false: the name is written to, none is renamed to it.
_OPTIONS = "FORMAT csv, DELIMITER ',', NULLSTR '', COMMENT '', USE_TMP_FILE false"


class CsvStream:
    """The CSV of one query, or of several with the same columns, one after the other.

    Its facts are known once `pieces` has come to its end.

    Attributes:
        rows: rows written, without the header.
        size: bytes.
        sha256: hexadecimal digest of all bytes.
    """

    def __init__(self, work: Workspace, *queries: str) -> None:
        self._work = work
        self._queries = queries
        self._failure: BaseException | None = None
        self._is_stopped = False
        self.rows = 0
        self.size = 0
        self.sha256 = ""

    def pieces(self) -> Generator[bytes]:
        """The bytes in order, in pieces of one block each; nothing is kept on disk and little in memory.

        The engine writes into a named pipe and waits when the reader does. Whoever stops early stops the engine.

        Raises:
            Whatever the engine raises.
        """
        digest = hashlib.sha256()
        buffer, filled = bytearray(BLOCK_BYTES), 0
        with self._writing() as pipe, memoryview(buffer) as view:
            while read := os.readv(pipe, [view[filled:]]):
                filled += read
                if filled == BLOCK_BYTES:
                    yield self._piece(view, digest)
                    filled = 0
            if self._failure is None and filled:
                yield self._piece(view[:filled], digest)
        if self._failure is not None:
            raise self._failure
        self.sha256 = digest.hexdigest()

    def _piece(self, view: memoryview, digest: "hashlib._Hash") -> bytes:
        piece = bytes(view)
        digest.update(piece)
        self.size += len(piece)
        return piece

    @contextmanager
    def _writing(self) -> Iterator[int]:
        path = self._work.folder / "data.csv"
        os.mkfifo(path)
        # Opened for both first, the pipe has a writer from the start: no open waits, and the last close ends it.
        writer = os.open(path, os.O_RDWR)
        reader = os.open(path, os.O_RDONLY)
        thread = threading.Thread(target=self._copy, args=(path, writer), name="csv")
        thread.start()
        try:
            yield reader
        finally:
            if thread.is_alive():
                self._is_stopped = True
                self._work.connection.interrupt()
                with suppress(OSError):
                    while os.read(reader, _READ_BYTES):
                        pass
            thread.join()
            os.close(reader)
            path.unlink()

    def _copy(self, path: Path, writer: int) -> None:
        try:
            for index, query in enumerate(self._queries):
                if self._is_stopped:
                    break
                statement = f"COPY ({query}) TO {literal(str(path))} ({_OPTIONS}, HEADER {str(index == 0).lower()})"
                copied = self._work.connection.execute(statement).fetchone()
                self.rows += int(copied[0]) if copied else 0
        except BaseException as error:
            self._failure = error
        finally:
            os.close(writer)


def csv_query(columns: Sequence[Column], source: str) -> str:
    """SQL that gives each column as the text that stands in the file; the order of the rows is that of `source`.

    Args:
        columns: of the file.
        source: a query with these columns, in a total order, or the bytes would differ from time to time.
    """
    items = ", ".join(f"{_cell(column)} AS {quoted(column.name)}" for column in columns)
    return f"SELECT {items} FROM ({source})"


def _cell(column: Column) -> str:
    name = quoted(column.name)
    if not column.is_array:
        return _text(column.field_type, name)
    item = _text(column.field_type, "item")
    if column.field_type is FieldType.STRING:
        item = r"replace(replace(item, '\', '\\'), ';', '\;')"
    # array_to_string leaves null items out, which would shift those that follow.
    return f"array_to_string(list_transform({name}, lambda item: coalesce(CAST({item} AS VARCHAR), '')), ';')"


def _text(field_type: FieldType, value: str) -> str:
    match field_type:
        case FieldType.DATE_TIME_OFFSET:
            return rf"strftime({value} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
        case FieldType.DECIMAL:
            return f"rtrim(rtrim(CAST({value} AS VARCHAR), '0'), '.')"
        case _:
            # Booleans as true and false, dates as yyyy-mm-dd, doubles in the shortest form that reads back the same.
            return value
