"""The rows read or written last, in memory: a read that hits here costs a tenth of SQLite's.

Pure. Holds committed rows alone, so that nothing has to be taken back when a commit fails;
what is pending is seen before this is asked (`dynamo_py.storage.pending`).
"""

from __future__ import annotations

from collections import OrderedDict

from dynamo_py.storage.engine import Address

CACHE_BYTES_MAX = 32 * 1024 * 1024
ROW_OVERHEAD_BYTES = 300
"""What a row costs beside its key and value: the entry, the tuple, the objects' heads."""
ROW_BYTES_MAX = 256 * 1024
"""A larger row is not kept: it would push out thousands of others."""


class RowCache:
    """Least recently used rows go first. O(1) for each call."""

    def __init__(self, *, bytes_max: int = CACHE_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._rows: OrderedDict[Address, bytes] = OrderedDict()
        self.size_bytes = 0
        """About what all of it takes in memory."""

    def get(self, address: Address) -> bytes | None:
        """The row's value, None where it is not kept here."""
        value = self._rows.get(address)
        if value is not None:
            self._rows.move_to_end(address)
        return value

    def put(self, address: Address, value: bytes | None) -> None:
        """The row has this value now; None: it is gone."""
        held = self._rows.pop(address, None)
        if held is not None:
            self.size_bytes -= _cost(address, held)
        if value is None or len(value) > ROW_BYTES_MAX:
            return
        self._rows[address] = value
        self.size_bytes += _cost(address, value)
        while self.size_bytes > self._bytes_max:
            oldest, dropped = self._rows.popitem(last=False)
            self.size_bytes -= _cost(oldest, dropped)

    def statistics(self) -> dict[str, int]:
        """How much is kept."""
        return {"rows": len(self._rows), "bytes": self.size_bytes}

    def _check(self) -> None:
        assert self.size_bytes == sum(_cost(a, v) for a, v in self._rows.items())
        assert self.size_bytes <= self._bytes_max


def _cost(address: Address, value: bytes) -> int:
    return len(address[2]) + len(value) + ROW_OVERHEAD_BYTES
