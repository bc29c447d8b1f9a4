"""Taking turns: a ring for nodes that are no more than N, made so that others can join it.

The tokens are dealt out to N *seats*, round and round. Each node has a seat of its own; the
seats that are left are shared by all, up to their quotas. So each of the next nodes to join
takes a seat's tokens from those who share it, and the ring is in turns again, without a move
that the quotas do not force.

Knows nothing of weights or zones.

Invariants: every node owns its quota; with N nodes any N consecutive tokens are theirs, but for
the seam, where Q is no multiple of N; the outcome follows from the arguments alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from typing import Final

from ring.ring import Node

SEATS_MAX: Final = 6
"""Up to so many seats, every way of sitting down is tried for the one with fewest moves."""


def turns(
    present: Sequence[Node], quotas: Mapping[Node, int], seats: int
) -> tuple[Node, ...] | None:
    """Owners by token who take turns, with the fewest moves from ``present``.

    There are at least as many ``seats`` as nodes in ``quotas``. None when some quota is
    smaller than a seat's number of tokens.
    """
    nodes = sorted(quotas)
    best: tuple[int, int, tuple[int, ...]] | None = None
    for first in range(min(seats, len(present))):
        # Where the turns begin is where, at the seam, a node may come again too soon.
        seat_of = _seats(len(present), seats, first)
        sizes = [seat_of.count(seat) for seat in range(seats)]
        held = {node: [0] * seats for node in nodes}
        for seat, owner in zip(seat_of, present, strict=True):
            if owner in held:
                held[owner][seat] += 1
        for order in _orders(nodes, quotas, seats):
            kept = 0
            for node, seat in zip(nodes, order, strict=True):
                if sizes[seat] > quotas[node]:
                    break
                shared = sum(count for at, count in enumerate(held[node]) if at not in order)
                kept += held[node][seat] + min(shared, quotas[node] - sizes[seat])
            else:
                if best is None or kept > best[0]:
                    best = (kept, first, order)
    if best is None:
        return None
    _, first, order = best
    return _seated(present, quotas, dict(zip(order, nodes, strict=True)), seats, first)


def _seats(size: int, seats: int, first: int) -> list[int]:
    """The seat of each token, when seat 0 has its first turn at token ``first``."""
    return [(token - first) % size % seats for token in range(size)]


def _orders(
    nodes: Sequence[Node], quotas: Mapping[Node, int], seats: int
) -> Iterator[tuple[int, ...]]:
    """The seats of the nodes, in every way; only in one where there are too many."""
    if seats <= SEATS_MAX:
        yield from permutations(range(seats), len(nodes))
        return
    # The first seats have a token more, where Q is no multiple of their number.
    by_quota = sorted(nodes, key=lambda node: (-quotas[node], node))
    yield tuple(by_quota.index(node) for node in nodes)


def _seated(
    present: Sequence[Node],
    quotas: Mapping[Node, int],
    sitting: Mapping[int, Node],
    seats: int,
    first: int,
) -> tuple[Node, ...]:
    seat_of = _seats(len(present), seats, first)
    target = [sitting.get(seat) for seat in seat_of]
    left = dict(quotas)
    for owner in target:
        if owner is not None:
            left[owner] -= 1
    for token, owner in enumerate(present):
        if target[token] is None and left.get(owner, 0) > 0:
            target[token] = owner
            left[owner] -= 1
    for token, owner in enumerate(target):
        if owner is None:
            # Whoever lacks most: so those who share a seat take turns there as well.
            receiver = max(sorted(left), key=left.__getitem__)
            target[token] = receiver
            left[receiver] -= 1
    assert not any(left.values())
    return tuple(owner for owner in target if owner is not None)
