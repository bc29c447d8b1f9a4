"""Tests of virtual time, of the seeded order of tasks, and of being stuck."""

from __future__ import annotations

import gc
import math
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from itertools import permutations

import pytest
import trio
from trio._core import _run
from trio._core._traps import WaitTaskRescheduled

from dynamo_py.testing.scheduling import Scheduler, Stuck, run_in_virtual_time
from dynamo_py.testing.trace import Trace

SEEDS = range(20)


class Steps(trio.abc.Instrument):
    """Notes each step of each task."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.trace.note("step", task.name)


async def aborted_in_view(trace: Trace, name: str) -> None:
    """Wait, with an abort function whose order among others is noted."""

    def abort(_: object) -> trio.lowlevel.Abort:
        trace.note("abort", name)
        return trio.lowlevel.Abort.SUCCEEDED

    with trio.move_on_after(5):
        await trio.lowlevel.wait_task_rescheduled(abort)


async def many_of_everything(scheduler: Scheduler) -> str:
    """Equal deadlines, events with many waiters, nurseries, channels, cancellations; a digest."""
    trace = Trace(trio.current_time)
    trio.lowlevel.add_instrument(Steps(trace))
    event, lock, condition = trio.Event(), trio.Lock(), trio.Condition()
    send, receive = trio.open_memory_channel[int](2)

    two_s = 2.0  # Virtual time begins at 0.

    async def task(number: int) -> None:
        await trio.sleep(number % 3)
        async with lock:
            await trio.lowlevel.checkpoint()
        with trio.move_on_at(two_s):
            async with condition:
                await condition.wait()
        with trio.move_on_after(2):
            await event.wait()
        async with trio.open_nursery() as nursery:
            for child in range(3):
                nursery.start_soon(trio.sleep, 3 + child, name=f"{number}.{child}")
            await trio.sleep(3)
            nursery.cancel_scope.cancel()

    async def produce(number: int) -> None:
        await send.send(number)

    async def consume() -> None:
        async for number in receive:
            trace.note("received", number)

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(task, number, name=str(number))
            nursery.start_soon(produce, number, name=f"produce {number}")
            nursery.start_soon(aborted_in_view, trace, str(number), name=f"wait {number}")
        for number in range(3):
            nursery.start_soon(consume, name=f"consume {number}")
        await trio.sleep(3)
        event.set()
        async with condition:
            condition.notify_all()
        await trio.sleep(2.5)
        nursery.cancel_scope.cancel()
    trace.note("end", scheduler.steps)
    return trace.digest


def digests() -> list[str]:
    """The digest of each seed."""
    return [run_in_virtual_time(many_of_everything, seed=seed) for seed in range(3)]


def begin_elsewhere(salt: str) -> subprocess.Popen[str]:
    """The same in another process, with other addresses."""
    return subprocess.Popen(
        [sys.executable, __file__, salt],
        env=os.environ | {"PYTHONHASHSEED": salt},
        stdout=subprocess.PIPE,
        text=True,
    )


def run(main: Callable[[Scheduler], Awaitable[None]]) -> None:
    """Run ``main`` under each of the seeds."""
    for seed in SEEDS:
        run_in_virtual_time(main, seed=seed)


# --- Virtual time -------------------------------------------------------------------------------


def test_time_begins_at_zero_and_waiting_costs_nothing() -> None:
    async def main(scheduler: Scheduler) -> tuple[float, float]:
        began = trio.current_time()
        await trio.sleep(80_000)
        return began, trio.current_time()

    assert run_in_virtual_time(main, seed=1) == (0, 80_000)


def test_time_stands_still_while_a_task_is_ready() -> None:
    async def main(scheduler: Scheduler) -> None:
        with trio.move_on_after(1):
            for _ in range(1_000):
                await trio.lowlevel.checkpoint()
        assert trio.current_time() == 0

    run(main)


def test_what_main_raises_leaves_as_it_is() -> None:
    async def bare(scheduler: Scheduler) -> None:
        raise ValueError("bare")

    async def grouped(scheduler: Scheduler) -> None:
        async with trio.open_nursery():
            raise ValueError("grouped")

    with pytest.raises(ValueError, match="bare"):
        run_in_virtual_time(bare, seed=1)
    with pytest.RaisesGroup(ValueError):
        run_in_virtual_time(grouped, seed=1)


# --- The order of steps -------------------------------------------------------------------------


def test_the_order_depends_on_the_seed_alone_in_every_process() -> None:
    with begin_elsewhere("1") as one, begin_elsewhere("2") as other:
        here = digests()
        assert digests() == here
        assert one.communicate()[0].split() == here
        assert other.communicate()[0].split() == here
    assert len(set(here)) == len(here)


def test_every_order_of_a_batch_comes_up() -> None:
    async def main(scheduler: Scheduler) -> str:
        order = ""

        async def step(name: str) -> None:
            nonlocal order
            order += name

        async with trio.open_nursery() as nursery:
            for name in "abc":
                nursery.start_soon(step, name)
        return order

    seen = {run_in_virtual_time(main, seed=seed) for seed in range(100)}
    assert seen == {"".join(order) for order in permutations("abc")}


def test_steps_are_counted() -> None:
    async def main(scheduler: Scheduler) -> int:
        before = scheduler.steps
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        return scheduler.steps - before

    assert run_in_virtual_time(main, seed=1) == 10


# --- What is left behind ------------------------------------------------------------------------


def order_settings() -> tuple[object, object]:
    """What of trio's a run changes for its time."""
    return _run._r, _run._ALLOW_DETERMINISTIC_SCHEDULING


def test_trio_is_as_before_after_a_run_however_it_ended() -> None:
    async def returns(scheduler: Scheduler) -> None:
        assert order_settings() != before

    async def raises(scheduler: Scheduler) -> None:
        raise LookupError

    async def hangs(scheduler: Scheduler) -> None:
        await trio.sleep_forever()

    before = order_settings()
    run_in_virtual_time(returns, seed=1)
    assert order_settings() == before
    with pytest.raises(LookupError):
        run_in_virtual_time(raises, seed=1)
    assert order_settings() == before
    with pytest.raises(Stuck):
        run_in_virtual_time(hangs, seed=1)
    assert order_settings() == before
    trio.run(trio.sleep, 0)


def test_a_run_inside_a_run_is_refused_and_changes_nothing() -> None:
    async def main(scheduler: Scheduler) -> None:
        during = order_settings()
        with pytest.raises(RuntimeError, match="inside a trio run"):
            run_in_virtual_time(main, seed=1)
        assert order_settings() == during

    run_in_virtual_time(main, seed=1)


async def test_a_run_inside_an_ordinary_trio_run_is_refused() -> None:
    async def main(scheduler: Scheduler) -> None:
        raise AssertionError("not reached")

    before = order_settings()
    with pytest.raises(RuntimeError, match="inside a trio run"):
        run_in_virtual_time(main, seed=1)
    assert order_settings() == before


def test_a_second_run_at_the_same_time_is_refused() -> None:
    async def inner(scheduler: Scheduler) -> None:
        raise AssertionError("not reached")

    def refused() -> None:
        with pytest.raises(RuntimeError, match="in this process"):
            run_in_virtual_time(inner, seed=1)
        checked.append("refused")

    async def main(scheduler: Scheduler) -> None:
        thread = threading.Thread(target=refused)
        thread.start()
        thread.join()

    checked: list[str] = []
    run_in_virtual_time(main, seed=1)
    assert checked


# --- Being stuck --------------------------------------------------------------------------------


def test_a_run_in_which_nothing_can_happen_any_more_is_stuck() -> None:
    async def main(scheduler: Scheduler) -> None:
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - for the task's name
            nursery.start_soon(trio.sleep_forever, name="the sleeper")

    with pytest.raises(Stuck, match="the sleeper") as caught:
        run_in_virtual_time(main, seed=1)
    assert caught.value.waiting[1:] == ("the sleeper",)
    assert caught.value.paused == ()
    assert caught.value.at_s == 3


def test_neither_a_shield_nor_an_except_keeps_stuck_from_leaving() -> None:
    async def shielded(scheduler: Scheduler) -> None:
        with trio.CancelScope(shield=True):
            try:
                await trio.sleep_forever()
            except trio.Cancelled:
                opened.append("shield")
                raise

    async def swallowed(scheduler: Scheduler) -> None:
        with trio.CancelScope() as scope:
            try:
                await trio.sleep_forever()
            finally:
                scope.cancel()

    async def failed(scheduler: Scheduler) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("of the cleaning up")

    opened: list[str] = []
    for main in (shielded, swallowed, failed):
        with pytest.raises(Stuck):
            run_in_virtual_time(main, seed=1)
    assert opened


# Trio lets go of the task, whose scope then cannot be left in order.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_task_that_refuses_to_be_cancelled_does_not_keep_stuck_from_leaving() -> None:
    async def main(scheduler: Scheduler) -> None:
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)

    with pytest.raises(Stuck):
        run_in_virtual_time(main, seed=1)
    gc.collect()


# --- Trio's private names -----------------------------------------------------------------------


async def test_trio_still_has_the_private_names_that_scheduling_uses() -> None:
    runner, task = _run.GLOBAL_RUN_CONTEXT.runner, trio.lowlevel.current_task()
    needed = {
        _run: ("_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "Deadlines", "CancelStatus"),
        _run.Deadlines(): ("_heap", "_active", "add", "next_deadline"),
        runner: ("runq", "deadlines", "tasks", "clock"),
        task: ("_counter", "_next_send_fn", "_next_send", "_abort_func", "_cancel_status"),
        task._cancel_status: ("_scope", "parent", "effectively_cancelled"),
        trio.testing.MockClock(): ("_autojump",),
        WaitTaskRescheduled(lambda _: trio.lowlevel.Abort.FAILED): ("abort_func",),
    }
    missing = [
        f"{owner!r}.{name}"
        for owner, names in needed.items()
        for name in names
        if not hasattr(owner, name)
    ]
    assert not missing, f"trio {trio.__version__} has changed: {missing}"
    assert math.isinf(_run.Deadlines().next_deadline())


if __name__ == "__main__":
    # Holes in memory, other ones for each salt, so that later objects lie in another order.
    ballast = [bytearray(number % (300 + int(sys.argv[1]))) for number in range(50_000)]
    del ballast[:: 2 + int(sys.argv[1])]
    print(*digests())
