"""The node's hybrid clock on its links: a stamp from the future is an alarm, not an error."""

from __future__ import annotations

from dynamo_py.causality.hlc import AHEAD_MS_MAX, COUNTER_BITS
from dynamo_py.net.timestamps import AlarmedClock

NOW_MS = 1_700_000_000_000


def stamp(ms: int) -> int:
    return ms << COUNTER_BITS


def test_a_stamp_of_today_is_taken_in():
    clock = AlarmedClock(lambda: NOW_MS)
    clock.observe(stamp(NOW_MS + 5))
    assert clock.now() == stamp(NOW_MS + 5) + 1
    assert clock.alarms == 0


def test_a_stamp_too_far_ahead_is_counted_and_ignored():
    clock = AlarmedClock(lambda: NOW_MS)
    for count in range(1, 11):
        clock.observe(stamp(NOW_MS + AHEAD_MS_MAX + 1))
        assert clock.alarms == count
    clock.observe(2**64 - 1)
    assert clock.now() == stamp(NOW_MS)
