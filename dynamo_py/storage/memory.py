"""An engine that forgets everything when it is closed, for tests and embedded use.

Knows nothing of files. It is durable in no sense: `MemoryEngine.sync` returns at once, since
nothing could outlive the process anyway.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import islice

from sortedcontainers import SortedDict

from dynamo_py.storage.engine import (
    SCAN_BYTES_MAX,
    Change,
    Durability,
    EngineStats,
    Scanned,
    Space,
    last_changes,
)


class MemoryEngine:
    """Rows in sorted dictionaries, one for each space."""

    def __init__(self) -> None:
        # The writer thread changes what the event loop's thread reads, and a sorted
        # dictionary in the middle of an insertion is not fit to be read.
        self._lock = threading.Lock()
        self._rows: dict[Space, SortedDict[tuple[int, bytes], bytes]] = {
            space: SortedDict() for space in Space
        }
        self._bytes = dict.fromkeys(Space, 0)
        self._sequence = 0

    @property
    def durability(self) -> Durability:
        return "none"

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        with self._lock:
            return self._rows[space].get((partition, key))

    def get_many(self, space: Space, wanted: Sequence[tuple[int, bytes]]) -> list[bytes | None]:
        with self._lock:
            rows = self._rows[space]
            return [rows.get(address) for address in wanted]

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        found: list[tuple[bytes, bytes]] = []
        size_bytes = 0
        with self._lock:
            rows = self._rows[space]
            keys = rows.irange((partition, start), (partition + 1, b""), (False, False))
            for address in islice(keys, limit):
                found.append((address[1], rows[address]))
                size_bytes += len(rows[address])
                if size_bytes >= SCAN_BYTES_MAX:
                    break
        is_cut = len(found) == limit or size_bytes >= SCAN_BYTES_MAX
        return Scanned(tuple(found), next_start=found[-1][0] if found and is_cut else None)

    def is_empty(self, space: Space) -> bool:
        return not self._rows[space]

    def stats(self) -> EngineStats:
        return EngineStats(
            records=len(self._rows[Space.RECORDS]),
            hints=len(self._rows[Space.HINTS]),
            bytes=sum(self._bytes.values()),
            hint_bytes=self._bytes[Space.HINTS],
            sequence=self._sequence,
        )

    def apply(self, batch: Sequence[Change]) -> None:
        if not batch:
            return
        with self._lock:
            for change in last_changes(batch).values():
                assert change.key, "keys are not empty"
                self._replace(change)
            self._sequence += 1

    def _replace(self, change: Change) -> None:
        rows = self._rows[change.space]
        address = (change.partition, change.key)
        former = rows.pop(address, None)
        if former is not None:
            self._bytes[change.space] -= len(change.key) + len(former)
        if change.value is not None:
            rows[address] = change.value
            self._bytes[change.space] += len(change.key) + len(change.value)

    def sync(self) -> None:
        """Nothing to do: see the module's docstring."""

    def checkpoint(self) -> None:
        """Nothing to do: there is no log."""

    def close(self) -> None:
        with self._lock:
            for rows in self._rows.values():
                rows.clear()
            self._bytes = dict.fromkeys(Space, 0)

    def _check(self) -> None:
        for space, rows in self._rows.items():
            counted = sum(len(key) + len(value) for (_, key), value in rows.items())
            assert counted == self._bytes[space], (space, counted, self._bytes[space])
