"""Windows of time, and how long clients waited in them.

A promise that clients hardly notice some work of the nodes is held against the p99 of a window
before it. Knows nothing of what the nodes did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.load import Sample, latencies_between, percentile
from studies.bars import StudyFailed

P99_FACTOR_BAR = 1.5
P99_SLACK_MS_BAR = 5.0


@dataclass(frozen=True, slots=True)
class Window:
    """A span of trio's clock."""

    begin_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end_s - self.begin_s

    def parts(self, seconds: float) -> tuple[Window, ...]:
        """Windows of that length, one after the other, without the rest; itself where shorter."""
        count = int(self.seconds / seconds)
        if not count:
            return (self,)
        begins_s = [self.begin_s + number * seconds for number in range(count)]
        return tuple(Window(begin_s, begin_s + seconds) for begin_s in begins_s)


def p99_ms(samples: Sequence[Sample], window: Window) -> float:
    """The 99th percentile of the requests that were due in it, in ms; infinite: failures.

    Raises `StudyFailed` where there is none.
    """
    latencies = latencies_between(samples, window.begin_s, window.end_s)
    if not latencies:
        raise StudyFailed(f"no request was due in a window of {window.seconds:.1f} s")
    return percentile(latencies, 99) * 1000


def p99_bound_ms(before_ms: float) -> float:
    """How high a p99 may be, where it was ``before_ms`` in quiet windows."""
    return max(before_ms * P99_FACTOR_BAR, before_ms + P99_SLACK_MS_BAR)
