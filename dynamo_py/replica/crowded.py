"""Keys with many siblings: a word in the log before puts have to be refused.

Many siblings mean writers that pass no context. The log names a key once an hour at most, and
so many keys an hour at most, however many there are; the counters count all. Knows nothing of
records.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.config import SIBLINGS_MAX
from dynamo_py.log import get_logger
from dynamo_py.wire.keys import SEPARATOR

AGAIN_MS = 3_600_000
"""How long after a warning about a key the next one comes."""
KEYS_MAX = 100
"""About how many keys it warns in that time."""
SHOWN_BYTES = 100
"""How much of a key's name stands in the log."""

log = get_logger(__name__)


class CrowdedKeys:
    """What one node has seen of them since its start."""

    def __init__(self, wall_ms: Callable[[], int]) -> None:
        self._wall_ms = wall_ms
        self._warned_ms: dict[bytes, int] = {}
        self.warned = 0
        """Puts that left many siblings."""
        self.refused = 0
        """Puts that would have left too many."""

    def note(self, key: bytes, count: int) -> None:
        """A put has left ``count`` siblings, which are many."""
        self.warned += 1
        now_ms = self._wall_ms()
        if key not in self._warned_ms and len(self._warned_ms) >= KEYS_MAX:
            self._forget_before(now_ms - AGAIN_MS)
        said_ms = self._warned_ms.get(key)
        if said_ms is None and len(self._warned_ms) >= KEYS_MAX:
            return
        if said_ms is not None and said_ms <= now_ms < said_ms + AGAIN_MS:
            return
        self._warned_ms[key] = now_ms
        log.warning(
            "many siblings: do its writers pass the context that they have read?",
            key=_shown(key),
            siblings=count,
            refused_above=SIBLINGS_MAX,
        )

    def _forget_before(self, before_ms: int) -> None:
        self._warned_ms = {k: said for k, said in self._warned_ms.items() if said > before_ms}

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return {
            "puts_with_many_siblings_total": self.warned,
            "puts_with_too_many_siblings_total": self.refused,
        }

    def _check(self) -> None:
        assert len(self._warned_ms) <= KEYS_MAX


def _shown(key: bytes) -> str:
    """Bucket and key on one line, whatever bytes they are."""
    text = key[:SHOWN_BYTES].replace(SEPARATOR, b"/", 1).decode(errors="backslashreplace")
    return text.encode("unicode_escape").decode()
