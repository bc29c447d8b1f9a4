"""The SQLite engine: format, durability, damage, errors, checkpoints."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dynamo_py.errors import Damaged, DiskFull, DynamoError, StorageError, SyncFailed
from dynamo_py.storage import sqlite as sqlite_module
from dynamo_py.storage.engine import Change, Durability, Space
from dynamo_py.storage.sqlite import SqliteEngine, checksum
from dynamo_py.storage.sqlite_file import (
    APPLICATION_ID,
    FORMAT_VERSION,
    PAGE_BYTES,
    translated,
)


def put(key: bytes, value: bytes, partition: int = 1) -> Change:
    return Change(Space.RECORDS, partition, key, value)


def refused(path: Path) -> str:
    with pytest.raises(StorageError) as error:
        SqliteEngine(path)
    assert "\n" not in error.value.message
    return error.value.message


def edit(path: Path, statement: str) -> None:
    """Change the file from outside, as a disk or a person might."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def write_batches(engine: SqliteEngine, count: int) -> None:
    for number in range(count):
        engine.apply([put(b"%06d" % (number * 16 + row), bytes(200)) for row in range(16)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a store #1?.sqlite3"


def test_the_file_has_the_format_that_the_design_names(path: Path):
    with closing(SqliteEngine(path)):
        pass
    with closing(sqlite3.connect(path)) as connection:
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_size", "journal_mode", "application_id", "user_version")
        }
    assert settings == {
        "page_size": PAGE_BYTES,
        "journal_mode": "wal",
        "application_id": APPLICATION_ID,
        "user_version": FORMAT_VERSION,
    }


@pytest.mark.parametrize(("durability", "level"), [("commit", 2), ("interval", 1), ("none", 1)])
def test_the_writer_syncs_as_the_durability_says(path: Path, durability: Durability, level: int):
    with closing(SqliteEngine(path, durability)) as engine:
        engine.sync()
        assert engine.durability == durability
        assert engine._writer.execute("PRAGMA synchronous").fetchone() == (level,)


def test_rows_and_counts_survive_closing_and_opening(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"1"), put(b"b", b"22"), Change(Space.HINTS, 2, b"h", b"333")])
        before = engine.stats()
    with closing(SqliteEngine(path)) as engine:
        assert engine.get(Space.RECORDS, 1, b"b") == b"22"
        after = engine.stats()
        engine._check()
    assert (after.records, after.hints, after.bytes) == (2, 1, 9)
    assert (after.records, after.hints, after.bytes) == (
        before.records,
        before.hints,
        before.bytes,
    )


def test_batches_are_counted_in_the_file_and_openings_are_not(path: Path):
    for number in range(3):
        with closing(SqliteEngine(path, "interval")) as engine:
            assert engine.stats().sequence == 2 * number
            engine.apply([put(b"a", b"1")])
            engine.sync()
            engine.apply([put(b"a", b"2")])
            engine._check()


def test_an_older_copy_of_the_file_has_an_older_count(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"1")])
    copy = path.read_bytes()
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"2")])
        assert engine.stats().sequence == 2
    path.write_bytes(copy)
    with closing(SqliteEngine(path)) as engine:
        assert engine.stats().sequence == 1


def test_a_batch_that_failed_is_not_counted(path: Path):
    with closing(SqliteEngine(path)) as engine:
        (pages,) = engine._writer.execute("PRAGMA page_count").fetchone()
        engine._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFull):
            engine.apply([put(b"c", bytes(100_000))])
        assert engine.stats().sequence == 0
        engine._check()


def test_a_missing_count_is_noticed_when_the_file_is_opened(path: Path):
    with closing(SqliteEngine(path)):
        pass
    edit(path, "DELETE FROM syncs")
    assert "count of batches" in refused(path)


def test_a_bad_byte_damages_its_row_alone(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(key, b"value") for key in (b"a", b"b", b"c")])
    edit(path, "UPDATE records SET value = CAST('vaLue' AS BLOB) WHERE key = CAST('b' AS BLOB)")
    with closing(SqliteEngine(path)) as engine:
        assert engine.get(Space.RECORDS, 1, b"a") == b"value"
        with pytest.raises(Damaged, match="b'b'"):
            engine.get(Space.RECORDS, 1, b"b")
        with pytest.raises(Damaged):
            engine.get_many(Space.RECORDS, [(1, b"a"), (1, b"b")])
        page = engine.scan(Space.RECORDS, 1, b"", 10)
        assert [key for key, _ in page.rows] == [b"a", b"c"]
        assert page.damaged_keys == (b"b",)
        assert engine.scan(Space.RECORDS, 1, b"", 2).next_start == b"b"

        engine.apply([put(b"b", b"whole again")])
        assert engine.get(Space.RECORDS, 1, b"b") == b"whole again"
        assert engine.scan(Space.RECORDS, 1, b"", 10).damaged_keys == ()


def test_a_bit_that_flips_on_the_disk_is_noticed(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"the first value"), put(b"b", b"the second value")])
    content = path.read_bytes()
    assert content.count(b"the second value") == 1
    path.write_bytes(content.replace(b"the second value", b"the sebond value"))
    with closing(SqliteEngine(path)) as engine:
        assert engine.get(Space.RECORDS, 1, b"a") == b"the first value"
        with pytest.raises(Damaged):
            engine.get(Space.RECORDS, 1, b"b")


def test_a_missing_total_is_noticed_when_the_file_is_opened(path: Path):
    with closing(SqliteEngine(path)):
        pass
    edit(path, "DELETE FROM totals WHERE space = 2")
    assert "damaged" in refused(path)


def test_files_that_were_removed_under_a_running_node_are_noticed(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"1")])
        for file in path.parent.iterdir():
            file.unlink()
        with pytest.raises(StorageError, match="is gone"):
            engine.apply([put(b"b", b"2")])


@pytest.mark.parametrize(
    "change",
    [
        "value = 'text'",
        "value = 7",
        "checksum = checksum + 1",
        "checksum = 'x'",
        "partition = 2",
        "key = CAST('k2' AS BLOB)",
    ],
)
def test_damage_of_any_column_is_noticed(path: Path, change: str):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"k", b"value")])
    edit(path, f"UPDATE records SET {change}")
    with closing(SqliteEngine(path)) as engine:
        damaged = [
            key
            for partition in (1, 2)
            for key in engine.scan(Space.RECORDS, partition, b"", 10).damaged_keys
        ]
        assert len(damaged) == 1


def test_a_checksum_tells_where_the_key_ends_and_where_the_row_belongs():
    sums = {
        checksum(Space.RECORDS, 1, b"ab", b"c"),
        checksum(Space.RECORDS, 1, b"a", b"bc"),
        checksum(Space.RECORDS, 2, b"ab", b"c"),
        checksum(Space.HINTS, 1, b"ab", b"c"),
    }
    assert len(sums) == 4


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(path: Path):
    content = b"these are not the bytes you are looking for" * 400
    path.write_bytes(content)
    assert "damaged or not a database" in refused(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_is_refused_and_left_as_it_is(path: Path):
    edit(path, "CREATE TABLE addresses (name TEXT)")
    content = path.read_bytes()
    assert "another program" in refused(path)
    assert path.read_bytes() == content


def test_another_version_of_the_format_is_refused(path: Path):
    with closing(SqliteEngine(path)):
        pass
    edit(path, f"PRAGMA user_version = {FORMAT_VERSION + 1}")
    assert f"has format {FORMAT_VERSION + 1}" in refused(path)


def test_a_file_whose_making_was_cut_short_is_finished(path: Path):
    edit(path, "PRAGMA journal_mode = WAL")
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"1")])
        assert engine.stats().records == 1


def test_a_missing_directory_is_one_clear_line(tmp_path: Path):
    assert "could not be read or written" in refused(tmp_path / "missing" / "store")


def test_pages_overwritten_with_rubbish_give_a_storage_error_and_no_wrong_answer(path: Path):
    with closing(SqliteEngine(path)) as engine:
        write_batches(engine, 40)
    with path.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(random.Random(1).randbytes(path.stat().st_size - PAGE_BYTES))
    with pytest.raises(StorageError), closing(SqliteEngine(path)) as engine:
        engine.get(Space.RECORDS, 1, b"000000")


def test_a_full_disk_is_told_as_such_and_the_batch_is_not_there(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"1")])
        (pages,) = engine._writer.execute("PRAGMA page_count").fetchone()
        engine._writer.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DiskFull, match="free some space") as full:
            engine.apply([put(b"b", b"2"), put(b"c", bytes(100_000))])
        assert full.value.retryable
        assert engine.get(Space.RECORDS, 1, b"b") is None
        assert engine.stats().records == 1

        engine._writer.execute("PRAGMA max_page_count = 100000")
        engine.apply([put(b"b", b"2")])
        assert engine.stats().records == 2
        engine._check()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, SyncFailed),
        (sqlite3.SQLITE_IOERR_DIR_FSYNC, SyncFailed),
        (sqlite3.SQLITE_FULL, DiskFull),
        (sqlite3.SQLITE_IOERR_WRITE, StorageError),
        (sqlite3.SQLITE_CORRUPT, StorageError),
        (sqlite3.SQLITE_CORRUPT_INDEX, StorageError),
        (sqlite3.SQLITE_BUSY, StorageError),
        (None, StorageError),
    ],
)
def test_each_error_of_sqlite_is_one_of_ours(path: Path, code: int | None, kind: type):
    error = sqlite3.OperationalError("it failed")
    if code is not None:
        error.sqlite_errorcode = code
    ours = translated(error, path)
    assert type(ours) is kind
    assert "it failed" in ours.message or kind is DiskFull


def test_another_program_that_writes_is_an_error_and_not_a_loss(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("dynamo_py.storage.sqlite_file.BUSY_TIMEOUT_S", 0.01)
    with (
        closing(SqliteEngine(path)) as engine,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="held by another program"):
            engine.apply([put(b"a", b"1")])
        other.execute("ROLLBACK")
        engine.apply([put(b"a", b"1")])
        assert engine.get(Space.RECORDS, 1, b"a") == b"1"


def test_a_checkpoint_empties_the_log_although_reads_keep_a_snapshot(path: Path):
    with closing(SqliteEngine(path)) as engine:
        write_batches(engine, 10)
        assert engine.get(Space.RECORDS, 1, b"000003") is not None
        assert engine.get(Space.RECORDS, 1, b"missing") is None
        assert len(engine.scan(Space.RECORDS, 1, b"", 3).rows) == 3
        assert engine.stats().log_bytes > 0
        engine.checkpoint()
        assert engine.stats().log_bytes == 0
        assert engine.get(Space.RECORDS, 1, b"000003") is not None


def test_reads_during_a_checkpoint_do_not_hold_it_back(path: Path):
    with closing(SqliteEngine(path)) as engine:
        engine.apply([put(b"a", b"1"), put(b"b", b"2")])
        with engine._reader.let_go():
            assert engine.get(Space.RECORDS, 1, b"a") == b"1"
            assert engine.get_many(Space.RECORDS, [(1, b"b"), (1, b"a")]) == [b"2", b"1"]
            assert len(engine.scan(Space.RECORDS, 1, b"", 9).rows) == 2
            checkpointed = engine._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert checkpointed[0] == 0, "busy"


def test_a_page_of_a_scan_that_ends_early_holds_nothing_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite_module, "SCAN_BYTES_MAX", 300)
    with closing(SqliteEngine(path)) as engine:
        write_batches(engine, 1)
        assert len(engine.scan(Space.RECORDS, 1, b"", 10).rows) == 2
        engine.checkpoint()
        assert engine.stats().log_bytes == 0


def test_a_closed_engine_answers_with_our_own_error(path: Path):
    engine = SqliteEngine(path)
    engine.close()
    with pytest.raises(DynamoError):
        engine.get(Space.RECORDS, 1, b"a")
    with pytest.raises(DynamoError):
        engine.apply([put(b"a", b"1")])
