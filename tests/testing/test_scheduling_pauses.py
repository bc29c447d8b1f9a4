"""Tests of pausing hosts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from dynamo_py.testing.scheduling import Scheduler, Stuck, run_in_virtual_time

SEEDS = range(20)


def run(main: Callable[[Scheduler], Awaitable[None]]) -> None:
    """Run ``main`` under each of the seeds."""
    for seed in SEEDS:
        run_in_virtual_time(main, seed=seed)


class Ticker:
    """A host's task that notes the time of its steps, a second apart."""

    def __init__(self) -> None:
        self.at: list[float] = []

    async def run(self) -> None:
        while True:
            await trio.sleep(1)
            self.at.append(trio.current_time())


def test_a_paused_host_takes_no_step_and_others_go_on() -> None:
    async def main(scheduler: Scheduler) -> None:
        one, other = Ticker(), Ticker()
        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(one.run)
            with scheduler.belonging_to("n2"):
                nursery.start_soon(other.run)
            await trio.sleep(2.5)
            scheduler.pause("n1")
            assert scheduler.is_paused("n1")
            assert not scheduler.is_paused("n2")
            await trio.sleep(3)
            scheduler.resume("n1")
            await trio.sleep(1.9)
            nursery.cancel_scope.cancel()
        # The timer of 3 s passed during the pause, and is learnt of at its end.
        assert one.at == [1, 2, 5.5, 6.5]
        assert other.at == [1, 2, 3, 4, 5, 6, 7]

    run(main)


def test_children_belong_to_the_host_of_their_parent() -> None:
    async def main(scheduler: Scheduler) -> None:
        ticker = Ticker()

        async def parent() -> None:
            async with trio.open_nursery() as nursery:  # noqa: ASYNC112 - a child is the point
                nursery.start_soon(ticker.run)

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(parent)
            await trio.sleep(1.5)
            scheduler.pause("n1")
            await trio.sleep(5)
            assert ticker.at == [1]
            nursery.cancel_scope.cancel()

    run(main)


def test_the_task_that_spawns_does_not_belong_even_while_it_waits_inside() -> None:
    async def main(scheduler: Scheduler) -> None:
        async def start(task_status: trio.TaskStatus[None]) -> None:
            task_status.started()
            await trio.sleep(1)
            ended.append(trio.current_time())

        ended: list[float] = []
        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                await nursery.start(start)
                scheduler.pause("n1")
                await trio.sleep(2)
                assert not ended
                scheduler.resume("n1")
        assert ended == [2]

    run(main)


def test_belonging_within_belonging_is_to_the_inner_host() -> None:
    async def main(scheduler: Scheduler) -> None:
        inner, own = Ticker(), Ticker()

        async def host() -> None:
            async with trio.open_nursery() as nursery:
                with scheduler.belonging_to("n2"):
                    nursery.start_soon(inner.run)
                    await own.run()

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1.5)
            scheduler.pause("n1")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        assert inner.at == [1, 2]
        assert own.at == [1]

    run(main)


def test_a_task_that_is_ready_in_the_batch_of_the_pause_is_held_with_what_it_waited_for() -> None:
    async def main(scheduler: Scheduler) -> tuple[bool, int]:
        send, receive = trio.open_memory_channel[str](0)
        got: list[tuple[str, float]] = []

        async def host() -> None:
            got.append((await receive.receive(), trio.current_time()))

        async def pause() -> None:
            scheduler.pause("n1")

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            # Both are ready for the next batch: in either order, so the seed decides.
            send.send_nowait("hello")
            nursery.start_soon(pause)
            await trio.sleep(1)
            held = not got
            scheduler.resume("n1")
        assert got == [("hello", 2.0 if held else 1.0)]
        return held, scheduler.steps

    (one, steps), (other, as_many) = {run_in_virtual_time(main, seed=seed) for seed in SEEDS}
    assert {one, other} == {True, False}
    assert steps == as_many


def test_new_tasks_and_tasks_ready_at_the_pause_are_held_before_their_first_step() -> None:
    async def main(scheduler: Scheduler) -> None:
        ran: list[str] = []

        async def step(name: str) -> None:
            ran.append(name)

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(step, "before")
                scheduler.pause("n1")
                nursery.start_soon(step, "after")
            await trio.sleep(1)
            assert not ran
            scheduler.resume("n1")
        assert sorted(ran) == ["after", "before"]

    run(main)


def test_a_pause_within_one_batch_leaves_no_trace() -> None:
    async def main(scheduler: Scheduler) -> None:
        ran: list[str] = []

        async def step() -> None:
            ran.append(await value())

        async def value() -> str:
            await trio.lowlevel.checkpoint()
            return "stepped"

        async def flicker() -> None:
            for _ in range(3):
                scheduler.pause("n1")
                scheduler.pause("n1")
                scheduler.resume("n1")
                scheduler.resume("n1")
                await trio.lowlevel.checkpoint()

        before = scheduler.steps
        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                for _ in range(3):
                    nursery.start_soon(step)
            nursery.start_soon(flicker)
        assert ran == ["stepped"] * 3
        # Each step of a task: two of each of three, four of the flicker, one of main.
        assert scheduler.steps - before == 3 * 2 + 4 + 1

    run(main)


def test_cancelled_while_paused_a_task_learns_of_it_at_its_resume() -> None:
    async def main(scheduler: Scheduler) -> None:
        cleaned_up: list[float] = []
        scope = trio.CancelScope()

        async def host() -> None:
            with scope:
                try:
                    await trio.sleep_forever()
                finally:
                    cleaned_up.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            scheduler.pause("n1")
            scope.cancel()
            await trio.sleep(1)
            assert not cleaned_up
            scheduler.resume("n1")
        assert cleaned_up == [2]

    run(main)


def test_a_ready_task_that_is_cancelled_while_paused_keeps_what_it_was_given() -> None:
    async def main(scheduler: Scheduler) -> bool:
        send, receive = trio.open_memory_channel[str](0)
        got: list[str] = []
        scope = trio.CancelScope()

        async def host() -> None:
            with scope:
                got.append(await receive.receive())
                await trio.lowlevel.checkpoint()
                got.append("not cancelled")

        async def pause() -> None:
            scheduler.pause("n1")

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            nursery.start_soon(pause)
            send.send_nowait("hello")
            await trio.sleep(1)
            held = not got
            scope.cancel()
            await trio.sleep(1)
            scheduler.resume("n1")
        assert got == ["hello"]
        return held

    assert {run_in_virtual_time(main, seed=seed) for seed in SEEDS} == {True, False}


def test_a_deadline_that_passes_during_the_pause_cancels_at_its_end() -> None:
    async def main(scheduler: Scheduler) -> None:
        ended: list[tuple[float, bool]] = []

        async def host() -> None:
            with trio.move_on_after(2) as scope:
                await trio.sleep_forever()
            ended.append((trio.current_time(), scope.cancelled_caught))

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            scheduler.pause("n1")
            await trio.sleep(3)
            scheduler.resume("n1")
        assert ended == [(4.0, True)]

    run(main)


def test_a_task_that_pauses_its_own_host_ends_its_step_first() -> None:
    async def main(scheduler: Scheduler) -> None:
        seen: list[float] = []

        async def host() -> None:
            scheduler.pause("n1")
            seen.append(trio.current_time())
            await trio.lowlevel.checkpoint()
            seen.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            scheduler.resume("n1")
        assert seen == [0, 1]

    run(main)


def test_a_run_that_fails_ends_though_a_host_is_paused() -> None:
    cleaned_up = 0

    async def host() -> None:
        nonlocal cleaned_up
        try:
            await trio.sleep_forever()
        finally:
            cleaned_up += 1

    async def main(scheduler: Scheduler) -> None:
        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            scheduler.pause("n1")
            raise ValueError("main failed")

    for seed in SEEDS:
        with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="main failed")):
            run_in_virtual_time(main, seed=seed)
    assert cleaned_up == len(SEEDS)


def test_a_pause_at_the_end_of_main_holds_nothing_up() -> None:
    async def main(scheduler: Scheduler) -> str:
        scheduler.pause("n1")
        return "ended"

    assert run_in_virtual_time(main, seed=1) == "ended"


def test_waiting_for_a_paused_host_is_being_stuck() -> None:
    async def main(scheduler: Scheduler) -> None:
        event = trio.Event()

        async def host() -> None:
            await trio.sleep(2)
            event.set()

        async with trio.open_nursery() as nursery:
            with scheduler.belonging_to("n1"):
                nursery.start_soon(host)
            await trio.sleep(1)
            scheduler.pause("n1")
            await event.wait()

    with pytest.raises(Stuck) as caught:
        run_in_virtual_time(main, seed=1)
    assert caught.value.paused == ("n1",)
