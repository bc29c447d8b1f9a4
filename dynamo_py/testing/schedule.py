"""When faults happen: a seeded schedule, several at once, all of them over in the end.

Knows nothing of what a fault does (`dynamo_py.testing.faults`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import trio

from dynamo_py.lifetimes import background
from dynamo_py.testing.faults import KINDS, Fault, Stage

GAP_S = 2.0
"""The mean time from one fault to the next."""
LASTS_S = 4.0
"""The mean time that a fault lasts, on top of `LASTS_MIN_S`."""
LASTS_MIN_S = 0.2
AT_ONCE_MAX = 4
"""How many are under way at most; a fault that would be one more does not happen."""
COPY_S = 7.0
"""The mean time between copies of the victims' disks, to which they may be rolled back."""


class Schedule:
    """Begins and ends faults while `run` runs, and tells each to ``note``."""

    def __init__(self, stage: Stage, kinds: Sequence[str], *, note: Callable[[str], None]) -> None:
        self._stage = stage
        self._kinds = list(kinds)
        self._note = note
        self._under_way: list[tuple[float, Fault]] = []

    async def run(self, duration_s: float) -> None:
        """Let faults happen for so long; when this returns, or is cancelled, all are over."""
        over_s = trio.current_time() + duration_s
        try:
            async with background() as nursery:
                self._stage = replace(self._stage, start_soon=nursery.start_soon)
                nursery.start_soon(self._copy_disks)
                await self._begin_and_end(over_s)
        finally:
            while self._under_way:
                self._end(self._under_way[0])

    async def _begin_and_end(self, over_s: float) -> None:
        generator = self._stage.random
        next_s = trio.current_time() + generator.expovariate(1 / GAP_S)
        while (now := trio.current_time()) < over_s:
            for under_way in [u for u in self._under_way if u[0] <= now]:
                self._end(under_way)
            if now >= next_s:
                self._begin(min(over_s, now + LASTS_MIN_S + generator.expovariate(1 / LASTS_S)))
                next_s = now + generator.expovariate(1 / GAP_S)
            ends = [until_s for until_s, _ in self._under_way]
            await trio.sleep_until(min(over_s, next_s, *ends))

    def _begin(self, until_s: float) -> None:
        if len(self._under_way) >= AT_ONCE_MAX:
            return
        fault = KINDS[self._stage.random.choice(self._kinds)](self._stage)
        if fault is not None:
            self._under_way.append((until_s, fault))
            self._note(fault.text)

    def _end(self, under_way: tuple[float, Fault]) -> None:
        self._under_way.remove(under_way)
        fault = under_way[1]
        fault.end()
        if fault.ended:
            self._note(f"{fault.ended}: {fault.text}")

    async def _copy_disks(self) -> None:
        while True:
            await trio.sleep(self._stage.random.expovariate(1 / COPY_S))
            for host in self._stage.victims:
                host.copy_disk()
