"""The node's hybrid clock as its links see it: a timestamp too far ahead is an alarm."""

from __future__ import annotations

from dynamo_py.causality import ClockAhead, HybridClock
from dynamo_py.log import get_logger

log = get_logger(__name__)


class AlarmedClock(HybridClock):
    """A hybrid clock that refuses timestamps from the future with a log line, not an error.

    A frame with a wrong timestamp is still a good frame. The alarm is logged at the first,
    second, fourth, eighth… refusal, since each frame of a node with a wrong clock has one.
    """

    alarms = 0

    def observe(self, timestamp: int) -> None:
        """Take ``timestamp`` in, unless it lies too far ahead."""
        if timestamp <= self._last:
            return
        try:
            super().observe(timestamp)
        except ClockAhead as error:
            self.alarms += 1
            if self.alarms & (self.alarms - 1) == 0:
                log.error("a clock is ahead", ahead_ms=error.ahead_ms, times=self.alarms)
