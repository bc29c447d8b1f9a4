"""Alarms: plain calls at about a time, for many short waits of which hardly one is waited out.

A trio cancel scope for each request costs as much as the request's own work. Here a wait
costs one push onto a heap, and one task sleeps until the first of them, `TICK_S` at least.
Knows nothing of requests.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence

import trio

from dynamo_py.net.signal import Latch, Signal

TICK_S = 0.01
"""How late an alarm may be."""


class Alarm:
    """One alarm that was set."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It is not needed any more."""
        self.call = None


class Alarms:
    """All alarms of one node. They go off while `run` runs."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._heap: list[tuple[float, int, Alarm]] = []
        self._number = 0
        self._armed = Signal()
        self._looks_at = math.inf
        """When `run` looks next; an alarm before that wakes it."""

    def set(self, delay_s: float, call: Callable[[], None]) -> Alarm:
        """Have ``call`` called, once, ``delay_s`` from now or up to a tick later."""
        alarm = Alarm(call)
        self._number += 1  # Of two for one moment the one that was set first goes first.
        due = self._monotonic() + delay_s
        heapq.heappush(self._heap, (due, self._number, alarm))
        if due + TICK_S < self._looks_at:
            self._looks_at = due + TICK_S
            self._armed.set()
        return alarm

    async def run(self) -> None:
        """Let alarms go off until cancelled."""
        while True:
            self._drop_cancelled()
            if not self._heap:
                self._looks_at = math.inf
                await self._armed.wait()
            else:
                now = self._monotonic()
                self._looks_at = max(self._heap[0][0], now + TICK_S)
                with trio.move_on_after(self._looks_at - now):
                    await self._armed.wait()
                self._go_off(self._monotonic())

    def _drop_cancelled(self) -> None:
        """Forget those that nobody waits for any more, or an idle node would tick on for them."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)

    def _go_off(self, now: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= now:
            call = heapq.heappop(heap)[2].call
            if call is not None:
                call()

    async def wait(self, decided: Latch, steps: Sequence[tuple[float, Callable[[], None]]]) -> None:
        """Wait until ``decided`` is set, and meanwhile take each step when its time has come.

        ``steps`` are pairs of seconds from now, rising, and what to do then; the last one must
        see to it that ``decided`` is set.
        """
        if decided.is_set:
            return
        taking = _Taking(self, steps)
        try:
            await decided.wait()
        finally:
            taking.alarm.cancel()

    def statistics(self) -> dict[str, int]:
        """How many alarms are kept, some cancelled ones among them."""
        return {"alarms": len(self._heap)}


class _Taking:
    """Takes one step after the other."""

    __slots__ = ("_alarms", "_next", "_steps", "alarm")

    def __init__(self, alarms: Alarms, steps: Sequence[tuple[float, Callable[[], None]]]) -> None:
        self._alarms = alarms
        self._steps = steps
        self._next = 0
        self.alarm = alarms.set(steps[0][0], self._take)

    def _take(self) -> None:
        after_s, action = self._steps[self._next]
        self._next += 1
        if self._next < len(self._steps):
            self.alarm = self._alarms.set(self._steps[self._next][0] - after_s, self._take)
        action()
