"""The default engine: one SQLite file with a write-ahead log.

Knows nothing of event loops. Exactly one connection writes and checkpoints, and one reads:
older versions of SQLite can corrupt the file when two connections reset the log at once.

Each row carries a CRC-32 of its space, partition, key and value. 32 bits are enough to
tell a row that has rotted from a sound one (a wrong row passes once in four thousand million),
and zlib's costs a third of a microsecond for a row, where the standard library's 64-bit
digests cost three times that in the writer's thread, under the interpreter's lock.

With ``interval`` and ``none`` a commit is not synced, but checkpoints still are (SQLite's
``synchronous = NORMAL``): with ``OFF`` a power failure could corrupt the whole file, and
with it what `SqliteEngine.sync` had promised.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import TypeGuard, TypeVar
from zlib import crc32

import msgspec

from dynamo_py.errors import Damaged, StorageError
from dynamo_py.storage.durable_files import sync_directory
from dynamo_py.storage.engine import (
    SCAN_BYTES_MAX,
    Change,
    Durability,
    EngineStats,
    Scanned,
    Space,
    last_changes,
)
from dynamo_py.storage.sqlite_file import TABLES, open_writer, translated
from dynamo_py.storage.sqlite_reader import Row, SnapshotReader

ROWS_PER_STATEMENT_MAX = 512
"""Of one statement. SQLite would take 8,191 rows of four variables (32,766 in all), but each
number of rows makes a statement of its own to be parsed and cached."""

_CHECKSUM_HEADER = Struct(">BqI")

_T = TypeVar("_T")


class _Total(msgspec.Struct, frozen=True):
    """What one space holds."""

    rows: int = 0
    bytes: int = 0

    def __add__(self, other: _Total) -> _Total:
        return _Total(self.rows + other.rows, self.bytes + other.bytes)


def checksum(space: Space, partition: int, key: bytes, value: bytes) -> int:
    """The CRC-32 that is stored with a row."""
    header = crc32(_CHECKSUM_HEADER.pack(space, partition, len(key)))
    return crc32(value, crc32(key, header))


class SqliteEngine:
    """Rows in a SQLite file, which is made if there is none.

    Raises `StorageError` if the file is damaged, of another program, or of another format;
    it is then left as it is.
    """

    def __init__(self, path: Path | str, durability: Durability = "commit") -> None:
        self._path = Path(path)
        self._durability = durability
        self._writer = open_writer(self._path)
        try:
            self._totals = self._read_totals()
            self._sequence = self._read_sequence()
            self._write_sync_mark()
            # The file and its log may be new: their names must not be lost either.
            sync_directory(self._path.parent)
            if durability != "commit":
                self._writer.execute("PRAGMA synchronous = NORMAL")
            self._reader = SnapshotReader(self._path)
        except sqlite3.Error as error:
            self._writer.close()
            raise translated(error, self._path) from error
        except BaseException:
            self._writer.close()
            raise
        self._log_path = self._path.with_name(self._path.name + "-wal")
        self._log_bytes = self._measured_log_bytes()
        # Unrolled once: a read is the shortest thing that the engine does.
        self._select = {
            space: f"SELECT value, checksum FROM {table} WHERE partition = ? AND key = ?"
            for space, table in TABLES.items()
        }

    @property
    def durability(self) -> Durability:
        return self._durability

    # --- reading: the event loop's thread -------------------------------------------------

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        row = self._reader.row(self._select[space], (partition, key))
        return None if row is None else _sound_value(space, partition, key, row)

    def get_many(self, space: Space, wanted: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        rows = self._reader.rows_of(self._select[space], wanted)
        return [
            None if row is None else _sound_value(space, partition, key, row)
            for (partition, key), row in zip(wanted, rows, strict=True)
        ]

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        assert limit >= 1
        stored = self._reader.rows_up_to(
            f"SELECT key, value, checksum, length(value) FROM {TABLES[space]}"
            " WHERE partition = ? AND key > ? ORDER BY key LIMIT ?",
            (partition, start, limit),
            total_max=SCAN_BYTES_MAX,
        )
        rows: list[tuple[bytes, bytes]] = []
        damaged: list[bytes] = []
        for key, value, stored_checksum, _ in stored:
            if _is_sound(value, space, partition, key, stored_checksum):
                rows.append((key, value))
            else:
                damaged.append(key)
        is_cut = len(stored) == limit or sum(row[-1] for row in stored) >= SCAN_BYTES_MAX
        return Scanned(tuple(rows), tuple(damaged), stored[-1][0] if is_cut else None)

    def is_empty(self, space: Space) -> bool:
        return self._totals[space].rows == 0

    def stats(self) -> EngineStats:
        totals = self._totals
        return EngineStats(
            records=totals[Space.RECORDS].rows,
            hints=totals[Space.HINTS].rows,
            bytes=sum(total.bytes for total in totals.values()),
            hint_bytes=totals[Space.HINTS].bytes,
            log_bytes=self._log_bytes,
            sequence=self._sequence,
        )

    # --- writing: the writer thread -------------------------------------------------------

    def apply(self, batch: Sequence[Change]) -> None:
        changes = list(last_changes(batch).values())
        if not changes:
            return
        totals = dict(self._totals)
        with self._transaction():
            for space in Space:
                in_space = [change for change in changes if change.space is space]
                if in_space:
                    totals[space] += self._apply_to(space, in_space)
                    self._write_total(space, totals[space])
            self._writer.execute("UPDATE syncs SET count = count + 2")
        self._reader.outdate()
        self._totals = totals
        self._sequence += 1
        self._log_bytes = self._measured_log_bytes()

    def _apply_to(self, space: Space, changes: list[Change]) -> _Total:
        """Change one table; gives by how much it grew."""
        puts = [change for change in changes if change.value is not None]
        removals = [change for change in changes if change.value is None]
        growth = _Total()
        for chunk in _chunks(puts):
            growth += self._upsert(TABLES[space], chunk)
        for chunk in _chunks(removals):
            growth += self._remove(TABLES[space], chunk)
        return growth

    def _upsert(self, table: str, chunk: list[Change]) -> _Total:
        replaced = self._measure(table, chunk)
        parameters: list[object] = []
        added_bytes = 0
        for change in chunk:
            space, partition, key, value = change.space, change.partition, change.key, change.value
            assert key, "keys are not empty"
            assert value is not None
            parameters += (partition, key, value, checksum(space, partition, key, value))
            added_bytes += len(key) + len(value)
        self._writer.execute(
            f"INSERT INTO {table} (partition, key, value, checksum)"
            f" VALUES {_placeholders('(?,?,?,?)', len(chunk))}"
            " ON CONFLICT (partition, key)"
            " DO UPDATE SET value = excluded.value, checksum = excluded.checksum",
            parameters,
        )
        return _Total(len(chunk) - replaced.rows, added_bytes - replaced.bytes)

    def _remove(self, table: str, chunk: list[Change]) -> _Total:
        removed = self._measure(table, chunk)
        if removed.rows:
            # Not one statement: SQLite walks the whole table for "(partition, key) IN (...)".
            self._writer.executemany(
                f"DELETE FROM {table} WHERE partition = ? AND key = ?",
                [(change.partition, change.key) for change in chunk],
            )
        return _Total(-removed.rows, -removed.bytes)

    def _measure(self, table: str, chunk: list[Change]) -> _Total:
        """What the rows at these addresses hold now; reads no value."""
        rows, size_bytes = self._writer.execute(
            "SELECT count(*), coalesce(sum(length(present.key) + length(present.value)), 0)"
            f" FROM (VALUES {_placeholders('(?,?)', len(chunk))}) AS wanted"
            # CROSS JOIN is SQLite's way to say: look each of them up, do not walk the table.
            f" CROSS JOIN {table} AS present"
            " ON present.partition = wanted.column1 AND present.key = wanted.column2",
            _addresses(chunk),
        ).fetchone()
        return _Total(rows, size_bytes)

    def _read_totals(self) -> dict[Space, _Total]:
        rows = self._writer.execute("SELECT space, rows, bytes FROM totals").fetchall()
        totals = {space: _Total(count, size_bytes) for space, count, size_bytes in rows}
        if set(totals) != {space.value for space in Space}:
            raise StorageError(f"{self._path} is damaged: its table of totals is not whole")
        return {space: totals[space.value] for space in Space}

    def _read_sequence(self) -> int:
        row = self._writer.execute("SELECT count FROM syncs").fetchone()
        if row is None or not isinstance(row[0], int):
            raise StorageError(f"{self._path} is damaged: its count of batches is not whole")
        return row[0] // 2

    def _write_total(self, space: Space, total: _Total) -> None:
        self._writer.execute(
            "UPDATE totals SET rows = ?, bytes = ? WHERE space = ?",
            (total.rows, total.bytes, space.value),
        )

    def sync(self) -> None:
        if self._durability == "commit":
            return
        # One synced commit syncs the log, and with it every commit that went before.
        with self._translating():
            self._writer.execute("PRAGMA synchronous = FULL")
            try:
                self._write_sync_mark()
            finally:
                self._writer.execute("PRAGMA synchronous = NORMAL")

    def _write_sync_mark(self) -> None:
        with self._transaction():
            # The lowest bit alone: a sync is no batch.
            self._writer.execute("UPDATE syncs SET count = count + 1 - 2 * (count % 2)")

    def checkpoint(self) -> None:
        with self._translating(), self._reader.let_go():
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self._log_bytes = self._measured_log_bytes()

    def _measured_log_bytes(self) -> int:
        try:
            return self._log_path.stat().st_size
        except OSError as error:
            # Someone removed the files: what is written from here on goes nowhere.
            raise StorageError(f"{self._log_path} is gone ({error.strerror})") from error

    def close(self) -> None:
        with self._translating():
            self._reader.close()
            self._writer.close()  # the last connection checkpoints, and removes the log

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            yield
            self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise translated(error, self._path) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        # Should this fail too, then the first error is the one to tell; and a transaction
        # that stays open is reported by the next BEGIN.
        with suppress(sqlite3.Error):
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _check(self) -> None:
        """That the totals are those of the tables. O(rows): for tests."""
        for space, table in TABLES.items():
            counted = self._reader.row(
                f"SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM {table}", ()
            )
            assert counted is not None
            assert _Total(*counted) == self._totals[space], (space, counted, self._totals)
        stored = self._reader.row("SELECT count FROM syncs", ())
        assert stored is not None
        assert stored[0] // 2 == self._sequence, (stored, self._sequence)


def _is_sound(
    value: object, space: Space, partition: int, key: bytes, stored_checksum: object
) -> TypeGuard[bytes]:
    return isinstance(value, bytes) and checksum(space, partition, key, value) == stored_checksum


def _sound_value(space: Space, partition: int, key: bytes, row: Row) -> bytes:
    value, stored_checksum = row
    if not _is_sound(value, space, partition, key, stored_checksum):
        raise Damaged(f"a row of {space.name.lower()} fails its checksum: {key!r:.80}")
    return value


def _placeholders(row: str, count: int) -> str:
    return ",".join([row] * count)


def _addresses(chunk: list[Change]) -> list[object]:
    addresses: list[object] = []
    for change in chunk:
        addresses += (change.partition, change.key)
    return addresses


def _chunks(changes: list[_T]) -> Iterator[list[_T]]:
    remaining = iter(changes)
    while chunk := list(islice(remaining, ROWS_PER_STATEMENT_MAX)):
        yield chunk
