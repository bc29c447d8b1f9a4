"""A host's clocks in virtual time: right, or wrong in the ways that clocks are.

Knows nothing of nodes. The monotonic clock only ever runs too fast or too slow; the wall clock
jumps as well, either way.
"""

from __future__ import annotations

from collections.abc import Callable

EPOCH_MS = 1_800_000_000_000
"""The wall clock's time at the beginning of every simulation: a day in January 2027."""


class SimulatedClock:
    """The clocks of one host, as `dynamo_py.environment.Clock` has them."""

    def __init__(self, now: Callable[[], float]) -> None:
        """``now`` is the true virtual time, in seconds."""
        self._now = now
        self._since = now()
        self._elapsed = 0.0
        self._rate = 1.0
        self._ahead_s = 0.0

    def monotonic(self) -> float:
        """Seconds by this host's quartz; never goes back."""
        return self._elapsed + (self._now() - self._since) * self._rate

    def wall_ms(self) -> int:
        """Milliseconds since 1970, as this host believes."""
        return EPOCH_MS + int((self.monotonic() + self._ahead_s) * 1000)

    def jump(self, seconds: float) -> None:
        """Somebody sets the wall clock: forward, or back where ``seconds`` is negative."""
        self._ahead_s += seconds

    def drift(self, rate: float) -> None:
        """From now on a second lasts ``rate`` seconds by this clock; 1.0 is right."""
        assert rate > 0
        self._elapsed = self.monotonic()
        self._since = self._now()
        self._rate = rate

    def correct(self) -> None:
        """Run at the right rate, and show the right time, as after an NTP step."""
        self.drift(1.0)
        self._ahead_s = self._now() - self.monotonic()
