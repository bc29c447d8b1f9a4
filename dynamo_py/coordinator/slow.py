"""Where slow requests spent their time: a short memory for ``dyn-cli explain``.

Knows nothing of what the steps mean. Each request keeps a `Trail`; those that took long are
kept, the last one of each key, and a bounded number of keys.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

SLOW_S = 0.05
KEYS_MAX = 1024


class Trail:
    """The steps of one request, with the moments at which they were done."""

    __slots__ = ("_monotonic", "_started", "_steps", "what")

    def __init__(self, what: str, monotonic: Callable[[], float]) -> None:
        self.what = what
        self._monotonic = monotonic
        self._started = monotonic()
        self._steps: list[tuple[float, str, bytes]] = []

    def mark(self, step: str, node: bytes = b"") -> None:
        """``step`` is done, by ``node`` if it was one's."""
        self._steps.append((self._monotonic(), step, node))

    @property
    def took_s(self) -> float:
        """From the start to the last step."""
        return self._steps[-1][0] - self._started if self._steps else 0.0

    def lines(self, name_of: Callable[[bytes], str]) -> list[str]:
        """The steps as text, a line each."""
        return [
            f"{(moment - self._started) * 1000:8.1f} ms  {self.what}: "
            + (f"{name_of(node)} {step}" if node else step)
            for moment, step, node in self._steps
        ]


class SlowRequests:
    """The trails of the last slow requests, one a key."""

    def __init__(self) -> None:
        self._trails: OrderedDict[bytes, Trail] = OrderedDict()

    def note(self, key: bytes, trail: Trail) -> None:
        """``trail`` is finished: keep it if it was slow."""
        if trail.took_s < SLOW_S:
            return
        self._trails.pop(key, None)
        self._trails[key] = trail
        if len(self._trails) > KEYS_MAX:
            self._trails.popitem(last=False)

    def find(self, key: bytes) -> Trail | None:
        """The trail of the last slow request for ``key``."""
        return self._trails.get(key)

    def _check(self) -> None:
        assert len(self._trails) <= KEYS_MAX
