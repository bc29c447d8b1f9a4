"""A host's clocks: which faults they show, and that each ends alone."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.clocks import EPOCH_MS, SimulatedClock


class TrueTime:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def true() -> TrueTime:
    return TrueTime()


@pytest.fixture
def clock(true) -> SimulatedClock:
    return SimulatedClock(true)


def off_by_ms(clock: SimulatedClock, true: TrueTime) -> int:
    return clock.wall_ms() - EPOCH_MS - int(true.now * 1000)


def test_a_clock_is_right_until_something_is_wrong_with_it(clock, true):
    true.now = 12.5
    assert clock.monotonic() == pytest.approx(12.5)
    assert off_by_ms(clock, true) == 0
    assert not clock.is_drifting


def test_a_clock_that_begins_later_than_others_is_right_too(true):
    true.now = 100.0
    clock = SimulatedClock(true)
    assert clock.monotonic() == pytest.approx(0.0, abs=1e-6)
    assert off_by_ms(clock, true) == 0
    clock.jump(5.0)
    clock.drift(1.05)
    true.now = 200.0
    clock.correct()
    assert off_by_ms(clock, true) == 0


def test_a_jump_moves_the_wall_clock_alone(clock, true):
    clock.jump(-30.0)
    true.now = 1.0
    assert clock.monotonic() == pytest.approx(1.0)
    assert off_by_ms(clock, true) == -30_000


def test_a_drift_begins_where_the_clocks_are_and_moves_both(clock, true):
    true.now = 100.0
    clock.drift(1.05)
    assert clock.monotonic() == pytest.approx(100.0)
    true.now = 200.0
    assert clock.monotonic() == pytest.approx(205.0)
    assert off_by_ms(clock, true) == pytest.approx(5000, abs=1)
    assert clock.is_drifting


def test_the_end_of_a_drift_leaves_a_jump_as_it_is(clock, true):
    clock.jump(3600.0)
    clock.drift(0.95)
    true.now = 100.0
    clock.end_drift()
    assert not clock.is_drifting
    assert off_by_ms(clock, true) == pytest.approx(3_600_000, abs=1)


def test_jumping_back_leaves_a_drift_as_it_is(clock, true):
    clock.jump(3600.0)
    clock.drift(1.05)
    clock.jump(-3600.0)
    true.now = 100.0
    assert off_by_ms(clock, true) == pytest.approx(5000, abs=1)


def test_a_corrected_clock_is_right(clock, true):
    clock.jump(5.0)
    clock.drift(0.95)
    true.now = 40.0
    clock.correct()
    true.now = 90.0
    assert off_by_ms(clock, true) == pytest.approx(0, abs=1)
    assert not clock.is_drifting


STEPS = st.one_of(
    st.tuples(st.just("jump"), st.floats(-3600, 3600)),
    st.tuples(st.just("drift"), st.floats(0.5, 2.0)),
    st.tuples(st.just("end_drift")),
    st.tuples(st.just("correct")),
)


@given(st.lists(st.tuples(st.floats(0, 100), STEPS), max_size=20))
def test_the_monotonic_clock_never_goes_back(steps):
    true = TrueTime()
    clock = SimulatedClock(true)
    before = clock.monotonic()
    for passed_s, (name, *arguments) in steps:
        true.now += passed_s
        getattr(clock, name)(*arguments)
        assert clock.monotonic() > before - 1e-9
        before = clock.monotonic()


@pytest.mark.parametrize("rate", [0.95, 0.999, 1.0, 1.05])
@pytest.mark.parametrize("lasts_s", [0.1, 1 / 3, 1.0, 77.7])
async def test_who_sleeps_until_a_moment_of_a_wrong_clock_gets_there(rate, lasts_s, autojump_clock):
    await trio.sleep(127.9)
    clock = SimulatedClock(trio.current_time)
    await trio.sleep(0.1)
    clock.drift(rate)
    deadline = clock.monotonic() + lasts_s
    naps = 0
    while (rest_s := deadline - clock.monotonic()) > 0:
        await trio.sleep(rest_s)
        naps += 1
        assert naps < 20
