"""Mints dots so that no two writes ever share one.

Knows nothing of records beyond their vectors, nor of disks: nothing here is ever stored.

A copy of a key keeps its actor, in memory, from the first dot that it mints in this process.
A copy that is not remembered here, or that comes back having seen less than it minted (it
was dropped, or its commit failed), takes a new life: an actor nobody has used. So a copy that
has forgotten something never claims, by a vector entry, to have seen what it forgot.
Forgetting an actor is therefore always safe, and the memory may be bounded.
"""

from __future__ import annotations

import random
from collections import OrderedDict

from dynamo_py.causality.version_vector import Actor, Dot, VersionVector

REMEMBERED_MAX = 100_000
"""Copies whose actor is remembered. One more costs about 200 bytes; one forgotten early costs
one more vector entry in its record."""


class Minter:
    """The one source of dots in a process. Not thread-safe: it belongs to the event loop."""

    def __init__(self, random_: random.Random, *, remembered_max: int = REMEMBERED_MAX) -> None:
        self._random = random_
        self._remembered_max = remembered_max
        self._minted: OrderedDict[bytes, Dot] = OrderedDict()
        self._lives = 0
        self._boot = random_.getrandbits(64)

    @property
    def boot(self) -> int:
        """The boot under which dots are minted now."""
        return self._boot

    def mint(self, key: bytes, vector: VersionVector) -> Dot:
        """A dot, not in ``vector``, for a write to the copy of ``key`` that has seen ``vector``.

        The caller must store the record that holds the dot without an ``await`` between
        reading the copy and this call.
        """
        last = self._minted.pop(key, None)
        if last is not None and vector.highest(last.actor) == last.counter:
            dot = Dot(last.boot, last.life, last.counter + 1)
        else:
            dot = Dot(self._boot, self._new_life(vector), 1)
        self._minted[key] = dot
        if len(self._minted) > self._remembered_max:
            self._minted.popitem(last=False)
        return dot

    def _new_life(self, vector: VersionVector) -> int:
        """A life that ``vector`` knows nothing of: a forged context may name lives to come."""
        self._lives += 1
        while vector.highest(Actor(self._boot, self._lives)):
            self._lives += 1
        return self._lives

    def actor_of(self, key: bytes) -> Actor | None:
        """The actor that would mint next for ``key`` if its copy is intact."""
        last = self._minted.get(key)
        return None if last is None else last.actor

    def forget(self, key: bytes) -> None:
        """The copy of ``key`` was dropped: a later one starts a new life."""
        self._minted.pop(key, None)

    def draw_boot(self) -> None:
        """Start over under a new boot: after a commit failed, records that hold its dots may
        have left this node, so none of the old actors may go on counting."""
        self._boot = self._random.getrandbits(64)
        self._minted.clear()

    def statistics(self) -> dict[str, int]:
        """Sizes, for the metrics page."""
        return {"remembered": len(self._minted), "lives": self._lives}

    def _check(self) -> None:
        assert len(self._minted) <= self._remembered_max
        assert all(dot.boot == self._boot for dot in self._minted.values())
