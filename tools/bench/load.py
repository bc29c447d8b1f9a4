"""Load: a closed loop with so many requests in flight, or an open one with so many a second.

A closed loop asks how much goes through. An open one asks how long users wait: they come when
they come, so latency counts from the moment at which a request was due, and a stall is felt by
all who come meanwhile.

Knows nothing of what a request does. Latencies are kept whole, which bounds a phase to some
millions of operations.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import trio

from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import background, in_parallel

UNDER_WAY_MAX = 10_000
"""Requests of an open loop under way at once; one more fails without being asked."""
LAST_ANSWERS_S = 6.0
"""Longer than a request takes at most: after it all that were due in a window are over."""


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The value that so many per cent of the ``ordered`` ones, of which there are some, are below.

    ``percent`` is from 0 to 100. The highest one where there are too few to tell.
    """
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


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
        return percentile(self.latencies_s, percent) * 1000


async def closed_loop(
    name: str, operation: Callable[[int], Awaitable[object]], *, operations: int, in_flight: int
) -> Phase:
    """Run ``operation(0)`` to ``operation(operations - 1)``, ``in_flight`` at a time.

    The first exception of one ends all, and leaves alone.
    """
    numbers = iter(range(operations))
    latencies: list[float] = []

    async def work() -> None:
        for number in numbers:
            started = time.perf_counter()
            await operation(number)
            latencies.append(time.perf_counter() - started)

    started = time.perf_counter()
    await in_parallel(work, in_flight)
    seconds = time.perf_counter() - started
    return Phase(name, operations, seconds, tuple(sorted(latencies)))


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of an open loop; times are trio's clock's."""

    due_s: float
    latency_s: float
    """From when it was due until its answer; infinite where it failed."""


class OpenLoop:
    """Requests at a constant rate, whatever becomes of those before."""

    def __init__(self, operation: Callable[[int], Awaitable[object]], *, per_second: float) -> None:
        """``operation`` is called with 0, 1, …; it has a bound of its own on how long it takes."""
        self._operation = operation
        self._per_second = per_second
        self._under_way = 0
        self.samples: list[Sample] = []
        """Of all that are over, in the order in which they ended."""
        self.errors: dict[str, int] = {}
        """How many have failed, by the kind of error."""

    async def run(self) -> None:
        """Keep them coming until cancelled."""
        began_s = trio.current_time()
        async with trio.open_nursery() as nursery:
            for number in count():
                due_s = began_s + number / self._per_second
                # Those that are overdue by now are all begun at once, as they would have come.
                if due_s > trio.current_time():
                    await trio.sleep_until(due_s)
                if self._under_way < UNDER_WAY_MAX:
                    self._under_way += 1
                    nursery.start_soon(self._one, number, due_s)
                else:
                    self._failed(due_s, "too many under way")

    async def _one(self, number: int, due_s: float) -> None:
        try:
            await self._operation(number)
        except DynamoError as error:
            self._failed(due_s, type(error).__name__)
        else:
            self.samples.append(Sample(due_s, trio.current_time() - due_s))
        finally:
            self._under_way -= 1

    def _failed(self, due_s: float, reason: str) -> None:
        self.samples.append(Sample(due_s, math.inf))
        self.errors[reason] = self.errors.get(reason, 0) + 1


@asynccontextmanager
async def open_loop(
    operation: Callable[[int], Awaitable[object]], *, per_second: float
) -> AsyncIterator[OpenLoop]:
    """An open loop for as long as the body runs; what is under way then is cancelled."""
    load = OpenLoop(operation, per_second=per_second)
    async with background() as nursery:
        nursery.start_soon(load.run)
        yield load


def latencies_between(samples: Iterable[Sample], begin_s: float, end_s: float) -> list[float]:
    """The latencies of the requests that were due in a window, in seconds, sorted."""
    return sorted(sample.latency_s for sample in samples if begin_s <= sample.due_s < end_s)
