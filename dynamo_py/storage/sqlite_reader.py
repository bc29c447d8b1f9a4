"""The one connection that reads a SQLite file, on a snapshot that it keeps.

To begin and end a read transaction takes SQLite longer than to find a row, since it locks and
unlocks a shared file each time. So the snapshot is kept from one read to the next, until the
writer says that there is something newer. A kept snapshot would hold back a checkpoint; so
for the time of one it is let go, and each read makes do with a short one.

Knows nothing of what is read. Threads: `SnapshotReader.outdate` and `SnapshotReader.let_go`
are the writer thread's, all else is the event loop's.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from dynamo_py.storage.sqlite_file import open_reader, translated

Row: TypeAlias = tuple[Any, ...]


class SnapshotReader:
    """Reads the newest state that was committed before the call."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path)
        self._cursor = self._connection.cursor()
        # Held for each read. The writer thread takes it only to end a kept snapshot.
        self._lock = threading.Lock()
        self._is_current = False
        self._may_keep = True

    def row(self, statement: str, parameters: Sequence[object]) -> Row | None:
        """The only row, or None."""
        # Written out, and not as a context manager: no other call is made as often.
        with self._lock:
            try:
                if not self._is_current:
                    self._renew()
                found: Row | None = self._cursor.execute(statement, parameters).fetchone()
                if not self._may_keep:
                    self._end()
            except sqlite3.Error as error:
                self._is_current = False
                raise translated(error, self._path) from error
        return found

    def rows_of(self, statement: str, each: Iterable[Sequence[object]]) -> list[Row | None]:
        """As `row` for each of many parameters, all from one snapshot."""
        with self._snapshot():
            execute = self._cursor.execute
            return [execute(statement, parameters).fetchone() for parameters in each]

    def rows_up_to(
        self, statement: str, parameters: Sequence[object], *, total_max: int
    ) -> list[Row]:
        """Rows until their last columns, which are numbers, add up to ``total_max``."""
        found: list[Row] = []
        total = 0
        with self._snapshot():
            cursor = self._connection.cursor()
            try:
                for row in cursor.execute(statement, parameters):
                    found.append(row)
                    total += row[-1]
                    if total >= total_max:
                        break
            finally:
                cursor.close()  # an unfinished statement would go on reading
        return found

    def outdate(self) -> None:
        """Something was committed: the next read needs a new snapshot."""
        self._is_current = False

    @contextmanager
    def let_go(self) -> Iterator[None]:
        """Keep no snapshot from one read to the next within this context."""
        with self._lock:
            self._may_keep = False
            self._end()
        try:
            yield
        finally:
            self._may_keep = True

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        with self._lock:
            try:
                if not self._is_current:
                    self._renew()
                yield
                if not self._may_keep:
                    self._end()
            except sqlite3.Error as error:
                self._is_current = False
                raise translated(error, self._path) from error

    def _renew(self) -> None:
        # Before the snapshot is taken: a commit from here on outdates it again.
        self._is_current = True
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self._connection.execute("BEGIN")

    def _end(self) -> None:
        self._is_current = False
        if self._connection.in_transaction:
            self._connection.execute("COMMIT")
