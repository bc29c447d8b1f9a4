"""A histogram of latencies whose buckets grow with the values, so that each is told to 0.1 %.

The idea is HdrHistogram's (Gil Tene): below 2,048 ns a bucket holds one value; from there on each
power of two has 1,024 buckets of equal width. To record is one shift and one addition, whatever
the number of values, and memory is bounded.

Knows nothing of clocks. Invariant: a value lies in a bucket whose bounds are within 1/1024 of it.
"""

from __future__ import annotations

from collections.abc import Iterator

FINE_BITS = 11
"""Bits of a value that are told apart."""
LONGEST_NS = 3_600_000_000_000
"""What takes longer than an hour counts as an hour."""


def bucket_of(value_ns: int) -> int:
    """The index of the bucket that a value, from 0, lies in.

    >>> [bucket_of(value) for value in (0, 2047, 2048, 2049, 2050)]
    [0, 2047, 2048, 2048, 2049]
    """
    shift = max(0, value_ns.bit_length() - FINE_BITS)
    return (shift << (FINE_BITS - 1)) + (value_ns >> shift)


def highest_of(bucket: int) -> int:
    """The highest value that lies in a bucket.

    >>> [highest_of(bucket) for bucket in (0, 2047, 2048, 2049)]
    [0, 2047, 2049, 2051]
    """
    shift = max(0, (bucket >> (FINE_BITS - 1)) - 1)
    return ((bucket - (shift << (FINE_BITS - 1)) + 1) << shift) - 1


class Histogram:
    """How many values lie in each bucket."""

    def __init__(self) -> None:
        self._counts: list[int] = []
        self.count = 0
        """How many values there are."""
        self._sum_ns = 0
        self._highest_ns = 0

    def record(self, value_ns: int) -> None:
        """Count a value in; one below 0 counts as 0, one above `LONGEST_NS` as that."""
        value_ns = min(max(0, value_ns), LONGEST_NS)
        bucket = bucket_of(value_ns)
        counts = self._counts
        if bucket >= len(counts):
            counts.extend([0] * (bucket + 1 - len(counts)))
        counts[bucket] += 1
        self.count += 1
        self._sum_ns += value_ns
        self._highest_ns = max(self._highest_ns, value_ns)

    def add(self, other: Histogram) -> None:
        """Count in all values of another one."""
        self._counts.extend([0] * (len(other._counts) - len(self._counts)))
        for bucket, count in enumerate(other._counts):
            self._counts[bucket] += count
        self.count += other.count
        self._sum_ns += other._sum_ns
        self._highest_ns = max(self._highest_ns, other._highest_ns)

    def percentile(self, percent: float) -> int:
        """A value, in ns, that at least so many per cent of the values do not exceed.

        It is the lowest such value, or higher by at most 1/1024 of it. ``percent`` is from 0 to
        100. 0 where there are no values.
        """
        wanted = self.count * percent / 100
        seen = 0
        for bucket, count in self._filled():
            seen += count
            if seen >= wanted:
                return min(highest_of(bucket), self._highest_ns)
        return self._highest_ns

    @property
    def mean_ns(self) -> float:
        """The mean, exactly; 0 where there are no values."""
        return self._sum_ns / self.count if self.count else 0.0

    @property
    def highest_ns(self) -> int:
        """The highest value, exactly; 0 where there are none."""
        return self._highest_ns

    def _filled(self) -> Iterator[tuple[int, int]]:
        return ((bucket, count) for bucket, count in enumerate(self._counts) if count)

    def _check(self) -> None:
        assert self.count == sum(self._counts)
        assert len(self._counts) <= bucket_of(LONGEST_NS) + 1
