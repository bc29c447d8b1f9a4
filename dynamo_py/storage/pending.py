"""The table of pending writes: what was submitted and is not committed, laid over reads.

Pure: knows no engine, no event loop and no thread. `dynamo_py.storage.committer` fills it,
empties it and reads through it.

Changes gather in batches. The oldest batch may be in flight, which is to say on its way to
the disk; the newest takes what arrives. A submission is never cut in two, so that it stays
atomic. The batches *are* the overlay: a batch that was committed, or that failed, takes its
changes out of sight with it, and no entry can be left behind.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

from dynamo_py.errors import StorageError
from dynamo_py.storage.engine import Address, Change, Scanned, Space

BATCH_CHANGES_MAX = 4096
"""A batch with so many changes takes no further submission."""

BATCH_BYTES_MAX = 4 * 1024 * 1024
"""A batch of this size takes no further submission."""

CHANGE_OVERHEAD_BYTES = 200
"""What a pending change costs in memory beside its key and its value, about."""

OnCommit: TypeAlias = Callable[[StorageError | None], None]
"""Told once: None when the changes are committed, else why they are not."""


class Batch:
    """Submissions that are committed together. Of each row only the last change is kept."""

    __slots__ = ("callbacks", "changes", "is_durable", "is_in_flight", "size_bytes")

    def __init__(self) -> None:
        self.changes: dict[Address, Change] = {}
        self.callbacks: list[OnCommit] = []
        self.size_bytes = 0
        self.is_durable = False
        self.is_in_flight = False

    def is_open(self) -> bool:
        """Whether it may take a further submission."""
        return (
            not self.is_in_flight
            and self.size_bytes < BATCH_BYTES_MAX
            and len(self.changes) < BATCH_CHANGES_MAX
        )


class PendingChanges:
    """Batches from the oldest to the newest, and reads that see through them."""

    def __init__(self) -> None:
        self._batches: deque[Batch] = deque()
        self.size_bytes = 0
        """An upper bound: a row that changed twice in one batch counts twice."""

    def __bool__(self) -> bool:
        return bool(self._batches)

    def add(self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool) -> None:
        """Append one submission to the newest batch. O(len(changes))."""
        batches = self._batches
        if batches and batches[-1].is_open():
            batch = batches[-1]
        else:
            batch = Batch()
            batches.append(batch)
        size_bytes = len(changes) * CHANGE_OVERHEAD_BYTES
        kept = batch.changes
        for change in changes:
            key = change.key
            value = change.value
            kept[(change.space, change.partition, key)] = change
            size_bytes += len(key) + (0 if value is None else len(value))
        batch.callbacks.append(on_commit)
        batch.size_bytes += size_bytes
        self.size_bytes += size_bytes
        if durable:
            batch.is_durable = True

    def take(self) -> Batch:
        """The oldest batch, from now on in flight; it stays visible until it is dropped."""
        batch = self._batches[0]
        assert not batch.is_in_flight, "one batch is in flight at a time"
        batch.is_in_flight = True
        return batch

    def drop(self, batch: Batch) -> None:
        """Forget the batch in flight, now that it is committed."""
        assert batch is self._batches[0]
        assert batch.is_in_flight
        self._batches.popleft()
        self.size_bytes -= batch.size_bytes

    def drop_all(self) -> list[Batch]:
        """Forget everything; gives what was forgotten, oldest first."""
        dropped = list(self._batches)
        self._batches.clear()
        self.size_bytes = 0
        return dropped

    def find(self, address: Address) -> Change | None:
        """The newest pending change of this row, if any. O(batches), of which few exist."""
        for batch in reversed(self._batches):
            change = batch.changes.get(address)
            if change is not None:
                return change
        return None

    def overlay(self, space: Space, partition: int, start: bytes, page: Scanned) -> Scanned:
        """``page``, which an engine gave for ``start``, as it will be after all commits.

        O(pending changes + rows). It may hold more rows than the page did.
        """
        end = page.next_start
        newest = {
            key: change.value
            for batch in self._batches
            for (its_space, its_partition, key), change in batch.changes.items()
            if its_space == space
            and its_partition == partition
            and key > start
            and (end is None or key <= end)
        }
        if not newest:
            return page
        rows = [row for row in page.rows if row[0] not in newest]
        rows += [(key, value) for key, value in newest.items() if value is not None]
        damaged = tuple(key for key in page.damaged_keys if key not in newest)
        return Scanned(tuple(sorted(rows)), damaged, end)

    def stores_into(self, space: Space) -> bool:
        """Whether some pending change stores a row of this space. O(pending changes)."""
        return any(
            change.space == space and change.value is not None
            for batch in self._batches
            for change in batch.changes.values()
        )

    def changes_count(self) -> int:
        """How many rows are pending; one in several batches counts in each. O(batches)."""
        return sum(len(batch.changes) for batch in self._batches)

    def _check(self) -> None:
        assert self.size_bytes == sum(batch.size_bytes for batch in self._batches)
        assert not any(batch.is_in_flight for batch in list(self._batches)[1:])
        for batch in self._batches:
            for address, change in batch.changes.items():
                assert address == (change.space, change.partition, change.key)


def cut(page: Scanned, limit: int) -> Scanned:
    """At most ``limit`` rows and damaged keys of a page; ``next_start`` moves accordingly."""
    if len(page.rows) + len(page.damaged_keys) <= limit:
        return page
    keys = sorted([key for key, _ in page.rows] + list(page.damaged_keys))
    first_cut = keys[limit]
    rows = page.rows[: bisect_left(page.rows, (first_cut, b""))]
    damaged = page.damaged_keys[: bisect_left(page.damaged_keys, first_cut)]
    return Scanned(rows, damaged, keys[limit - 1])
