"""The records that a load is on: their keys and values, and which of them are there.

Pure but for the generator that is passed in.
"""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterator
from itertools import chain

RECORDS_MAX = 1_000_000_000
"""So that all keys are of one length, and in the order of their numbers."""
_POOL_BYTES = 65_536


def key_of(number: int) -> bytes:
    """The key of a record: 10 bytes, in the order of the numbers.

    >>> key_of(42)
    b'k000000042'
    """
    return b"k%09d" % number


class Values:
    """Values of one size that do not compress, each but rarely like another."""

    def __init__(self, value_bytes: int, generator: random.Random) -> None:
        self._bytes = value_bytes
        self._pool = generator.randbytes(value_bytes + _POOL_BYTES)
        self._random = generator.random

    def draw(self) -> bytes:
        """The next value."""
        start = int(self._random() * _POOL_BYTES)
        return self._pool[start : start + self._bytes]


class Inserted:
    """How many records there are while inserts are under way.

    Numbers are handed out in order; ``count`` covers those alone below which none is under way,
    so that whatever is chosen among them has been put.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        """All records below this number are there."""
        self._next = count
        self._finished: set[int] = set()

    def begin(self) -> int:
        """The number of the record to insert."""
        number = self._next
        self._next += 1
        return number

    def finish(self, number: int) -> None:
        """The insert of that record is over. A failed one counts too, as it may have happened."""
        assert self.count <= number < self._next
        self._finished.add(number)
        while self.count in self._finished:
            self._finished.remove(self.count)
            self.count += 1


def in_partition_order(
    begin: int, end: int, *, partitions: int, partition_of: Callable[[int], int]
) -> Iterator[int]:
    """The numbers from ``begin`` to ``end - 1`` by (partition, key): the order of a node's disk.

    ``partition_of`` tells the partition of a record, and is asked for all of them before this
    returns. Holds four bytes for each.
    """
    assert end <= RECORDS_MAX
    numbers = [array("I") for _ in range(partitions)]
    for number in range(begin, end):
        numbers[partition_of(number)].append(number)
    return chain.from_iterable(numbers)
