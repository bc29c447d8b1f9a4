"""What is to happen at which moment: one heap, and one task that sleeps until the next entry.

Knows nothing of what happens. Entries of one moment happen in the order in which they were
added. Times are seconds of trio's clock.

Invariant: `run` wakes no later than the first entry is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeVar

import trio

T = TypeVar("T")


class Timetable:
    """Plain calls at later moments, made by the task that runs `run`."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, Callable[[Any], None], Any]] = []
        self._number = 0
        self._alarm = trio.CancelScope()
        self._wakes_at = math.inf

    def add(self, due: float, action: Callable[[T], None], argument: T) -> None:
        """Call ``action(argument)`` at ``due``, or as soon as may be when that is past."""
        self._number += 1
        heappush(self._entries, (due, self._number, action, argument))
        if due < self._wakes_at:
            self._wakes_at = self._alarm.deadline = due

    async def run(self) -> None:
        """Make the calls as they become due, until cancelled. An exception of one ends this."""
        while True:
            self._wakes_at = self._entries[0][0] if self._entries else math.inf
            # The deadline moves when something earlier is added: cheaper than to wake for it.
            with trio.CancelScope(deadline=self._wakes_at) as self._alarm:
                await trio.sleep_forever()
            self._make_due_calls(trio.current_time())

    def _make_due_calls(self, now: float) -> None:
        entries = self._entries
        while entries and entries[0][0] <= now:
            _, _, action, argument = heappop(entries)
            action(argument)

    def __len__(self) -> int:
        return len(self._entries)

    def _check(self) -> None:
        assert not self._entries or self._wakes_at <= self._entries[0][0]
