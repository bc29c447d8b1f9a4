"""A closed loop of requests: so many in flight, each followed by the next.

Knows nothing of what a request does. Latencies are kept whole, which bounds a phase to some
millions of operations.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase of a load came to."""

    name: str
    operations: int
    seconds: float
    latencies_s: tuple[float, ...]
    """Sorted."""

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.operations / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency, in milliseconds, that so many per cent of the operations stay within."""
        index = min(len(self.latencies_s) - 1, int(len(self.latencies_s) * percent / 100))
        return self.latencies_s[index] * 1000


async def closed_loop(
    name: str, operation: Callable[[int], Awaitable[object]], *, operations: int, in_flight: int
) -> Phase:
    """Run ``operation(0)`` to ``operation(operations - 1)``, ``in_flight`` at a time."""
    numbers = iter(range(operations))
    latencies: list[float] = []

    async def work() -> None:
        for number in numbers:
            started = time.perf_counter()
            await operation(number)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(work)
    seconds = time.perf_counter() - started
    return Phase(name, operations, seconds, tuple(sorted(latencies)))
