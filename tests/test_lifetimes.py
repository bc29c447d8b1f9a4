"""What leaves `background`, and what does not."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from dynamo_py.lifetimes import background


async def test_the_bodys_exception_leaves_as_it_is():
    async def run() -> None:
        async with background() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise ValueError("of the body")

    with pytest.raises(ValueError, match="of the body"):
        await run()


async def test_a_tasks_exception_cancels_the_body_and_leaves_alone():
    async def fail() -> None:
        raise ValueError("of the task")

    async def run() -> None:
        async with background() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    with pytest.raises(ValueError, match="of the task"):
        await run()


async def test_a_task_may_end_the_body():
    async with background() as nursery:
        nursery.cancel_scope.cancel()
        await trio.sleep_forever()


def test_a_task_may_end_a_body_with_tasks_of_its_own():
    """Their cancellations come as a group, which is no exception of the body's either."""

    async def main() -> str:
        async with background() as nursery:
            nursery.cancel_scope.cancel()
            async with trio.open_nursery() as inner:
                inner.start_soon(trio.sleep_forever)
                inner.start_soon(trio.sleep_forever)
        return "went on"

    # In a run of its own: pytest-trio's takes in a cancellation that is not its business.
    assert trio.run(main) == "went on"


async def test_what_fails_while_it_is_cancelled_leaves_alone():
    async def fail_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("at the end")

    async def run() -> None:
        async with background() as nursery, trio.open_nursery() as inner:
            inner.start_soon(trio.sleep_forever)
            inner.start_soon(fail_when_cancelled)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    with pytest.raises(ValueError, match="at the end"):
        await run()


async def test_a_cancellation_from_outside_reaches_its_scope():
    with trio.CancelScope() as scope:
        async with background() as nursery:
            nursery.start_soon(trio.sleep_forever)
            async with background() as inner:
                inner.start_soon(trio.sleep_forever)
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught
