"""Alarms: plain calls at about a time."""

from __future__ import annotations

from contextlib import asynccontextmanager

import pytest
import trio

from dynamo_py.net.alarms import TICK_S, Alarms
from dynamo_py.net.signal import Latch


@asynccontextmanager
async def running():
    alarms = Alarms(trio.current_time)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(alarms.run)
        yield alarms
        nursery.cancel_scope.cancel()


async def test_an_alarm_goes_off_at_its_time_or_a_tick_later(autojump_clock):
    went_off: list[float] = []
    async with running() as alarms:
        began = trio.current_time()
        for delay_s in (0.3, 0.1, 0.2):
            alarms.set(delay_s, lambda: went_off.append(trio.current_time() - began))
        await trio.sleep(1)
    assert went_off == [pytest.approx(s + TICK_S / 2, abs=TICK_S) for s in (0.1, 0.2, 0.3)]


async def test_a_cancelled_alarm_does_not_go_off_and_is_not_waited_for(autojump_clock):
    went_off: list[str] = []
    async with running() as alarms:
        cancelled = alarms.set(60.0, lambda: went_off.append("cancelled"))
        kept = alarms.set(90.0, lambda: went_off.append("kept"))
        cancelled.cancel()
        kept.cancel()
        soon = alarms.set(0.1, lambda: went_off.append("soon"))
        await trio.sleep(1)
        assert went_off == ["soon"], "a new one is not held up by those set before"
        assert soon.call is not None
        assert alarms.statistics()["alarms"] == 0, "those that were cancelled are not kept"
        await trio.sleep(100)
    assert went_off == ["soon"]


async def test_steps_are_taken_in_turn_until_it_is_decided(autojump_clock):
    taken: list[tuple[str, float]] = []
    decided = Latch()
    began = trio.current_time()

    def note(name: str) -> None:
        taken.append((name, round(trio.current_time() - began, 1)))
        if name == "second":
            decided.set()

    async with running() as alarms:
        steps = [(0.1, "first"), (0.3, "second"), (0.5, "third")]
        await alarms.wait(decided, [(s, lambda name=name: note(name)) for s, name in steps])
        await trio.sleep(1)
    assert taken == [("first", 0.1), ("second", 0.3)]
