"""One machine's disk in memory: what its process sees, and what a crash leaves of it.

Knows nothing of what files mean, of the network or of time. `DiskFiles` is the file system of
one process, for `dynamo_py.storage.durable_files`; the `Disk` outlives it.

Whatever is stored is a *synced* state and the steps since, in their order. A step is some
bytes of a file, a batch of a file of rows, or names of a directory that change together:

    write, create, rename --> steps --a sync returns--> synced
                                |-----a crash---------> a prefix of them or none; the rest is gone
                                +-----a sync fails----> doubtful: no later sync of this process
                                                        proves anything; at its end some prefix
                                                        of them turns out to be on disk

(For the last, see Rebello et al. 2020, "Can Applications Recover from fsync Failures?")
A file and the directory that names it are synced apart: a file whose name was not synced can
be lost with all that it holds, and a name can be kept whose file's content was not.

Invariants: what was synced is never lost but by `Disk.wipe`, `Disk.roll_back` and rot; a
batch is on disk as a whole or not at all; after its crash or its end a process changes
nothing, whatever it still calls, and no call fails: but there is no file for it to read.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dynamo_py.storage.durable_files import WritableFile
from dynamo_py.storage.engine import Address, Space
from dynamo_py.testing.stored import Batch, Directory, Entry, File, RowFile, synced_copy, walked
from dynamo_py.testing.trace import Trace

SECTOR_BYTES = 64
"""A write of a file may be torn between any two of these: small, since our files are."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was synced on a disk at some moment. Nothing changes it."""

    _root: Directory


@dataclass(slots=True)
class DiskStatistics:
    """Counts since the disk was made."""

    boots: int = 0
    crashes: int = 0
    syncs: int = 0
    lost_steps: int = 0
    """What crashes, and failed syncs, took away."""
    late_calls: int = 0
    """What processes still asked for after their end."""


class Disk:
    """One machine's disk. At most one process at a time has it, from `boot` on.

    ``random_`` decides what a crash leaves; ``name`` is what the trace calls this disk.
    ``on_change`` is told whenever a sync has brought something to it.
    """

    def __init__(
        self,
        random_: random.Random,
        trace: Trace,
        *,
        name: str,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.full = False
        """Whether there is no room: what would need some fails with ENOSPC."""
        self.has_lost = False
        """Whether something that was synced was ever lost: by a wipe, a copy put back, or rot."""
        self.statistics = DiskStatistics()
        self._random = random_
        self._trace = trace
        self._on_change = on_change or _ignore
        self._root = Directory({})
        self._process: DiskFiles | None = None
        self._is_next_sync_failing = False

    # --- processes ------------------------------------------------------------------------

    def boot(self) -> DiskFiles:
        """The files as a new process sees them. Its predecessor must be at its end."""
        assert self._process is None, "one process at a time"
        self.statistics.boots += 1
        self._note("boot", self.statistics.boots)
        for entry in walked(self._root):
            if entry.is_doubtful:
                self._lose(entry, "some")
        self._process = DiskFiles(self, self.statistics.boots)
        return self._process

    def crash(self, *, lose: Literal["all", "some"]) -> None:
        """Power fails: the process is at its end, and so is what it did not sync.

        With "some", a prefix of random length of each file's and directory's unsynced steps
        stays; with "all", none does.
        """
        self.statistics.crashes += 1
        self._note("crash", lose)
        if self._process is not None:
            self._process.close()
        for entry in walked(self._root):
            self._lose(entry, lose)

    def _lose(self, entry: Entry, lose: Literal["all", "some"]) -> None:
        steps = len(entry.steps)
        if steps:
            kept = self._random.randint(0, steps) if lose == "some" else 0
            self.statistics.lost_steps += steps - kept
            self._note("lost", steps - kept, steps)
            entry.keep(kept)
        entry.is_doubtful = False

    # --- faults ---------------------------------------------------------------------------

    def fail_next_sync(self) -> None:
        """The next sync of the running process, of whatever, fails with EIO."""
        self._is_next_sync_failing = True

    def flip_row(self, path: Path, address: Address) -> bool:
        """Let a row rot, until it is written again; False where there is none."""
        entry = self._at(path)
        self._note("flip row", str(path), address[0], address[1], address[2])
        self.has_lost = True
        return isinstance(entry, RowFile) and entry.flip(address)

    def flip_byte(self, path: Path, offset: int) -> bool:
        """Let a synced byte of a file rot; False where there is none."""
        entry = self._at(path)
        self._note("flip byte", str(path), offset)
        self.has_lost = True
        if not isinstance(entry, File) or not 0 <= offset < len(entry.synced):
            return False
        entry.synced[offset] ^= 0xFF
        return True

    def addresses(self, path: Path, space: Space) -> list[Address]:
        """Where rows of a space are, in order: for who wants to let one rot. O(rows log rows)."""
        entry = self._at(path)
        if not isinstance(entry, RowFile):
            return []
        return sorted(address for address in entry.current() if address[0] is space)

    def synced_row(self, path: Path, address: Address) -> bytes | None:
        """What a crash of this moment could not take from a file of rows; None: nothing."""
        return self.synced_rows(path).get(address)

    def synced_rows(self, path: Path) -> Mapping[Address, bytes]:
        """The same, all rows of a file, as they are when they are looked at."""
        found = self._at(path)
        return found.synced if isinstance(found, RowFile) else {}

    def wipe(self) -> None:
        """Everything is gone, as with a new disk. Only while no process runs."""
        assert self._process is None, "a process runs"
        self._note("wipe")
        self.has_lost = True
        self._root = Directory({})

    def snapshot(self) -> Snapshot:
        """What is synced now."""
        return Snapshot(synced_copy(self._root))

    def roll_back(self, snapshot: Snapshot) -> None:
        """The disk is again as it was synced then. Only while no process runs."""
        assert self._process is None, "a process runs"
        self._note("roll back")
        self.has_lost = True
        self._root = synced_copy(snapshot._root)

    # --- for the process ------------------------------------------------------------------

    def _at(self, path: Path) -> Entry | None:
        entry: Entry | None = self._root
        for part in path.relative_to(path.anchor).parts:
            if not isinstance(entry, Directory):
                return None
            entry = entry.current().get(part)
        return entry

    def _directory(self, path: Path) -> Directory:
        entry = self._at(path)
        if entry is None:
            raise _failure(errno.ENOENT, path)
        if not isinstance(entry, Directory):
            raise _failure(errno.ENOTDIR, path)
        return entry

    def _take_room(self, path: Path | None = None) -> None:
        if self.full:
            raise _failure(errno.ENOSPC, path)

    def _sync(self, entry: Entry) -> None:
        self.statistics.syncs += 1
        self._note("sync", len(entry.steps))
        if self._is_next_sync_failing:
            self._is_next_sync_failing = False
            entry.is_doubtful = True
            raise _failure(errno.EIO)
        if not entry.is_doubtful:
            is_change = any(entry.steps)  # A step may be none.
            entry.keep(len(entry.steps))
            if is_change:
                self._on_change()

    def _note(self, what: str, *facts: str | int | bytes) -> None:
        self._trace.note("disk", self.name, what, *facts)

    def _end(self, process: DiskFiles) -> None:
        assert process is self._process
        self._process = None
        self._is_next_sync_failing = False
        for entry in walked(self._root):
            if isinstance(entry, RowFile):
                entry.in_memory = None


class DiskFiles:
    """A `Disk` as one process sees it. After the process's end every call does nothing."""

    def __init__(self, disk: Disk, number: int) -> None:
        """For `Disk.boot` alone."""
        self._disk = disk
        self._number = number
        self._is_alive = True
        self._locked: set[Path] = set()

    def close(self) -> None:
        """The process ends, in order or killed: what it wrote stays, synced or not.

        May be called twice, and after a crash.
        """
        if self._is_alive:
            self._is_alive = False
            self._disk._end(self)

    def is_late(self) -> bool:
        """Whether the process is at its end; if so, this call is counted."""
        if self._is_alive:
            return False
        self._disk.statistics.late_calls += 1
        return True

    # --- `dynamo_py.storage.durable_files.Files` ------------------------------------------

    def is_directory(self, path: Path) -> bool:
        # Late: there is nothing to make.
        return self.is_late() or isinstance(self._disk._at(path), Directory)

    def make_directory(self, path: Path) -> None:
        if self.is_late():
            return
        self._disk._take_room(path)
        if self._disk._at(path) is not None:
            raise _failure(errno.EEXIST, path)
        if self._disk._at(path.parent) is None:
            self.make_directory(path.parent)
        self._disk._directory(path.parent).steps.append({path.name: Directory({})})

    def names(self, path: Path) -> list[str]:
        return [] if self.is_late() else list(self._disk._directory(path).current())

    def read(self, path: Path) -> bytes:
        entry = None if self.is_late() else self._disk._at(path)
        if entry is None:
            raise _failure(errno.ENOENT, path)
        if not isinstance(entry, File):
            raise _failure(errno.EISDIR, path)
        return bytes(entry.current())

    @contextmanager
    def writing(self, path: Path) -> Iterator[WritableFile]:
        if self.is_late():
            yield _Writing(self, File(bytearray()))
            return
        yield _Writing(self, self._emptied(path))

    def _emptied(self, path: Path) -> File:
        file = self._disk._at(path)
        if file is None:
            file = File(bytearray())
            self._disk._directory(path.parent).steps.append({path.name: file})
        elif not isinstance(file, File):
            raise _failure(errno.EISDIR, path)
        if file.is_doubtful:
            # All of it will be written anew: a sync can tell of that, as it could not of this.
            self._disk._lose(file, "some")
        file.steps.append(None)
        return file

    def rename(self, path: Path, new_path: Path) -> None:
        if self.is_late():
            return
        assert path.parent == new_path.parent, "only within a directory"
        directory = self._disk._directory(path.parent)
        entry = directory.current().get(path.name)
        if entry is None:
            raise _failure(errno.ENOENT, path)
        self._disk._note("rename", str(path), str(new_path))
        directory.steps.append({path.name: None, new_path.name: entry})

    def sync_directory(self, path: Path) -> None:
        if not self.is_late():
            self._disk._sync(self._disk._directory(path))

    def lock(self, path: Path) -> Callable[[], None]:
        if self.is_late():
            return _ignore
        if path in self._locked:
            raise _failure(errno.EAGAIN, path)
        # There is room for a few bytes in place of a few, even on a full disk.
        self._emptied(path).steps.append(b"%d\n" % self._number)
        self._locked.add(path)
        return lambda: None if self.is_late() else self._locked.discard(path)

    # --- for an engine --------------------------------------------------------------------

    def open_rows(self, path: Path) -> RowFile:
        """A file of rows, made if there is none: its name is not synced by this."""
        if self.is_late():
            return RowFile({})
        file = self._disk._at(path)
        if file is None:
            self._disk._take_room(path)
            file = RowFile({})
            self._disk._directory(path.parent).steps.append({path.name: file})
        elif not isinstance(file, RowFile):
            raise _failure(errno.EINVAL, path)
        return file

    def write_rows(self, file: RowFile, batch: Batch) -> None:
        """Append one batch, all or nothing. Raises `OSError` with ENOSPC."""
        if not self.is_late():
            self._disk._take_room()
            file.steps.append(batch)

    def sync_rows(self, file: RowFile) -> None:
        """Wait until the batches so far are on disk. Raises `OSError` with EIO."""
        if not self.is_late():
            self._disk._sync(file)


class _Writing:
    """A file that a process is writing."""

    def __init__(self, files: DiskFiles, file: File) -> None:
        self._files = files
        self._file = file

    def write(self, content: bytes) -> None:
        if self._files.is_late():
            return
        self._files._disk._take_room()
        for start in range(0, len(content), SECTOR_BYTES):
            self._file.steps.append(content[start : start + SECTOR_BYTES])

    def sync(self) -> None:
        if not self._files.is_late():
            self._files._disk._sync(self._file)


def _failure(number: int, path: Path | None = None) -> OSError:
    """As the operating system would raise it: of the kind that belongs to the number."""
    return OSError(number, os.strerror(number), None if path is None else str(path))


def _ignore() -> None:
    """Where there is nothing to be done, or nobody to be told."""
