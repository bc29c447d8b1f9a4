"""Closed and open loops: when operations are begun.

A closed loop has so many under way and begins one when another ends: it asks how much goes
through. An open one begins so many a second, whatever becomes of those before: it asks how long
users wait, who come when they come. There a latency counts from the moment at which the operation
was due, so that a stall is felt by all who come meanwhile ("coordinated omission").

Knows nothing of what an operation does. An error of the store is counted; any other ends the loop.
"""

from __future__ import annotations

from itertools import count
from typing import Protocol

import trio

from dyn_cli.bench.recording import Recorder
from dyn_cli.bench.workloads import Kind
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import in_parallel

UNDER_WAY_MAX = 10_000
"""Operations of an open loop under way at once; one more fails without being asked."""
BEGUN_AT_ONCE_MAX = 64
"""Then those that are under way get their turn, however far the loop is behind."""
TOO_MANY = "too many under way"


class Work(Protocol):
    """What a loop has done."""

    def draw(self) -> Kind:
        """Which operation is next."""
        ...

    async def carry_out(self, kind: Kind, worker: int) -> None:
        """Do it, in bounded time. ``worker`` is below the number of those under way at once."""
        ...


async def closed_loop(work: Work, recorder: Recorder, *, in_flight: int) -> None:
    """Have so many operations under way until the recorder's window is over.

    An operation that ends after the window is waited for, and does not count.
    """
    workers = iter(range(in_flight))

    async def run() -> None:
        worker = next(workers)
        began_s = trio.current_time()
        while not recorder.is_over(began_s):
            kind = work.draw()
            try:
                await work.carry_out(kind, worker)
            except DynamoError as error:
                recorder.failed(type(error).__name__, at_s=trio.current_time())
                # An error that needed no waiting must not keep all others from running.
                await trio.lowlevel.checkpoint()
            else:
                now_s = trio.current_time()
                recorder.succeeded(kind, at_s=now_s, latency_s=now_s - began_s)
            began_s = trio.current_time()

    await in_parallel(run, in_flight)


class Pace:
    """When operations at a constant rate are due."""

    def __init__(self, began_s: float, per_second: float) -> None:
        assert per_second > 0
        self._began_s = began_s
        self._per_second = per_second

    def due_s(self, number: int) -> float:
        """When the operation of that number, from 0, is due. Rounding does not add up."""
        return self._began_s + number / self._per_second


async def open_loop(work: Work, recorder: Recorder, *, per_second: float) -> None:
    """Begin so many operations a second until the window is over, and wait until all have ended."""
    under_way = 0

    async def one(kind: Kind, number: int, due_s: float) -> None:
        nonlocal under_way
        try:
            await work.carry_out(kind, number % UNDER_WAY_MAX)
        except DynamoError as error:
            recorder.failed(type(error).__name__, at_s=due_s)
        else:
            recorder.succeeded(kind, at_s=due_s, latency_s=trio.current_time() - due_s)
        finally:
            under_way -= 1

    pace = Pace(trio.current_time(), per_second)
    async with trio.open_nursery() as nursery:
        for number in count():
            due_s = pace.due_s(number)
            if recorder.is_over(due_s):
                break
            # Those that are overdue by now are all begun at once, as they would have come.
            if due_s > trio.current_time():
                await trio.sleep_until(due_s)
            elif number % BEGUN_AT_ONCE_MAX == 0:
                await trio.lowlevel.checkpoint()
            if under_way < UNDER_WAY_MAX:
                under_way += 1
                nursery.start_soon(one, work.draw(), number, due_s)
            else:
                recorder.failed(TOO_MANY, at_s=due_s)
