"""The rumours that wait to be told: a bounded queue, the least told first.

A rumour is only the name of what changed, a key of node and topic; what is told is looked up
when it is told, and so is never stale. Knows nothing of members, messages or time.

Invariants: a key is in exactly one tier; tier t holds the keys that have been told t times;
there are at most ``keys_max`` keys.

Source: Das et al. 2002, section 4.1: piggybacking, each rumour lambda * log(n) times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

CORE = -1
"""Stands for a topic where the member itself changed: its state, address or incarnation."""

Key = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """``waiting`` keys now; how many were ``dropped`` since there was no room."""

    waiting: int
    dropped: int


def retransmissions(members: int, factor: float) -> int:
    """How often a rumour is told among so many members: factor * log2(members + 1).

    >>> retransmissions(3, 2.0), retransmissions(1000, 2.0)
    (4, 20)
    """
    return max(1, math.ceil(factor * math.log2(members + 1)))


class UpdateQueue:
    """Which rumours are to be told next. `put` and `discard` are O(tiers)."""

    def __init__(self, keys_max: int) -> None:
        self._keys_max = keys_max
        self._tiers: list[dict[Key, None]] = [{}]
        self._tier_of: dict[Key, int] = {}
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._tier_of)

    def __contains__(self, key: Key) -> bool:
        return key in self._tier_of

    def put(self, key: Key) -> None:
        """News: it is to be told from the start, however often it was told before."""
        self.discard(key)
        if len(self._tier_of) >= self._keys_max:
            self._drop_one()
        self._tiers[0][key] = None
        self._tier_of[key] = 0

    def discard(self, key: Key) -> None:
        """Tell it no more."""
        tier = self._tier_of.pop(key, None)
        if tier is not None:
            del self._tiers[tier][key]

    def discard_node(self, node: bytes) -> None:
        """Tell no more of this node. O(keys)."""
        for key in [key for key in self._tier_of if key[0] == node]:
            self.discard(key)

    def take(
        self, *, bytes_max: int, tellings_max: int, bytes_of: Callable[[Key], int]
    ) -> list[Key]:
        """The next rumours that fit together, counted as told once more.

        At least one, when there is one, even where it alone is bigger than ``bytes_max``.
        Those told ``tellings_max`` times by now are forgotten. O(taken).
        """
        chosen: list[Key] = []
        left = bytes_max
        for tier in self._tiers:
            for key in tier:
                size = bytes_of(key)
                if chosen and size > left:
                    return self._told(chosen, tellings_max)
                chosen.append(key)
                left -= size
        return self._told(chosen, tellings_max)

    def statistics(self) -> QueueStatistics:
        """How full it is."""
        return QueueStatistics(waiting=len(self._tier_of), dropped=self._dropped)

    def _told(self, chosen: list[Key], tellings_max: int) -> list[Key]:
        for key in chosen:
            tier = self._tier_of[key] + 1
            self.discard(key)
            if tier >= tellings_max:
                continue
            while len(self._tiers) <= tier:
                self._tiers.append({})
            self._tiers[tier][key] = None
            self._tier_of[key] = tier
        return chosen

    def _drop_one(self) -> None:
        # The most told one: it is the most likely to be known everywhere.
        for tier in reversed(self._tiers):
            if tier:
                self.discard(next(iter(tier)))
                self._dropped += 1
                return

    def _check(self) -> None:
        assert len(self._tier_of) <= self._keys_max
        assert sum(len(tier) for tier in self._tiers) == len(self._tier_of)
        for key, tier in self._tier_of.items():
            assert key in self._tiers[tier]
