"""Events for one waiting task, for the places through which every request passes.

Elsewhere `trio.Event` is the clearer one: it lets any number of tasks wait.
"""

from __future__ import annotations

from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled


class Latch:
    """Set once and for ever; waited for by one task at a time."""

    __slots__ = ("_is_set", "_waiting")

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: Task | None = None

    @property
    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Wake the waiting task, or let the next wait return at once."""
        self._is_set = True
        if self._waiting is not None:
            task, self._waiting = self._waiting, None
            reschedule(task)

    async def wait(self) -> None:
        """Wait until it is set. A checkpoint where it has to wait."""
        if not self._is_set:
            assert self._waiting is None, "one task waits"
            self._waiting = current_task()
            await wait_task_rescheduled(self._abort)

    def _abort(self, raise_cancel: object) -> Abort:
        self._waiting = None
        return Abort.SUCCEEDED


class Signal(Latch):
    """Set again and again: a wait consumes it."""

    __slots__ = ()

    async def wait(self) -> None:
        """Wait until it is set, and take that back."""
        await super().wait()
        self._is_set = False
