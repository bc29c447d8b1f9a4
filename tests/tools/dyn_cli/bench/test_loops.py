"""Loops: how much is under way, what is due when, and from when a latency counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench import loops as loops_module
from dyn_cli.bench.loops import TOO_MANY, Pace, closed_loop, open_loop
from dyn_cli.bench.recording import Recorder, Window
from dyn_cli.bench.workloads import Kind
from dynamo_py.errors import NodeUnavailable


class PlayedWork:
    """Operations that a test makes up; says how many are under way at once."""

    def __init__(self, operation: Callable[[int], Awaitable[object]]) -> None:
        self._operation = operation
        self.begun = 0
        self.under_way = 0
        self.most_under_way = 0
        self.workers: set[int] = set()

    def draw(self) -> Kind:
        return Kind.READ

    async def carry_out(self, kind: Kind, worker: int) -> None:
        number = self.begun
        self.begun += 1
        self.workers.add(worker)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self._operation(number)
        finally:
            self.under_way -= 1


def window(seconds: float, *, warm_up_s: float = 0.0) -> Recorder:
    begin_s = trio.current_time() + warm_up_s
    return Recorder(Window(begin_s, begin_s + seconds))


async def a_second(number: int) -> None:
    await trio.sleep(1)


async def test_a_closed_loop_keeps_so_many_under_way(autojump_clock):
    work = PlayedWork(a_second)
    recorder = window(10.5, warm_up_s=5)
    await closed_loop(work, recorder, in_flight=4)
    assert work.most_under_way == 4
    assert work.workers == {0, 1, 2, 3}
    # Those that ended at 5, 6, … 15 s; one that ends after 15.5 s does not count.
    assert recorder.operations == 4 * 11
    assert recorder.all_latencies().highest_ns == 10**9


async def test_a_closed_loop_ends_after_so_many_operations(autojump_clock):
    work = PlayedWork(a_second)
    recorder = Recorder(Window(trio.current_time(), operations_max=10))
    await closed_loop(work, recorder, in_flight=4)
    assert recorder.operations == 10
    assert recorder.seconds == pytest.approx(3)


async def refused(number: int) -> None:
    if number % 2:
        raise NodeUnavailable("gone", reasons={}, outcome="not_applied")
    await trio.sleep(1)


async def test_errors_of_the_store_are_counted_and_others_end_the_loop(autojump_clock):
    recorder = window(10.5)
    await closed_loop(PlayedWork(refused), recorder, in_flight=1)
    assert recorder.operations == 10
    assert recorder.errors == {"NodeUnavailable": 10}

    async def broken(number: int) -> None:
        await trio.lowlevel.checkpoint()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await closed_loop(PlayedWork(broken), window(10), in_flight=2)


@given(st.floats(0, 1e6), st.floats(0.01, 1e5), st.integers(0, 10**7))
def test_a_pace_does_not_drift(began_s, per_second, number):
    pace = Pace(began_s, per_second)
    assert pace.due_s(0) == began_s
    assert pace.due_s(number + 1) >= pace.due_s(number)
    assert pace.due_s(number) == pytest.approx(began_s + number / per_second)


async def test_an_open_loop_keeps_its_rate_whatever_becomes_of_requests(autojump_clock):
    work = PlayedWork(a_second)
    recorder = window(9.95)
    await open_loop(work, recorder, per_second=10)
    assert work.begun == recorder.operations == 100
    assert work.most_under_way == 10


async def test_a_stall_is_felt_by_all_who_come_meanwhile(autojump_clock):
    async def stalls(number: int) -> None:
        # The whole program stands still, as under a blocking call: nothing is begun in time.
        if number == 5:
            clock.jump(4)
        await trio.lowlevel.checkpoint()

    clock = autojump_clock
    recorder = window(9.5)
    await open_loop(PlayedWork(stalls), recorder, per_second=1)
    assert recorder.operations == 10
    latencies = recorder.latencies[Kind.READ]
    assert latencies.highest_ns == pytest.approx(4e9)
    # Due at 5, 6, 7 and 8 s, answered at 9.
    assert latencies.mean_ns == pytest.approx((4 + 3 + 2 + 1) * 1e9 / 10)


async def test_what_is_due_in_the_window_counts_however_late_it_ends(autojump_clock):
    async def slow(number: int) -> None:
        await trio.sleep(20)

    recorder = window(4.5, warm_up_s=2)
    await open_loop(PlayedWork(slow), recorder, per_second=1)
    assert recorder.operations == 5  # Those due at 2, 3, 4, 5 and 6 s.


async def test_an_open_loop_has_a_bound_on_what_is_under_way(autojump_clock, monkeypatch):
    monkeypatch.setattr(loops_module, "UNDER_WAY_MAX", 3)
    recorder = window(9.5)

    async def slow(number: int) -> None:
        await trio.sleep(100)

    await open_loop(PlayedWork(slow), recorder, per_second=1)
    assert recorder.operations == 3
    assert recorder.errors == {TOO_MANY: 7}
