"""The simulator's disk: what a crash leaves, and that the data directory outlives it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from dynamo_py.errors import DiskFull, StorageError, SyncFailed, WrongState
from dynamo_py.storage.directory import NODE_FILE, DataDirectory
from dynamo_py.storage.durable_files import Files, replace_file, sync_directory
from dynamo_py.storage.engine import Change, Space
from dynamo_py.testing.disk import SECTOR_BYTES, Disk, DiskFiles
from dynamo_py.testing.trace import Trace

Lose = Literal["all", "some"]
LOSSES: tuple[Lose, ...] = ("all", "some")
FILE = Path("/data/file")
LONG = bytes(range(256)) * 2


def new_disk(seed: int = 1) -> Disk:
    return Disk(random.Random(seed), Trace(lambda: 0.0), name="a")


def booted(disk: Disk) -> DiskFiles:
    """A process on a disk whose directory is there, and stays."""
    files = disk.boot()
    if not files.is_directory(FILE.parent):
        files.make_directory(FILE.parent)
        files.sync_directory(FILE.parent.parent)
    return files


def content(files: Files, path: Path = FILE) -> bytes | None:
    try:
        return files.read(path)
    except FileNotFoundError:
        return None


def write(files: Files, path: Path, *, of: bytes, is_synced: bool = True) -> None:
    with files.writing(path) as file:
        file.write(of)
        if is_synced:
            file.sync()


def opened(files: Files, seed: int = 1, path: Path = FILE.parent) -> DataDirectory:
    return DataDirectory.open(
        path, cluster_name="test", random=random.Random(seed), now_ms=0, files=files
    )


class Crashing:
    """Files whose disk crashes before one of the calls."""

    def __init__(self, disk: Disk, inner: Any, *, before: list[int], lose: Lose) -> None:
        self._disk, self._inner, self._before, self._lose = disk, inner, before, lose

    def __getattr__(self, name: str) -> Any:
        if self._before[0] == 0:
            self._disk.crash(lose=self._lose)
        self._before[0] -= 1
        return getattr(self._inner, name)

    @contextmanager
    def writing(self, path: Path) -> Iterator[Any]:
        with self.__getattr__("writing")(path) as file:
            yield Crashing(self._disk, file, before=self._before, lose=self._lose)


def crashing(disk: Disk, files: Files, *, before: int, lose: Lose) -> Any:
    return Crashing(disk, files, before=[before], lose=lose)


# --- what a crash leaves ------------------------------------------------------------------------


def test_what_is_written_is_read_whether_it_is_synced_or_not():
    files = booted(new_disk())
    write(files, FILE, of=LONG, is_synced=False)
    assert content(files) == LONG
    assert files.names(FILE.parent) == ["file"]


@pytest.mark.parametrize("lose", LOSSES)
def test_what_is_synced_with_its_name_is_never_lost(lose: Lose):
    for seed in range(20):
        disk = new_disk(seed)
        files = booted(disk)
        write(files, FILE, of=LONG)
        files.sync_directory(FILE.parent)
        disk.crash(lose=lose)
        assert content(booted(disk)) == LONG


def test_a_crash_that_loses_all_leaves_what_was_synced():
    disk = new_disk()
    files = booted(disk)
    write(files, FILE, of=b"old")
    files.sync_directory(FILE.parent)
    write(files, FILE, of=b"new", is_synced=False)
    write(files, FILE.with_name("other"), of=b"synced, but not its name")
    disk.crash(lose="all")
    files = booted(disk)
    assert files.names(FILE.parent) == ["file"]
    assert content(files) == b"old"


def test_a_crash_that_loses_some_leaves_each_prefix_for_some_seed():
    found = set()
    for seed in range(200):
        disk = new_disk(seed)
        files = booted(disk)
        write(files, FILE, of=b"old")
        files.sync_directory(FILE.parent)
        write(files, FILE, of=LONG, is_synced=False)
        disk.crash(lose="some")
        found.add(content(booted(disk)))
    prefixes = {LONG[:length] for length in range(0, len(LONG) + 1, SECTOR_BYTES)}
    assert found == prefixes | {b"old"}


def test_names_are_lost_from_the_last_on():
    found = set()
    for seed in range(50):
        disk = new_disk(seed)
        files = booted(disk)
        for name in "abc":
            write(files, FILE.with_name(name), of=b"")
        files.rename(FILE.with_name("a"), FILE.with_name("d"))
        disk.crash(lose="some")
        found.add("".join(sorted(booted(disk).names(FILE.parent))))
    assert found == {"", "a", "ab", "abc", "bcd"}


def test_a_process_that_is_killed_loses_nothing_until_the_power_fails():
    disk = new_disk()
    files = booted(disk)
    write(files, FILE, of=LONG, is_synced=False)
    files.close()
    assert content(booted(disk)) == LONG
    disk.crash(lose="all")
    assert content(booted(disk)) is None


# --- the steps of the production code -----------------------------------------------------------


def replace_without_syncing_the_directory(path: Path, content: bytes, *, files: Files) -> None:
    """The usual mistake."""
    temporary = path.with_name(path.name + ".new")
    with files.writing(temporary) as file:
        file.write(content)
        file.sync()
    files.rename(temporary, path)


def replace_without_syncing_the_file(path: Path, content: bytes, *, files: Files) -> None:
    """The other one."""
    temporary = path.with_name(path.name + ".new")
    with files.writing(temporary) as file:
        file.write(content)
    files.rename(temporary, path)
    files.sync_directory(path.parent)


def contents_after(replace: Any, lose: Lose) -> set[bytes | None]:
    """What crashes right after a replacement leave of a file."""
    found = set()
    for seed in range(30):
        disk = new_disk(seed)
        files = booted(disk)
        replace_file(FILE, b"old", files=files)
        replace(FILE, LONG, files=files)
        disk.crash(lose=lose)
        found.add(content(booted(disk)))
    return found


@pytest.mark.parametrize("lose", LOSSES)
def test_a_replaced_file_is_there_after_a_crash(lose: Lose):
    assert contents_after(replace_file, lose) == {LONG}


def test_without_the_sync_of_the_directory_the_replacement_can_be_lost():
    assert contents_after(replace_without_syncing_the_directory, "all") == {b"old"}
    assert contents_after(replace_without_syncing_the_directory, "some") == {b"old", LONG}


def test_without_the_sync_of_the_file_its_content_can_be_lost():
    assert contents_after(replace_without_syncing_the_file, "all") == {b""}
    assert len(contents_after(replace_without_syncing_the_file, "some") - {b"", LONG}) > 1


def test_without_the_sync_of_the_directory_a_node_can_lose_its_identity(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(
        "dynamo_py.storage.directory.replace_file", replace_without_syncing_the_directory
    )
    disk = new_disk()
    first = opened(booted(disk), seed=1).identity
    disk.crash(lose="all")
    assert NODE_FILE not in booted(disk).names(FILE.parent)
    disk.crash(lose="all")
    assert opened(booted(disk), seed=2).identity != first


@pytest.mark.parametrize("lose", LOSSES)
def test_a_crash_at_any_step_of_a_replacement_leaves_the_old_or_the_new_file(lose: Lose):
    found = []
    for step in range(6):
        disk = new_disk(step)
        files = booted(disk)
        replace_file(FILE, b"old", files=files)
        replace_file(FILE, LONG, files=crashing(disk, files, before=step, lose=lose))
        disk.crash(lose=lose)
        found.append(content(booted(disk)))
    assert set(found) == {b"old", LONG}
    assert found[0] == b"old"  # before the first step
    assert found[-1] == LONG  # after the last one


@pytest.mark.parametrize("lose", LOSSES)
def test_a_directory_that_was_opened_keeps_its_identity_and_its_cluster(lose: Lose):
    path = Path("/srv/stores/one")  # none of these is there yet
    for seed in range(20):
        disk = new_disk(seed)
        first = opened(disk.boot(), seed=1, path=path).identity
        disk.crash(lose=lose)
        directory = opened(disk.boot(), seed=2, path=path)
        assert directory.identity == first
        directory.join_cluster("0" * 32, first.node_id)
        disk.crash(lose=lose)
        assert opened(disk.boot(), seed=3, path=path).identity.cluster_id == "0" * 32


@pytest.mark.parametrize("lose", LOSSES)
def test_a_directory_can_be_opened_after_a_crash_at_any_step_of_its_making(lose: Lose):
    path = Path("/srv/stores/one")
    for step in range(25):
        disk = new_disk(step)
        # What comes back is worth nothing: its process is no more.
        opened(crashing(disk, disk.boot(), before=step, lose=lose), path=path)
        disk.crash(lose=lose)
        second = opened(disk.boot(), seed=2, path=path).identity
        disk.crash(lose=lose)
        assert opened(disk.boot(), seed=3, path=path).identity == second


def test_a_directory_is_held_by_one_at_a_time_and_let_go_by_a_crash():
    disk = new_disk()
    files = booted(disk)
    directory = opened(files)
    with pytest.raises(WrongState, match="in use by process 1"):
        opened(files)
    directory.close()
    opened(files)
    disk.crash(lose="some")
    opened(booted(disk)).close()


# --- faults -------------------------------------------------------------------------------------


def test_a_full_disk_takes_no_writes_and_leaves_the_old_file():
    disk = new_disk()
    files = booted(disk)
    replace_file(FILE, b"old", files=files)
    disk.full = True
    with pytest.raises(DiskFull):
        replace_file(FILE, b"new", files=files)
    with pytest.raises(StorageError, match="cannot be made"):
        opened(files, path=Path("/other"))
    assert content(files) == b"old"
    disk.full = False
    replace_file(FILE, b"new", files=files)
    assert content(files) == b"new"


def test_a_sync_that_fails_is_told_once():
    disk = new_disk()
    files = booted(disk)
    disk.fail_next_sync()
    with pytest.raises(StorageError, match="could not be written"):
        replace_file(FILE, b"new", files=files)
    replace_file(FILE, b"new", files=files)  # all of it anew: this is as good as the first
    disk.crash(lose="all")
    assert content(booted(disk)) == b"new"


def test_after_a_failed_sync_a_later_one_proves_nothing():
    found = set()
    for seed in range(30):
        disk = new_disk(seed)
        files = booted(disk)
        write(files, FILE, of=b"new")
        disk.fail_next_sync()
        with pytest.raises(SyncFailed):
            sync_directory(FILE.parent, files=files)
        sync_directory(FILE.parent, files=files)
        assert content(files) == b"new"
        if seed % 2:
            files.close()  # even where the machine goes on, a page that was dropped is gone
        else:
            disk.crash(lose="some")
        found.add((seed % 2, content(booted(disk))))
    assert found == {(0, None), (0, b"new"), (1, None), (1, b"new")}


def test_who_wants_to_know_is_told_of_each_sync_that_brings_something_to_the_disk():
    told = []
    disk = Disk(random.Random(1), Trace(lambda: 0.0), name="a", on_change=lambda: told.append(1))
    files = booted(disk)
    told.clear()
    write(files, FILE, of=b"unsynced", is_synced=False)
    assert not told
    write(files, FILE, of=b"synced")
    assert len(told) == 1
    files.sync_directory(FILE.parent)
    assert len(told) == 2
    files.sync_directory(FILE.parent)
    rows = files.open_rows(FILE.with_name("rows"))
    files.write_rows(rows, ())
    files.sync_rows(rows)
    assert len(told) == 2, "there was nothing to bring"
    disk.fail_next_sync()
    with pytest.raises(OSError, match="error"):
        write(files, FILE, of=b"doubtful")
    assert len(told) == 2


def test_a_synced_row_is_what_a_crash_of_this_moment_would_leave():
    disk, path, address = new_disk(), FILE.with_name("rows"), (Space.META, 0, b"k")
    files = booted(disk)
    assert disk.synced_row(path, address) is None, "there is no file"
    rows = files.open_rows(path)
    files.sync_directory(path.parent)
    for value in (b"old", b"new"):
        before = disk.synced_row(path, address)
        files.write_rows(rows, (Change(*address, value),))
        assert disk.synced_row(path, address) == before
        files.sync_rows(rows)
        assert disk.synced_row(path, address) == value
    assert disk.synced_row(path, (Space.META, 1, b"k")) is None
    write(files, FILE, of=b"no rows")
    assert disk.synced_row(FILE, address) is None
    disk.crash(lose="all")
    assert disk.synced_row(path, address) == b"new"
    disk.wipe()
    assert disk.synced_row(path, address) is None


def test_a_sync_that_was_to_fail_does_not_outlive_its_process():
    disk = new_disk()
    booted(disk)
    disk.fail_next_sync()
    disk.crash(lose="all")
    replace_file(FILE, b"new", files=booted(disk))


def test_a_rotten_identity_is_refused():
    disk = new_disk()
    opened(booted(disk))
    assert disk.flip_byte(FILE.with_name(NODE_FILE), 3)
    assert not disk.flip_byte(FILE.with_name(NODE_FILE), 100_000)
    assert not disk.flip_byte(FILE.with_name("missing"), 0)
    assert disk.has_lost
    disk.crash(lose="all")
    with pytest.raises(StorageError, match="is damaged"):
        opened(booted(disk))


def test_a_wiped_disk_is_empty():
    disk = new_disk()
    write(booted(disk), FILE, of=b"new")
    with pytest.raises(AssertionError):
        disk.wipe()
    disk.crash(lose="some")
    assert not disk.has_lost
    disk.wipe()
    assert disk.has_lost
    assert disk.boot().names(Path("/")) == []


def test_a_disk_is_rolled_back_to_what_was_synced_and_more_than_once():
    disk = new_disk()
    files = booted(disk)
    replace_file(FILE, b"old", files=files)
    write(files, FILE, of=b"not synced", is_synced=False)
    write(files, FILE.with_name("other"), of=b"not named")
    snapshot = disk.snapshot()
    for _ in range(2):
        replace_file(FILE, b"new", files=files)
        with pytest.raises(AssertionError):
            disk.roll_back(snapshot)
        disk.crash(lose="some")
        disk.roll_back(snapshot)
        files = booted(disk)
        assert files.names(FILE.parent) == ["file"]
        assert content(files) == b"old"


def test_a_process_changes_and_raises_nothing_after_its_crash():
    disk = new_disk()
    late = booted(disk)
    directory = opened(late)
    disk.crash(lose="all")
    disk.full = True
    disk.fail_next_sync()
    before = disk.boot().names(FILE.parent)
    replace_file(FILE, b"late", files=late)
    directory.join_cluster("0" * 32, directory.identity.node_id)
    directory.close()
    opened(late, path=Path("/other")).close()
    late.make_directory(Path("/other"))
    assert content(late) is None
    late.lock(FILE.with_name("LOCK"))()
    late.sync_directory(Path("/nowhere"))
    late.close()
    disk.crash(lose="some")
    disk.full = False
    files = disk.boot()
    assert files.names(FILE.parent) == before
    assert files.names(Path("/")) == ["data"]
    assert opened(files).identity.cluster_id is None
    assert disk.statistics.late_calls >= 8


def test_two_runs_from_one_seed_are_the_same():
    def run(seed: int) -> tuple[str, bytes | None]:
        trace = Trace(lambda: 0.0)
        disk = Disk(random.Random(seed), trace, name="a")
        for _ in range(5):
            write(booted(disk), FILE, of=LONG, is_synced=False)
            disk.crash(lose="some")
        return trace.digest, content(booted(disk))

    assert run(1) == run(1)
    assert len({run(seed)[0] for seed in range(10)}) > 1
