"""What a load has come to: latencies and errors of the operations that count.

Pure: times are given. Which operations count is said by a window: in a closed loop those that
ended in it, in an open one those that were due in it, however late they ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dyn_cli.bench.histogram import Histogram
from dyn_cli.bench.workloads import Kind


@dataclass(frozen=True, slots=True)
class Window:
    """From ``begin_s`` on, until ``end_s`` or until so many operations are done.

    Before it begins the load warms up: caches fill, connections open.
    """

    begin_s: float
    end_s: float = math.inf
    operations_max: int | None = None

    def __post_init__(self) -> None:
        assert self.begin_s <= self.end_s
        assert self.end_s < math.inf or self.operations_max is not None


class Recorder:
    """Counts the operations of one window."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.latencies: dict[Kind, Histogram] = {}
        """Of those that succeeded."""
        self.errors: dict[str, int] = {}
        """How many have failed, by the kind of error."""
        self.operations = 0
        """How many have succeeded."""
        self._last_s = window.begin_s

    def is_over(self, now_s: float) -> bool:
        """Whether nothing that is begun now would count."""
        bound = self.window.operations_max
        return now_s >= self.window.end_s or (bound is not None and self.ended >= bound)

    @property
    def ended(self) -> int:
        """How many have succeeded or failed."""
        return self.operations + sum(self.errors.values())

    def succeeded(self, kind: Kind, *, at_s: float, latency_s: float) -> None:
        """An operation that counts as of the moment ``at_s`` has succeeded."""
        if self._counts(at_s):
            histogram = self.latencies.get(kind)
            if histogram is None:
                histogram = self.latencies[kind] = Histogram()
            histogram.record(round(latency_s * 1e9))
            self.operations += 1

    def failed(self, error: str, *, at_s: float) -> None:
        """One that counts as of the moment ``at_s`` has failed."""
        if self._counts(at_s):
            self.errors[error] = self.errors.get(error, 0) + 1

    def _counts(self, at_s: float) -> bool:
        if at_s < self.window.begin_s or self.is_over(at_s):
            return False
        self._last_s = max(self._last_s, at_s)
        return True

    @property
    def seconds(self) -> float:
        """How long the window was: where a number of operations ended it, until the last one."""
        if self.window.operations_max is not None and self.ended >= self.window.operations_max:
            return self._last_s - self.window.begin_s
        return self.window.end_s - self.window.begin_s

    def all_latencies(self) -> Histogram:
        """Those of all kinds together."""
        together = Histogram()
        for histogram in self.latencies.values():
            together.add(histogram)
        return together
