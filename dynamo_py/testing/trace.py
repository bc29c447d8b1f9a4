"""A running hash of all that happens in a simulation, to tell whether two runs were the same.

Knows nothing of what is noted. Invariants: two traces have the same digest when, and (short of a
collision of hashes) only when, the same was noted, in the same order, at exactly the same times:
nothing is rounded, and each note says where it ends, so that ``("a", "bc")`` is never taken for
``("ab", "c")``, nor ``1`` for ``1.0`` or ``"1"``.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

DIGEST_BYTES = 16


class Trace:
    """What happened so far: how much, and a digest of it.

    ``now`` is asked for the time, in seconds, at each note.
    """

    __slots__ = ("_hash", "_now", "events")

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._hash = blake2b(digest_size=DIGEST_BYTES)
        self.events = 0
        """How many notes there were."""

    def note(self, kind: str, *facts: str | int | float | bytes) -> None:
        """This has happened now. Costs one to two microseconds."""
        self.events += 1
        # The literal of a tuple ends at its bracket, and a float's literal is exact. `ascii`
        # rather than `repr`: which characters are printable differs between Pythons.
        self._hash.update(ascii((self._now(), kind, facts)).encode("ascii"))

    @property
    def digest(self) -> str:
        """The digest of all notes so far, 32 hexadecimal characters; noting may go on."""
        return self._hash.hexdigest()
