"""How much longer than others a frame took: a request may arrive after its asker has given up.

A network that is split holds up what was sent, and delivers it when it has healed. Carried out
then, an old write would come back as a new one. No two clocks agree, but two that are steady go
about equally fast: what a frame's moment of sending, by the sender's clock, lies behind its
moment of arrival, by the receiver's, is the least for those that were not held up.

Pure: the clock's time is passed in. Knows nothing of what a frame carries. One for each
connection and direction.
"""

from __future__ import annotations

import math
from typing import NamedTuple

WINDOW_S = 10.0
"""For about so long the least difference counts: two clocks drift apart."""
DRIFT = 0.1
"""How much of the time since then two clocks may have drifted apart at most."""
UNNOTICED_MS = 20.0
"""So much more than the least difference is nothing: a busy loop takes it."""
_CYCLE_MS = 1 << 32
"""The moments of sending begin anew from 0 after so long."""


def moment_ms(now_s: float) -> int:
    """The moment of sending that a frame carries: never 0, which says nothing."""
    return int(now_s * 1000) % _CYCLE_MS or 1


class _Least(NamedTuple):
    """The least difference of a window, and when it was met."""

    behind_ms: float
    met_s: float

    def at(self, now_s: float) -> float:
        """What it may be by now."""
        return self.behind_ms + (now_s - self.met_s) * 1000 * DRIFT


class Lateness:
    """The frames of one connection, judged by those before; the first is the greeting.

    That one was not held up for longer than a greeting may take.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._usual = -math.inf
        """The least difference of all windows."""
        self._windows: list[_Least] = []
        """Of the last window and of the one before, the least difference there was."""
        self._began_s = -math.inf

    @property
    def has_begun(self) -> bool:
        """Whether the other side tells its moments of sending."""
        return self._first is not None

    def held_ms(self, sent_ms: int, now_s: float) -> float:
        """By how many milliseconds a frame that arrives now was held up, at the least.

        ``sent_ms`` is its moment of sending by the sender's clock, modulo 2^32.
        """
        behind = now_s * 1000 - sent_ms
        if (
            self._first is not None
            and 0.0 <= behind - self._first - self._usual < UNNOTICED_MS
            and now_s - self._began_s <= WINDOW_S
        ):
            return 0.0  # As nearly all are: none of the windows would learn anything.
        if self._first is None:
            self._first = behind
        # Both clocks began somewhere, so the first frame is as good a zero as any.
        behind = (behind - self._first + _CYCLE_MS / 2) % _CYCLE_MS - _CYCLE_MS / 2
        held = [behind - least.at(now_s) for least in self._windows]
        if now_s - self._began_s > WINDOW_S:
            self._windows = [*self._windows[-1:], _Least(behind, now_s)]
            self._began_s = now_s
        elif behind < self._windows[-1].at(now_s):
            self._windows[-1] = _Least(behind, now_s)
        self._usual = min(least.behind_ms for least in self._windows)
        return max([0.0, *held])
