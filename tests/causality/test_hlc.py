"""The hybrid clock: monotone whatever the wall clock does, and not dragged along by others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import ClockAhead, HybridClock, later
from dynamo_py.causality.hlc import AHEAD_MS_MAX, COUNTER_BITS, TIMESTAMP_MAX, milliseconds

NOON_MS = 1_700_000_000_000


class WallClock:
    """A wall clock that stands where it was put."""

    def __init__(self, ms: int = NOON_MS) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms


def stamp(ms: int, counter: int = 0) -> int:
    return (ms << COUNTER_BITS) + counter


def test_a_timestamp_says_when_it_was():
    assert milliseconds(HybridClock(WallClock()).now()) == NOON_MS


def test_within_a_millisecond_the_counter_tells_timestamps_apart():
    clock = HybridClock(WallClock())
    assert [clock.now() for _ in range(3)] == [stamp(NOON_MS, counter) for counter in range(3)]


def test_timestamps_rise_while_the_wall_clock_steps_back():
    wall = WallClock()
    clock = HybridClock(wall)
    before = clock.now()
    wall.ms -= 3_600_000
    assert clock.now() == before + 1
    wall.ms = NOON_MS + 1
    assert clock.now() == stamp(NOON_MS + 1)


def test_a_full_counter_carries_into_the_milliseconds_and_time_goes_on():
    wall = WallClock()
    clock = HybridClock(wall)
    full = stamp(NOON_MS, (1 << COUNTER_BITS) - 1)
    clock.observe(full)
    assert clock.now() == full + 1 == stamp(NOON_MS + 1)
    wall.ms += 1
    assert clock.now() == stamp(NOON_MS + 1, 1), "the carried millisecond is not used twice"
    wall.ms += 1
    assert clock.now() == stamp(NOON_MS + 2)


def test_what_was_observed_is_in_the_past_of_the_next_timestamp():
    clock = HybridClock(WallClock())
    seen = stamp(NOON_MS + 5_000, 17)
    clock.observe(seen)
    assert clock.now() == seen + 1


def test_an_older_timestamp_changes_nothing():
    clock = HybridClock(WallClock())
    last = clock.now()
    clock.observe(stamp(NOON_MS - 1))
    clock.observe(0)
    assert clock.now() == last + 1


def test_a_timestamp_too_far_ahead_is_refused_and_leaves_no_trace():
    clock = HybridClock(WallClock())
    last = clock.now()
    with pytest.raises(ClockAhead, match=f"{AHEAD_MS_MAX + 1} ms ahead") as refused:
        clock.observe(stamp(NOON_MS + AHEAD_MS_MAX + 1))
    assert refused.value.ahead_ms == AHEAD_MS_MAX + 1
    assert clock.now() == last + 1


def test_a_timestamp_just_as_far_ahead_as_allowed_is_taken_in():
    clock = HybridClock(WallClock())
    seen = stamp(NOON_MS + AHEAD_MS_MAX, (1 << COUNTER_BITS) - 1)
    clock.observe(seen)
    assert clock.now() == seen + 1


def test_its_own_past_is_never_refused_after_the_wall_clock_stepped_back():
    wall = WallClock()
    clock = HybridClock(wall)
    own = clock.now()
    wall.ms -= 10 * AHEAD_MS_MAX
    clock.observe(own)
    assert clock.now() == own + 1


@given(
    st.lists(
        st.tuples(
            st.integers(-20_000, 20_000),
            st.none() | st.integers(-20_000, 20_000).map(lambda ms: stamp(NOON_MS + ms)),
        ),
        max_size=40,
    )
)
def test_timestamps_always_rise_and_no_observation_carries_them_past_the_bound(steps):
    wall = WallClock()
    clock = HybridClock(wall)
    last, latest_wall_ms = clock.now(), wall.ms
    for moved_ms, seen in steps:
        wall.ms += moved_ms
        latest_wall_ms = max(latest_wall_ms, wall.ms)
        if seen is not None:
            try:
                clock.observe(seen)
            except ClockAhead:
                assert milliseconds(seen) - wall.ms > AHEAD_MS_MAX
            else:
                last = max(last, seen)
        now = clock.now()
        assert now > last
        assert milliseconds(now) <= latest_wall_ms + AHEAD_MS_MAX
        last = now


def test_what_comes_after_something_seen_is_later_also_where_that_is_far_ahead():
    ahead = stamp(NOON_MS + 3_600_000, 7)
    assert later(stamp(NOON_MS), 0) == stamp(NOON_MS)
    assert later(stamp(NOON_MS), ahead) == ahead + 1
    assert later(stamp(NOON_MS), TIMESTAMP_MAX) == TIMESTAMP_MAX
