"""What an engine is: a durable, ordered map of bytes, cut into spaces and partitions.

Knows nothing of records, hints, threads or event loops: keys and values are bytes, and every
call is synchronous. `dynamo_py.storage.committer` puts an event loop in front of an engine.

Threads: `Engine.apply`, `Engine.sync` and `Engine.checkpoint` are called from one writer
thread at a time; everything else from the event loop's thread, and at the same time as the
writer works. `Engine.close` is called when neither is at work.

Invariants that each engine keeps, and that ``tests/conformance`` holds it to:

* a batch is atomic: a reader, or a restart, sees all of it or nothing;
* what was applied is what is read, from the moment at which `Engine.apply` returns;
* keys are not empty, so that ``b""`` can stand for "before the first key" in a scan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, Protocol, TypeAlias

import msgspec

SCAN_BYTES_MAX = 4 * 1024 * 1024
"""A page of a scan ends once its values add up to this, whatever the limit of rows."""

Durability: TypeAlias = Literal["commit", "interval", "none"]
"""When applied batches are on disk: at once, at each `Engine.sync`, or at some time."""


class Space(IntEnum):
    """The kinds of rows, each in a table of its own. The numbers are on disk."""

    RECORDS = 1
    HINTS = 2
    META = 3


class Change(msgspec.Struct, frozen=True, gc=False):
    """One row to store, or to remove where ``value`` is None.

    A msgspec Struct and not a dataclass: a node makes one for every write that it takes, and
    neither its making nor the garbage collector's walks over it should be felt.
    """

    space: Space
    partition: int
    key: bytes
    value: bytes | None


Address: TypeAlias = tuple[Space, int, bytes]
"""Where a row lives: space, partition, key."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """One page of a scan, in the order of the keys.

    ``rows`` may hold fewer rows than were asked for, even none, and more may follow all the
    same: only ``next_start`` tells. It is what to give as ``start`` for the next page, and
    None at the end of the partition.
    """

    rows: tuple[tuple[bytes, bytes], ...]
    damaged_keys: tuple[bytes, ...] = ()
    next_start: bytes | None = None


@dataclass(frozen=True, slots=True)
class EngineStats:
    """How much is stored. ``bytes`` and ``hint_bytes`` count keys and values alone.

    ``log_bytes`` is what waits in a write-ahead log for a checkpoint. ``sequence`` counts the
    batches that were ever applied, and is stored with each of them: a store in which it is
    lower than it once was has lost some. Opening and syncing do not count.
    """

    records: int
    hints: int
    bytes: int
    hint_bytes: int = 0
    log_bytes: int = 0
    sequence: int = 0


class Engine(Protocol):
    """Where rows are kept. See the module's docstring for threads and invariants."""

    @property
    def durability(self) -> Durability:
        """When a batch that was applied is on disk."""
        ...

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        """The value, or None. Raises `Damaged` when the row fails its checksum."""
        ...

    def get_many(self, space: Space, wanted: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        """The values of ``(partition, key)`` pairs, in their order, of one moment.

        Raises `Damaged` when any of them is: ask for them one by one to learn which.
        """
        ...

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        """Rows of one partition with keys after ``start``, from the first with ``b""``.

        Damaged rows are named in `Scanned.damaged_keys`, and count towards ``limit``.
        """
        ...

    def is_empty(self, space: Space) -> bool:
        """Whether the space has no row in any partition; costs no reading."""
        ...

    def stats(self) -> EngineStats:
        """How much is stored, kept up with each batch; costs no reading."""
        ...

    def apply(self, batch: Sequence[Change]) -> None:
        """Store and remove, all or nothing; of two changes of one row the later counts.

        On return the batch is readable, and as durable as `durability` says. Raises
        `DiskFull`, `SyncFailed` or another `StorageError`; then the batch is not readable,
        but after a failed sync it may surface when the engine is opened again.
        """
        ...

    def sync(self) -> None:
        """Wait until all that was applied so far is on disk, whatever the durability.

        Raises as `apply` does.
        """
        ...

    def checkpoint(self) -> None:
        """Move the write-ahead log into the main file, as far as readers allow.

        Raises as `apply` does; nothing that was applied is lost then.
        """
        ...

    def close(self) -> None:
        """Give back files and memory. Nothing else may be called afterwards."""
        ...


def last_changes(batch: Iterable[Change]) -> dict[Address, Change]:
    """The changes that count: the last one of each row. O(n)."""
    return {(change.space, change.partition, change.key): change for change in batch}
