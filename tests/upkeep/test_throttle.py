"""Background work goes as fast as the clients do not feel it, and never stops."""

from __future__ import annotations

import math
import random
from bisect import bisect_right

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.upkeep.throttle import (
    P99_FACTOR,
    P99_SLACK_S,
    RATE_MAX,
    RATE_MIN,
    RATE_STEP,
    SAMPLES_MAX,
    SAMPLES_MIN,
    WINDOW_MAX_S,
    WINDOW_S,
    RateControl,
    Throttle,
)

REQUESTS_PER_S = 200
SLICE_S = 0.0005


class Foreground:
    """Clients whose requests take the longer, the more slices a second are granted."""

    def __init__(self, throttle: Throttle, *, base_s: float, knee: float) -> None:
        self.base_s = base_s
        self.knee = knee
        """Up to so many slices a second nobody feels any; beyond, each costs the same again."""
        self._throttle = throttle
        self._random = random.Random(1)
        self._slices: list[float] = []
        self.latencies: list[float] = []

    async def run(self) -> None:
        while True:
            await trio.sleep(1 / REQUESTS_PER_S)
            latency_s = self.base_s * self._random.uniform(0.5, 1.0) * self._slowdown()
            self.latencies.append(latency_s)
            self._throttle.note(latency_s)

    async def work(self) -> None:
        """The background: as many slices as are granted."""
        while True:
            await self._throttle.slice()
            self._slices.append(trio.current_time())
            await trio.sleep(SLICE_S)

    def rate(self, seconds: float = 1.0) -> float:
        """Slices a second of late."""
        since = trio.current_time() - seconds
        return (len(self._slices) - bisect_right(self._slices, since)) / seconds

    def _slowdown(self) -> float:
        return max(1.0, self.rate(WINDOW_S) / self.knee)


async def gather(throttle: Throttle, *, base_s: float, seconds: float = 2.0) -> None:
    """Clients alone."""
    began = trio.current_time()
    while trio.current_time() < began + seconds:
        await trio.sleep(1 / REQUESTS_PER_S)
        throttle.note(base_s)


async def test_without_clients_slices_are_granted_as_they_are_asked_for(autojump_clock):
    throttle = Throttle()
    began = trio.current_time()
    for _ in range(1000):
        await throttle.slice()
    assert trio.current_time() == began
    assert throttle.statistics().rate == math.inf
    assert throttle.statistics().slices == 1000


async def test_with_clients_slices_are_as_far_apart_as_the_rate_says(autojump_clock):
    throttle = Throttle()
    throttle.note(0.001)
    began = trio.current_time()
    for _ in range(5):
        await throttle.slice()
    assert trio.current_time() - began == pytest.approx(4 / RATE_MIN)


async def test_two_that_ask_at_once_share_the_rate(nursery, autojump_clock):
    throttle = Throttle()
    throttle.note(0.001)
    granted: list[float] = []

    async def work():
        for _ in range(3):
            await throttle.slice()
            granted.append(round(trio.current_time() - began, 3))

    began = trio.current_time()
    async with trio.open_nursery() as both:
        both.start_soon(work)
        both.start_soon(work)
    assert granted == [round(k / RATE_MIN, 3) for k in range(6)]


@pytest.mark.parametrize("knee", [60.0, 250.0])
async def test_the_rate_settles_near_what_the_clients_do_not_feel(nursery, knee, autojump_clock):
    throttle = Throttle()
    foreground = Foreground(throttle, base_s=0.040, knee=knee)
    await gather(throttle, base_s=0.040)
    nursery.start_soon(foreground.run)
    nursery.start_soon(foreground.work)
    await trio.sleep(10)
    foreground.latencies.clear()
    await trio.sleep(10)
    assert foreground.rate(10) > knee * P99_FACTOR * 0.5
    assert foreground.rate(10) < knee * P99_FACTOR * 1.2
    slow = sum(1 for each in foreground.latencies if each > 0.040 * P99_FACTOR * 1.3)
    assert slow < len(foreground.latencies) * 0.03
    throttle._check()


async def test_it_never_starves_however_slow_the_clients_are_served(nursery, autojump_clock):
    throttle = Throttle()
    foreground = Foreground(throttle, base_s=0.010, knee=0.1)
    await gather(throttle, base_s=0.010)
    nursery.start_soon(foreground.run)
    nursery.start_soon(foreground.work)
    await trio.sleep(10)
    assert foreground.rate(5) >= RATE_MIN * 0.9


async def test_a_foreground_that_has_become_slower_by_itself_is_got_used_to(
    nursery, autojump_clock
):
    throttle = Throttle()
    foreground = Foreground(throttle, base_s=0.010, knee=300)
    nursery.start_soon(foreground.run)
    nursery.start_soon(foreground.work)
    await trio.sleep(10)
    foreground.base_s = 0.100
    await trio.sleep(3)
    assert foreground.rate() < RATE_MIN * 3
    await trio.sleep(60)
    assert foreground.rate() > 100


async def test_when_the_clients_go_the_work_is_free_and_when_they_return_it_is_not(
    nursery, autojump_clock
):
    throttle = Throttle()
    throttle.note(0.001)
    for _ in range(int(RATE_MIN * (WINDOW_MAX_S + 1))):
        await throttle.slice()
        await trio.sleep(SLICE_S)
    assert throttle.statistics().rate == math.inf
    throttle.note(0.001)
    assert throttle.statistics().rate <= RATE_MAX


def test_few_requests_are_judged_together_after_a_longer_while():
    control = RateControl()
    for _ in range(SAMPLES_MIN - 1):
        control.note(0.001)
    assert not control.is_due(WINDOW_S)
    assert control.is_due(WINDOW_MAX_S)
    control.note(0.001)
    assert control.is_due(WINDOW_S)


def test_the_rate_grows_by_steps_and_is_halved():
    control = RateControl()
    for _ in range(5):
        one_window(control, 0.001, slices=100)
    assert control.rate == RATE_MIN + 5 * RATE_STEP
    one_window(control, 0.001 + P99_SLACK_S * 1.1, slices=100)
    assert control.rate == (RATE_MIN + 5 * RATE_STEP) / 2


def test_one_request_of_a_hundred_may_be_slow_and_not_two():
    control = RateControl()
    one_window(control, 0.001)
    for number in range(1000):
        control.note(1.0 if number < 10 else 0.001)
    control.close_window(WINDOW_S)
    assert control.p99_s == 0.001
    for number in range(1000):
        control.note(1.0 if number < 20 else 0.001)
    control.close_window(WINDOW_S)
    assert control.p99_s == 1.0


def test_the_baseline_is_what_was_measured_without_background_work():
    control = RateControl()
    one_window(control, 0.001)
    for _ in range(20):
        one_window(control, 0.010)
    assert control.baseline_s == pytest.approx(0.010, rel=0.01)
    for _ in range(20):
        one_window(control, 0.012, slices=500)
    assert control.baseline_s == pytest.approx(0.010, rel=0.01)


@given(
    st.lists(
        st.tuples(
            st.lists(st.floats(0, 60), max_size=30),
            st.integers(0, 1000),
            st.floats(WINDOW_S, 3600),
        ),
        max_size=50,
    )
)
def test_whatever_comes_in_the_rate_stays_within_its_bounds(windows):
    control = RateControl()
    for latencies, slices, elapsed_s in windows:
        for latency_s in latencies:
            control.note(latency_s)
        for _ in range(slices):
            control.granted()
        control.close_window(elapsed_s)
        control._check()


def test_no_more_latencies_are_kept_than_are_needed():
    control = RateControl()
    for _ in range(SAMPLES_MAX * 3):
        control.note(0.001)
    control._check()


def one_window(control: RateControl, p99_s: float, *, slices: int = 0) -> None:
    """A second in which all requests took the same."""
    for _ in range(SAMPLES_MIN):
        control.note(p99_s)
    for _ in range(slices):
        control.granted()
    control.close_window(1.0)
