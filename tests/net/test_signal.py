"""A signal for one waiting task: set before or during the wait, consumed by it, cancellable."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from dynamo_py.net.signal import Signal


async def test_a_wait_consumes_what_was_set_before():
    signal = Signal()
    signal.set()
    signal.set()
    await signal.wait()
    assert not signal.is_set
    with trio.move_on_after(0) as scope:
        await signal.wait()
    assert scope.cancelled_caught


async def test_a_waiting_task_is_woken():
    signal = Signal()
    woken: list[int] = []

    async def wait() -> None:
        for turn in range(2):
            await signal.wait()
            woken.append(turn)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        for turn in range(2):
            await trio.testing.wait_all_tasks_blocked()
            assert len(woken) == turn
            signal.set()


async def test_after_a_cancelled_wait_it_works_as_before():
    signal = Signal()
    with trio.CancelScope() as scope:
        scope.cancel()
        await signal.wait()
    signal.set()
    await signal.wait()
    assert not signal.is_set


async def test_a_second_task_that_waits_is_a_bug_of_ours():
    signal = Signal()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(signal.wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(AssertionError):
            await signal.wait()
        signal.set()
