"""The hybrid logical clock: timestamps close to wall time that never run backwards.

Pure: the wall clock is passed in. A timestamp is one integer of 64 bits: milliseconds since
1970 in the upper 48, a counter in the lower 16. It orders causally related events, and says
about when they were; it never decides what a merge keeps (Kulkarni et al. 2014).
"""

from __future__ import annotations

from collections.abc import Callable

COUNTER_BITS = 16
TIMESTAMP_MAX = 2**64 - 1
AHEAD_MS_MAX = 10_000
"""A timestamp further ahead of this machine's clock than this is refused: taking it in would
drag every clock of the cluster along with one wrong one."""


class ClockAhead(Exception):
    """A timestamp came in that lies too far in this node's future."""

    def __init__(self, ahead_ms: int) -> None:
        super().__init__(f"a timestamp lies {ahead_ms} ms ahead of this node's clock")
        self.ahead_ms = ahead_ms


class HybridClock:
    """One node's hybrid clock."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._last = 0

    def now(self) -> int:
        """A timestamp above every one given or observed so far."""
        wall = self._wall_ms() << COUNTER_BITS
        self._last = wall if wall > self._last else self._last + 1
        return self._last

    def observe(self, timestamp: int) -> None:
        """Take in a timestamp from elsewhere; raises `ClockAhead` and ignores it if it lies
        more than `AHEAD_MS_MAX` in the future."""
        if timestamp <= self._last:
            return
        ahead_ms = milliseconds(timestamp) - self._wall_ms()
        if ahead_ms > AHEAD_MS_MAX:
            raise ClockAhead(ahead_ms)
        self._last = timestamp


def later(now: int, seen: int) -> int:
    """``now``, or the next timestamp after ``seen`` where that is ahead of it.

    For a write whose key has seen a clock that is too far ahead to be followed: along a causal
    chain time never runs back all the same.
    """
    return now if now > seen else min(seen + 1, TIMESTAMP_MAX)


def timestamp_at(wall_ms: int) -> int:
    """The least timestamp of a millisecond since 1970."""
    return wall_ms << COUNTER_BITS


def milliseconds(timestamp: int) -> int:
    """The wall-clock part of a timestamp, in milliseconds since 1970."""
    return timestamp >> COUNTER_BITS
