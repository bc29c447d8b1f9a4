"""The SQLite file itself: how it is opened, which format it has, what its errors mean.

Knows nothing of batches or of the engine's calls; `dynamo_py.storage.sqlite` does.

The format is the pair (application id, user version), which SQLite keeps in the header.
A file of another application, or of a newer version of ours, is refused before anything in
it is changed. A file without any table and with neither number is new, or was being made
when the process died: both are finished in one transaction.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from dynamo_py.errors import DiskFull, StorageError, SyncFailed
from dynamo_py.storage.engine import Space

APPLICATION_ID = 0x64796E6F  # "dyno"
FORMAT_VERSION = 1
PAGE_BYTES = 8192
CACHE_BYTES = 16 * 1024 * 1024
"""For each of the two connections; beyond it the operating system's cache serves."""

BUSY_TIMEOUT_S = 1.0
"""How long to wait for another program that looks at the file, such as a backup."""

STATEMENTS_CACHED = 256
SQLITE_VERSION_MIN = (3, 32, 0)
"""The first one that allows 32,766 variables; it has all else that is needed here."""

TABLES: dict[Space, str] = {
    Space.RECORDS: "records",
    Space.HINTS: "hints",
    Space.META: "meta",
}


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, to a file of our format, made where there is none."""
    if sqlite3.sqlite_version_info < SQLITE_VERSION_MIN:
        needed = ".".join(map(str, SQLITE_VERSION_MIN))
        raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old: {needed} is needed")
    try:
        writer = _connect(path, mode="rwc")
        try:
            _prepare(writer, path)
        except BaseException:
            writer.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return writer


def open_reader(path: Path) -> sqlite3.Connection:
    """The one connection that reads. It cannot write: not even by our mistake."""
    try:
        reader = _connect(path, mode="ro")
        # A damaged row may say that it is text: it is to fail its checksum, not its decoding.
        reader.text_factory = bytes
        return reader
    except sqlite3.Error as error:
        raise translated(error, path) from error


def _connect(path: Path, *, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,  # transactions are begun and committed in plain sight
        check_same_thread=False,  # the writer thread may be another one for each batch
        cached_statements=STATEMENTS_CACHED,
    )
    connection.execute(f"PRAGMA cache_size = {-CACHE_BYTES // 1024}")
    return connection


def _prepare(writer: sqlite3.Connection, path: Path) -> None:
    is_new = _is_new(writer, path)
    if is_new:
        writer.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    (journal_mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
    if journal_mode != "wal":
        raise StorageError(f"{path} cannot be opened with a write-ahead log on this file system")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("PRAGMA synchronous = FULL")
    if is_new:
        _create_tables(writer)


def _is_new(writer: sqlite3.Connection, path: Path) -> bool:
    """Whether the file holds nothing yet. Raises `StorageError` if it is not ours."""
    (application_id,) = writer.execute("PRAGMA application_id").fetchone()
    (version,) = writer.execute("PRAGMA user_version").fetchone()
    (tables,) = writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application_id, version, tables) == (0, 0, 0):
        return True
    if application_id != APPLICATION_ID:
        raise StorageError(f"{path} is a database of another program; it was left as it is")
    if version != FORMAT_VERSION:
        raise StorageError(
            f"{path} has format {version}, and this program reads format {FORMAT_VERSION} alone"
        )
    return False


def _create_tables(writer: sqlite3.Connection) -> None:
    writer.execute("BEGIN IMMEDIATE")
    for table in TABLES.values():
        writer.execute(
            f"CREATE TABLE {table} (partition INTEGER NOT NULL, key BLOB NOT NULL,"
            " value BLOB NOT NULL, checksum INTEGER NOT NULL,"
            " PRIMARY KEY (partition, key)) WITHOUT ROWID"
        )
    # How much each table holds, changed in the transactions that change the tables.
    writer.execute("CREATE TABLE totals (space INTEGER PRIMARY KEY, rows INTEGER, bytes INTEGER)")
    writer.executemany("INSERT INTO totals VALUES (?, 0, 0)", [(space.value,) for space in Space])
    # Twice the number of batches, changed in the transactions that they are. Its lowest bit
    # gives a transaction without a batch something to write, and so a reason to sync.
    writer.execute("CREATE TABLE syncs (count INTEGER NOT NULL)")
    writer.execute("INSERT INTO syncs VALUES (0)")
    writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    writer.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    writer.execute("COMMIT")


def translated(error: sqlite3.Error, path: Path) -> StorageError:
    """What an error of SQLite means for a user: one line, and what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC):
        return SyncFailed(f"{path} could not be synced to disk: restart the node ({error})")
    primary = code & 0xFF  # the rest of an extended code is detail
    if primary == sqlite3.SQLITE_FULL:
        return DiskFull(f"no room left to write {path}: free some space on its disk")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageError(f"{path} is damaged or not a database: restore it ({error})")
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StorageError(f"{path} is held by another program ({error})")
    return StorageError(f"{path} could not be read or written ({error})")
