"""Sets of tags, kept as ranges: which additions a cart has ever seen.

Pure. A tag is (device, counter); a device counts its additions from 1, so the tags of a device
that is in use for long are one range, however many of them were removed since. The set is
exact all the same: a gap (an addition that some copy has not seen yet) stays a gap. A version
vector, which has one number a device, would call such a gap "seen", and its item would be lost.

Invariants: devices in order, none without a range; ranges in order, not touching each other;
so equal sets are equal values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple


class Tag(NamedTuple):
    """The name of one addition, unique for ever. ``counter`` starts at 1."""

    device: str
    counter: int


class Range(NamedTuple):
    """The counters from ``first`` to ``last``, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class TagSet:
    """An immutable set of tags. Make one with `of` or from ranges with `from_ranges`."""

    ranges: tuple[tuple[str, tuple[Range, ...]], ...] = ()

    @classmethod
    def of(cls, *tags: Tag) -> TagSet:
        """The set of these tags."""
        return cls.from_ranges((tag.device, Range(tag.counter, tag.counter)) for tag in tags)

    @classmethod
    def from_ranges(cls, ranges: Iterable[tuple[str, Range]]) -> TagSet:
        """The set of all tags in these ranges, in whatever order they come. O(n log n)."""
        by_device: dict[str, list[Range]] = {}
        for device, each in ranges:
            by_device.setdefault(device, []).append(each)
        return cls(tuple((device, _joined(by_device[device])) for device in sorted(by_device)))

    def __contains__(self, tag: Tag) -> bool:
        return any(
            first <= tag.counter <= last
            for device, ranges in self.ranges
            if device == tag.device
            for first, last in ranges
        )

    def union(self, other: TagSet) -> TagSet:
        """The tags of either set."""
        if self == other:
            return self
        return TagSet.from_ranges(
            (device, each)
            for tags in (self, other)
            for device, ranges in tags.ranges
            for each in ranges
        )

    def _check(self) -> None:
        devices = [device for device, _ in self.ranges]
        assert devices == sorted(set(devices)), "devices are in order, each once"
        for _, ranges in self.ranges:
            assert ranges, "a device has a range"
            assert all(1 <= first <= last for first, last in ranges), "counters start at 1"
            for before, after in pairwise(ranges):
                assert before.last + 1 < after.first, "ranges are in order and do not touch"


NOTHING = TagSet()


def _joined(ranges: list[Range]) -> tuple[Range, ...]:
    """The same counters with as few ranges as possible, in order."""
    joined: list[Range] = []
    for each in sorted(ranges):
        if joined and each.first <= joined[-1].last + 1:
            joined[-1] = Range(joined[-1].first, max(joined[-1].last, each.last))
        else:
            joined.append(each)
    return tuple(joined)
