"""How much may be under way towards one node, and how fast it goes. Pure: knows no clock.

The window grows by one for each round of acknowledgements that come in good time, and is
halved when something fails or is not answered: what a node that has just come back can take
is found out, not configured.
"""

from __future__ import annotations

import math

WINDOW_FIRST = 4.0
WINDOW_MAX = 128.0
"""Requests under way to one node."""
BYTES_MAX = 4 * 1024 * 1024
"""Bytes under way to one node; a single request may be larger."""
ACK_S_GOOD = 0.2
"""An acknowledgement after more than this does not let the window grow."""

RATE_S = 10.0
"""Over about so long the rate is averaged."""
RATE_FIRST_S = 1.0
"""A rate that is measured for less is taken as of so long."""
FORGOTTEN = 0.01
"""With so little left of all events, the next one is the first of a new rate."""


class Window:
    """What is under way to one node, and how much may be."""

    __slots__ = ("_bytes", "size", "under_way")

    def __init__(self) -> None:
        self.size = WINDOW_FIRST
        self.under_way = 0
        self._bytes = 0

    def has_room(self, size_bytes: int) -> bool:
        """Whether a request of so many bytes may be sent now."""
        if not self.under_way:
            return True
        return self.under_way < int(self.size) and self._bytes + size_bytes <= BYTES_MAX

    def sent(self, size_bytes: int) -> None:
        """A request is under way."""
        self.under_way += 1
        self._bytes += size_bytes

    def acked(self, size_bytes: int, latency_s: float) -> None:
        """It was answered well."""
        self._ended(size_bytes)
        if latency_s <= ACK_S_GOOD:
            self.size = min(WINDOW_MAX, self.size + 1 / self.size)

    def failed(self, size_bytes: int) -> None:
        """It was not, or not in time."""
        self._ended(size_bytes)
        self.size = max(1.0, self.size / 2)

    def unsaid(self, size_bytes: int) -> None:
        """Its answer says nothing about how much the other can take."""
        self._ended(size_bytes)

    def _ended(self, size_bytes: int) -> None:
        self.under_way -= 1
        self._bytes -= size_bytes

    def _check(self) -> None:
        assert 1.0 <= self.size <= WINDOW_MAX
        assert self.under_way >= 0
        assert self._bytes >= 0


class Rate:
    """Events a second, by an average that forgets exponentially."""

    __slots__ = ("_at_s", "_began_s", "_count")

    def __init__(self) -> None:
        self._count = 0.0
        self._at_s = -math.inf
        self._began_s = -math.inf

    def note(self, now_s: float) -> None:
        """One event, now."""
        left = self._left(now_s)
        if left < FORGOTTEN:
            self._began_s = now_s
        self._count = left + 1
        self._at_s = now_s

    def per_second(self, now_s: float) -> float:
        """The rate of late; from the first second on that of what has happened since."""
        elapsed_s = max(RATE_FIRST_S, now_s - self._began_s)
        return self._left(now_s) / (RATE_S * (1 - math.exp(-elapsed_s / RATE_S)))

    def _left(self, now_s: float) -> float:
        return self._count * math.exp(min(0.0, self._at_s - now_s) / RATE_S)
