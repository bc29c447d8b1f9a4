"""How fast background work may go: as fast as the clients do not feel it.

Background work asks for a *slice* before each bounded piece of work, some 1 or 2 ms of it,
and is granted so many a second. The rate is fed back from the foreground: it grows by steps
while the recent p99 of clients' requests stays near the baseline, which is their p99 while
little or no background work runs, and is halved when it does not. What is worse than the
baseline while there is such work is believed to be its doing, for about a minute.
(DeCandia et al. 2007, section 6.5.)

    p99 within bounds      rate + RATE_STEP
    p99 out of bounds      rate * RATE_CUT
    no client at all       as fast as it goes, a checkpoint between slices

It never falls below `RATE_MIN`: hints and exchanges that starve are worse than some late
answers. `RateControl` is pure and knows no clock; `Throttle` does the waiting, by trio's
clock. Neither knows what the work is. Nothing runs while nobody asks for a slice: a window
that nobody closed just lasts longer.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import trio

WINDOW_S = 0.25
"""How long latencies are gathered before the rate is looked at again."""
WINDOW_MAX_S = 2.0
"""The same where there are fewer requests than `SAMPLES_MIN`."""
SAMPLES_MIN = 20
SAMPLES_MAX = 1000
"""Latencies that are kept of one window, the last ones: what a p99 needs, and cheap to sort."""

RATE_MIN = 25.0
"""Slices a second that background work always gets: some percent of a core."""
RATE_MAX = 1000.0
"""Slices a second at most while there are clients: beyond it slices are all that is done."""
RATE_STEP = 20.0
RATE_CUT = 0.5

P99_FACTOR = 1.5
P99_SLACK_S = 0.005
"""The p99 may be this much above the baseline, whatever the factor: timers are no finer."""

IDLE_RATE = 5.0
"""Slices a second that no client can feel."""
LEARN_IDLE = 0.3
"""How much of the gap to a p99 of `WINDOW_S` without background work the baseline takes."""
LEARN_FASTER = 0.05
"""The same for a p99 below the baseline: background work makes nobody faster."""
LEARN_SLOWLY = 0.005
"""The same for a p99 above it at the lowest rate: so an old one is forgotten, within a minute."""


@dataclass(frozen=True, slots=True)
class ThrottleStatistics:
    """Slices granted in all and a second (infinite without clients); seconds, None: unknown."""

    slices: int
    rate: float
    p99_s: float | None
    baseline_s: float | None


class RateControl:
    """The rate, from latencies and the slices that were granted meanwhile. Pure."""

    def __init__(self) -> None:
        self._latencies: deque[float] = deque(maxlen=SAMPLES_MAX)
        self.note = self._latencies.append
        """Take in one request's latency, in seconds. O(1): each request of a client's pays it."""
        self.rate = RATE_MIN
        """Slices a second while there are clients."""
        self.p99_s: float | None = None
        self.baseline_s: float | None = None
        self._slices = 0
        self._was_quiet = True

    @property
    def is_free(self) -> bool:
        """Whether there has been no client in this window and the one before."""
        return self._was_quiet and not self._latencies

    def granted(self) -> None:
        """One slice was granted."""
        self._slices += 1

    def is_due(self, elapsed_s: float) -> bool:
        """Whether a window of ``elapsed_s`` seconds is to be closed."""
        samples = len(self._latencies)
        return elapsed_s >= (WINDOW_S if not samples or samples >= SAMPLES_MIN else WINDOW_MAX_S)

    def close_window(self, elapsed_s: float) -> None:
        """Set the rate by what came in during the last ``elapsed_s`` seconds."""
        slices, self._slices = self._slices, 0
        self._was_quiet = not self._latencies
        if self._was_quiet:
            return
        p99_s = self.p99_s = _p99(self._latencies)
        self._latencies.clear()
        self._learn(p99_s, slices, elapsed_s)
        if p99_s <= self.bound_s:
            self.rate = min(RATE_MAX, self.rate + RATE_STEP)
        else:
            self.rate = max(RATE_MIN, self.rate * RATE_CUT)

    @property
    def bound_s(self) -> float:
        """Up to where a p99 counts as undisturbed, in seconds."""
        if self.baseline_s is None:
            return math.inf
        return max(self.baseline_s * P99_FACTOR, self.baseline_s + P99_SLACK_S)

    def _learn(self, p99_s: float, slices: int, elapsed_s: float) -> None:
        if self.baseline_s is None:
            self.baseline_s = p99_s  # At the start the rate is at its lowest: near enough.
            return
        if slices <= IDLE_RATE * elapsed_s:
            share = LEARN_IDLE
        elif p99_s < self.baseline_s:
            share = LEARN_FASTER
        elif slices <= (RATE_MIN + RATE_STEP) * elapsed_s:
            share = LEARN_SLOWLY
        else:
            return
        # A window that lasted for several counts as that many.
        left = (1 - share) ** (elapsed_s / WINDOW_S)
        self.baseline_s += (p99_s - self.baseline_s) * (1 - left)

    def _check(self) -> None:
        assert RATE_MIN <= self.rate <= RATE_MAX
        assert self.baseline_s is None or self.baseline_s >= 0
        assert len(self._latencies) <= SAMPLES_MAX


class Throttle:
    """Grants slices to all background work of one node."""

    def __init__(self) -> None:
        self._control = RateControl()
        self.note = self._control.note
        """Take in the latency of one client's request, in seconds."""
        self._window_began_s: float | None = None
        self._next_at_s = -math.inf
        self._slices = 0

    async def slice(self) -> None:
        """Wait until the next bounded piece of background work may be done. A checkpoint."""
        now_s = trio.current_time()
        self._look(now_s)
        control = self._control
        control.granted()
        self._slices += 1
        if control.is_free:
            self._next_at_s = now_s
            await trio.lowlevel.checkpoint()
            return
        # Each takes the next place at once, so that two that wait do not get the same one.
        at_s = max(now_s, self._next_at_s)
        self._next_at_s = at_s + 1 / control.rate
        await trio.sleep_until(at_s)

    def _look(self, now_s: float) -> None:
        """Close the window where it is time to."""
        if self._window_began_s is None:
            self._window_began_s = now_s
        elapsed_s = now_s - self._window_began_s
        if self._control.is_due(elapsed_s):
            self._control.close_window(elapsed_s)
            self._window_began_s = now_s

    def statistics(self) -> ThrottleStatistics:
        """What is granted, and by what."""
        control = self._control
        rate = math.inf if control.is_free else control.rate
        return ThrottleStatistics(self._slices, rate, control.p99_s, control.baseline_s)

    def figures(self) -> dict[str, float]:
        """Figures by metric name; latencies that are not known are left out."""
        found = self.statistics()
        seconds = {
            "foreground_p99_seconds": found.p99_s,
            "foreground_baseline_seconds": found.baseline_s,
        }
        return {
            "background_slices_total": found.slices,
            "background_slices_per_second": found.rate,
            **{name: value for name, value in seconds.items() if value is not None},
        }

    def _check(self) -> None:
        self._control._check()


def _p99(latencies: deque[float]) -> float:
    """The 99th percentile: the highest of fewer than 100, else one of a hundred is above it."""
    return sorted(latencies)[(len(latencies) * 99 + 99) // 100 - 1]
