"""Evening out the replicas where there are exactly as many zones as primaries.

There each partition has one primary in each zone: the first node of the zone that the walk
meets. So a token's owner bears as many partitions as lie between it and the previous token of
its zone, and where zones do not take strict turns equal numbers of tokens are not yet equal
loads. Owners of two tokens are swapped where that makes loads more even, costs no more moves,
and brings no node next to itself.

Zones and nodes are numbers here, as in `ring.arrangement`. Knows nothing of weights or ids.

Invariants: counts, and the number of moves, never rise; no token clashes that did not; the
outcome follows from the arrangement alone, by integers.
"""

from __future__ import annotations

from typing import Final

from ring.arrangement import Arrangement, Labels, tokens_in

PASSES_MAX: Final = 4
"""So often at most all moved tokens are looked at."""

TRIES: Final = 12
"""With so many others at most a token is tried, each time."""

SCALE: Final = 1024
"""Loads are compared with fair shares in such fractions of a partition."""


class Loads:
    """Of how many partitions each node is a primary, with exactly as many zones as primaries.

    ``unevenness`` is the sum of the squared distances from the fair shares: a zone's nodes
    share all partitions as their quotas say.
    """

    def __init__(self, arrangement: Arrangement, zones: Labels) -> None:
        self._arrangement = arrangement
        self._zones = zones
        self._size = arrangement.size
        self._tokens = [0] * (max(zones) + 1)
        zone_quotas = [0] * len(self._tokens)
        for node, zone in enumerate(zones):
            self._tokens[zone] |= arrangement.held[node]
            zone_quotas[zone] += arrangement.quotas[node]
        self._fair = [
            self._size * quota * SCALE // zone_quotas[zone]
            for quota, zone in zip(arrangement.quotas, zones, strict=True)
        ]
        self.by_node = [0] * len(zones)
        self.unevenness = sum(fair**2 for fair in self._fair)
        for token, owner in enumerate(arrangement.owners):
            assert owner is not None
            self._bear(owner, self._gap(zones[owner], token))

    def swap(self, token: int, other: int) -> None:
        """Swap the owners of two tokens, of which neither is the only one of its zone."""
        first, second = self._arrangement.owners[token], self._arrangement.owners[other]
        assert first is not None
        assert second is not None
        self._give(token, first, second)
        self._give(other, second, first)

    def is_alone(self, token: int, zone: int) -> bool:
        """Whether the zone has no other token."""
        return self._tokens[zone] == 1 << token

    def _give(self, token: int, giver: int, receiver: int) -> None:
        zone = self._zones[giver]
        gap = self._gap(zone, token)
        self._tokens[zone] ^= 1 << token
        self._bear(giver, -gap)
        self._bear(self._next_owner(zone, token), gap)
        zone = self._zones[receiver]
        gap = self._gap(zone, token)
        self._bear(self._next_owner(zone, token), -gap)
        self._bear(receiver, gap)
        self._tokens[zone] ^= 1 << token
        self._arrangement.give(token, receiver)

    def _bear(self, node: int, more: int) -> None:
        self.unevenness -= (self.by_node[node] * SCALE - self._fair[node]) ** 2
        self.by_node[node] += more
        self.unevenness += (self.by_node[node] * SCALE - self._fair[node]) ** 2

    def _gap(self, zone: int, token: int) -> int:
        """How far it is back to the zone's previous token; all around if there is none."""
        before = self._tokens[zone] & ((1 << token) - 1)
        if before:
            return token - before.bit_length() + 1
        others = self._tokens[zone] >> token + 1 << token + 1
        return token + self._size - others.bit_length() + 1 if others else self._size

    def _next_owner(self, zone: int, token: int) -> int:
        """Who owns the zone's next token after this one."""
        after = self._tokens[zone] >> token + 1
        skipped = token + 1 if after else 0
        mask = after or self._tokens[zone]
        owner = self._arrangement.owners[skipped + (mask & -mask).bit_length() - 1]
        assert owner is not None
        return owner

    def _check(self) -> None:
        """Assert that loads are what counting anew finds."""
        anew = Loads(self._arrangement, self._zones)
        assert self.by_node == anew.by_node
        assert self.unevenness == anew.unevenness


def even_out(arrangement: Arrangement, zones: Labels) -> None:
    """Swap owners of moved tokens and others as long as loads get more even.

    O(moved tokens * nodes) operations on sets of Q bits, a few dozen times.
    """
    loads = Loads(arrangement, zones)
    for _ in range(PASSES_MAX):
        before = loads.unevenness
        for token in tokens_in(arrangement.moved):
            _improve(arrangement, loads, zones, token)
        if loads.unevenness == before:
            return


def _improve(arrangement: Arrangement, loads: Loads, zones: Labels, token: int) -> None:
    """Swap this token's owner for another one's, the first that makes loads more even."""
    if not arrangement.moved >> token & 1:
        return  # A swap has brought it back to its present owner.
    size = arrangement.size
    owner = arrangement.owners[token]
    assert owner is not None
    # No swap costs a move: both have moved, or the giver gives the other one instead of this.
    options = arrangement.moved
    giver = arrangement.present[token]
    if giver is not None:
        options |= arrangement.held[giver]
    options &= ~arrangement.held[owner]
    # Steps of about the golden section spread what is tried over the ring.
    stride = size * 5 // 8 | 1
    for number in range(TRIES):
        if not options:
            return
        other = arrangement.first(options, (token + number * stride) % size)
        options &= ~(1 << other)
        if not _may_swap(arrangement, token, other):
            continue
        if any(loads.is_alone(each, zone) for each in (token, other) for zone in set(zones)):
            continue
        before = loads.unevenness
        loads.swap(token, other)
        if loads.unevenness < before:
            return
        loads.swap(token, other)


def _may_swap(arrangement: Arrangement, token: int, other: int) -> bool:
    """Whether neither owner comes next to itself."""
    first, second = arrangement.owners[token], arrangement.owners[other]
    assert first is not None
    assert second is not None
    return not (
        arrangement.near(1 << token) & arrangement.held[second]
        or arrangement.near(1 << other) & arrangement.held[first]
    )
