"""Calls at their moments, made by one task."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dynamo_py.testing.timetable import Timetable


async def test_calls_are_made_when_due_and_in_the_order_added_where_equal(autojump_clock):
    timetable, made = Timetable(), []

    def call(name: str) -> None:
        made.append((trio.current_time(), name))

    for due, name in [(2.0, "c"), (1.0, "a"), (2.0, "d"), (1.0, "b"), (9.0, "e")]:
        timetable.add(due, call, name)
    with trio.move_on_after(5):
        await timetable.run()
    assert made == [(1.0, "a"), (1.0, "b"), (2.0, "c"), (2.0, "d")]
    assert len(timetable) == 1
    timetable._check()


async def test_what_is_added_later_but_due_earlier_is_made_in_time(autojump_clock):
    timetable, made = Timetable(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timetable.run)
        for delay in (3.0, 2.0, 1.0, 0.0, -1.0):
            await wait_all_tasks_blocked()
            due = trio.current_time() + delay
            timetable.add(due, lambda due: made.append((due, trio.current_time())), due)
            timetable._check()
        await trio.sleep(5)
        nursery.cancel_scope.cancel()
    assert made == [(0.0, 0.0), (-1.0, 0.0), (1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]


async def test_a_call_may_add_another_for_the_same_moment(autojump_clock):
    timetable, made = Timetable(), []
    timetable.add(1.0, lambda _: timetable.add(1.0, made.append, "second"), None)
    with trio.move_on_after(1.5):
        await timetable.run()
    assert made == ["second"]


async def test_an_error_of_a_call_is_not_swallowed(autojump_clock):
    timetable = Timetable()
    absent: list[str] = []
    timetable.add(1.0, absent.remove, "this")
    with pytest.raises(ValueError, match="not in list"):
        await timetable.run()
