"""A host's clocks in virtual time: right, or wrong in the ways that clocks are.

Knows nothing of nodes. The monotonic clock only ever runs too fast or too slow; the wall clock
jumps as well, either way.

Reading a clock takes a moment by it. In virtual time nothing else would pass: who sleeps until
a deadline of a slow clock, and finds a rest, sleeps for that, and so on, would end at a rest
that is too short for trio's time to pass at all.
"""

from __future__ import annotations

import math
from collections.abc import Callable

EPOCH_MS = 1_800_000_000_000
"""The wall clock's time at the beginning of every simulation: a day in January 2027."""


READING_S = 1e-8
"""How long a reading takes."""


class SimulatedClock:
    """The clocks of one host, as `dynamo_py.environment.Clock` has them."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is the true virtual time, in seconds."""
        self._now = now
        self._since = now()
        self._elapsed = 0.0
        self._rate = 1.0
        self._stepped_s = now()
        """From the monotonic clock, which begins with the host, to the right time."""
        self._jumped_s = 0.0

    def monotonic(self) -> float:
        """Seconds by this host's quartz; never goes back."""
        self._elapsed += READING_S
        return self._elapsed + (self._now() - self._since) * self._rate

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as this host believes."""
        since_epoch_s = self.monotonic() + self._stepped_s + self._jumped_s
        return EPOCH_MS + math.floor(since_epoch_s * 1000)

    @property
    def is_drifting(self) -> bool:
        """Whether it runs at a wrong rate."""
        return self._rate != 1.0

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock: forward, or back where ``seconds`` is negative."""
        self._jumped_s += seconds

    def drift(self, rate: float) -> None:
        """From now on a second lasts ``rate`` seconds, above 0, by this clock; 1.0 is right."""
        assert rate > 0
        self._elapsed = self.monotonic()
        self._since = self._now()
        self._rate = rate

    def end_drift(self) -> None:
        """Run at the right rate, and make good what the wrong one has made of the wall clock.

        As NTP does, in one step. Jumps stay.
        """
        self.drift(1.0)
        self._stepped_s = self._now() - self.monotonic()

    def correct(self) -> None:
        """Run at the right rate, and show the right time."""
        self.end_drift()
        self._jumped_s = 0.0
