"""Tasks that carry out one job after the other.

One job has one task, but a task that is done takes the next job instead of ending: to spawn
one costs as much as a request's own work. Knows nothing of what the jobs are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import trio

from dynamo_py.net.signal import Signal

IDLE_MAX = 256
"""Tasks that are kept waiting for a job; one costs some 10 KiB."""

J = TypeVar("J")


class _Idle(Generic[J]):
    """A task without a job, and the place where it finds its next one."""

    __slots__ = ("job", "woken")

    def __init__(self, job: J) -> None:
        self.job = job
        self.woken = Signal()


class Workers(Generic[J]):
    """Carries out jobs, each in a task. Lives while `run` runs; the caller bounds the jobs."""

    def __init__(self, carry_out: Callable[[J], Awaitable[None]]) -> None:
        """``carry_out`` must not raise: what a job fails with is its own affair."""
        self._carry_out = carry_out
        self._nursery: trio.Nursery | None = None
        self._idle: list[_Idle[J]] = []

    @property
    def is_running(self) -> bool:
        """Whether jobs are taken."""
        return self._nursery is not None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry out jobs until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None
                self._idle.clear()

    def start(self, job: J) -> None:
        """Begin with ``job``, soon."""
        assert self._nursery is not None, "running"
        if self._idle:
            idle = self._idle.pop()
            idle.job = job
            idle.woken.set()
        else:
            self._nursery.start_soon(self._work, job)

    async def _work(self, job: J) -> None:
        place = _Idle(job)
        await self._carry_out(place.job)
        while len(self._idle) < IDLE_MAX:
            self._idle.append(place)
            await place.woken.wait()
            await self._carry_out(place.job)

    def statistics(self) -> dict[str, int]:
        """Tasks without a job."""
        return {"idle": len(self._idle)}
