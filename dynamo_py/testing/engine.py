"""An engine over the simulator's disk: what `SqliteEngine` promises, and what it does not.

Knows nothing of records or of when faults come: `dynamo_py.testing.disk` is told of those.

Readers see the rows in memory; the file of rows gets each batch, and is synced when the
durability says so. A batch is written and synced first, and read only then, so that one whose
sync failed is not read, though it may surface when the engine is opened again.

After the end of its process an engine shows what it had in memory, and changes nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dynamo_py.errors import Damaged, DiskFull, StorageError, SyncFailed
from dynamo_py.storage.durable_files import sync_directory
from dynamo_py.storage.engine import Change, Durability, EngineStats, Scanned, Space
from dynamo_py.testing.disk import DiskFiles
from dynamo_py.testing.stored import Rotten


class SimulatedEngine:
    """Rows in a file of rows, which is made if there is none.

    Raises `StorageError` if it cannot be opened; `DiskFull` among others, as `SqliteEngine`
    does, since each opening writes something.
    """

    def __init__(self, files: DiskFiles, path: Path, durability: Durability = "commit") -> None:
        self._files = files
        self._path = path
        self._durability = durability
        try:
            self._file = files.open_rows(path)
        except OSError as error:
            raise self._translated(error) from error
        self._write((), is_synced=True)
        # The file may be new: its name must not be lost either.
        sync_directory(path.parent, files=files)
        self._rows = self._file.open()
        self._sequence = self._file.sequence

    @property
    def durability(self) -> Durability:
        return self._durability

    # --- reading --------------------------------------------------------------------------

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        value = self._rows.get(space, partition, key)
        if type(value) is Rotten:
            raise _damaged(space, key)
        return value

    def get_many(self, space: Space, wanted: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        values = self._rows.get_many(space, wanted)
        for (_, key), value in zip(wanted, values, strict=True):
            if type(value) is Rotten:
                raise _damaged(space, key)
        return values

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        page = self._rows.scan(space, partition, start, limit)
        damaged = tuple(key for key, value in page.rows if type(value) is Rotten)
        if not damaged:
            return page
        sound = tuple(row for row in page.rows if type(row[1]) is not Rotten)
        return Scanned(sound, damaged, page.next_start)

    def is_empty(self, space: Space) -> bool:
        return self._rows.is_empty(space)

    def stats(self) -> EngineStats:
        return replace(self._rows.stats(), sequence=self._sequence)

    # --- writing --------------------------------------------------------------------------

    def apply(self, batch: Sequence[Change]) -> None:
        if not batch or self._files.is_late():
            return
        self._write(tuple(batch), is_synced=self._durability == "commit")
        self._rows.apply(batch)
        self._sequence += 1

    def sync(self) -> None:
        if self._durability != "commit" and not self._files.is_late():
            self._write((), is_synced=True)

    def _write(self, batch: Sequence[Change], *, is_synced: bool) -> None:
        try:
            self._files.write_rows(self._file, batch)
            if is_synced:
                self._files.sync_rows(self._file)
        except OSError as error:
            raise self._translated(error) from error

    def _translated(self, error: OSError) -> StorageError:
        if error.errno == errno.ENOSPC:
            return DiskFull(f"no room left to write {self._path}: free some space on its disk")
        if error.errno == errno.EIO:
            return SyncFailed(f"{self._path} could not be synced to disk: restart the node")
        return StorageError(f"{self._path} could not be read or written ({error.strerror})")

    def checkpoint(self) -> None:
        """Nothing to do: there is no log."""

    def close(self) -> None:
        if not self._files.is_late():
            # SQLite does so too, and tells nobody when it fails.
            with suppress(OSError):
                self._files.sync_rows(self._file)
            self._file.in_memory = None

    # --- faults ---------------------------------------------------------------------------

    def flip_row(self, space: Space, partition: int, key: bytes) -> bool:
        """Let a row rot, until it is written again; False where there is none."""
        return not self._files.is_late() and self._file.flip((space, partition, key))

    def _check(self) -> None:
        """That readers see what is in the file. O(rows): for tests."""
        self._rows._check()
        if self._file.in_memory is self._rows and not self._file.is_doubtful:
            on_disk = self._file.current()
            assert self.stats().bytes == sum(
                len(key) + len(value) for (_, _, key), value in on_disk.items()
            )
            assert self._sequence == self._file.sequence


def _damaged(space: Space, key: bytes) -> Damaged:
    return Damaged(f"a row of {space.name.lower()} fails its checksum: {key!r:.80}")
