"""Owners of tokens while they are being rearranged: who may take what, and chains of moves.

The working state of `ring.claim`. Nodes are numbers here, and sets of tokens are integers
with one bit a token, so that "all tokens that this node could take" is a handful of shifts.

A *label* says which nodes must keep apart: each node its own, or the number of its zone. Two
tokens *clash* when they are less than ``spacing`` apart on the ring and their owners share a
label. A *chain* gives a node one more token: it takes one from a second node, which takes one
from a third, and so on, until the last takes a token that nobody holds or that its holder has
in surplus. Every node on the way keeps its count, and no token in the chain clashes with any
other once all of it is done.

Knows nothing of weights, zones' names or ids of nodes.

Invariants: each token is free or in exactly one node's set; surplus and free tokens together
are as many as the deficits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

Labels = Sequence[int]
"""Label by number of node."""

CANDIDATES_MAX: Final = 8
"""Among so many tokens ahead of a cursor, the one whose holder has most to give is taken."""


@dataclass(frozen=True, slots=True)
class Step:
    """One link of a chain: ``receiver`` takes ``token``."""

    receiver: int
    token: int


def tokens_in(mask: int) -> Iterator[int]:
    """The tokens of a set, ascending."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


class Arrangement:
    """Owners by token, on their way from what they are to ``quotas``.

    ``present`` has one node's number a token, or None where nobody who counts holds it.
    """

    def __init__(self, present: Sequence[int | None], quotas: Sequence[int], spacing: int) -> None:
        self.size = len(present)
        self.quotas = tuple(quotas)
        self.spacing = spacing
        self.owners: list[int | None] = list(present)
        self.held = [0] * len(quotas)
        self.free = 0
        self.moved = 0
        self._everything = (1 << self.size) - 1
        self.present = tuple(present)
        for token, owner in enumerate(present):
            if owner is None:
                self.free |= 1 << token
            else:
                self.held[owner] |= 1 << token
        self.counts = [mask.bit_count() for mask in self.held]
        self.surplus = 0
        for node in range(len(quotas)):
            if self.counts[node] > quotas[node]:
                self.surplus |= self.held[node]

    def near(self, mask: int) -> int:
        """The tokens less than ``spacing`` away from one in ``mask``, other than by zero."""
        found = 0
        for distance in range(1, self.spacing):
            found |= mask << distance | mask >> (self.size - distance)
            found |= mask >> distance | mask << (self.size - distance)
        return found & self._everything

    def clashing(self, labels: Labels) -> int:
        """The tokens that clash with another."""
        held_by_label: dict[int, int] = {}
        for node, mask in enumerate(self.held):
            held_by_label[labels[node]] = held_by_label.get(labels[node], 0) | mask
        found = 0
        for mask in held_by_label.values():
            found |= mask & self.near(mask)
        return found

    def give(self, token: int, receiver: int | None) -> None:
        """Take the token from whoever holds it; ``receiver`` None leaves it free."""
        bit = 1 << token
        giver = self.owners[token]
        if giver is None:
            self.free ^= bit
        else:
            self.held[giver] ^= bit
            self.counts[giver] -= 1
            self._mark_surplus(giver)
            self.surplus &= ~bit
        self.owners[token] = receiver
        if receiver is None:
            self.free ^= bit
        else:
            self.held[receiver] ^= bit
            self.counts[receiver] += 1
            self._mark_surplus(receiver)
        if receiver == self.present[token]:
            self.moved &= ~bit
        else:
            self.moved |= bit

    def apply(self, chain: Sequence[Step]) -> None:
        """Do all of a chain."""
        # From the far end, so that nobody is over its quota on the way.
        for step in reversed(chain):
            self.give(step.token, step.receiver)

    def complete(self) -> list[int]:
        """The owners by token, once no token is free."""
        assert not self.free
        return [owner for owner in self.owners if owner is not None]

    def spare(self, cursor: int) -> int:
        """A token that is free or in surplus, the next from ``cursor`` on."""
        return self.first(self.free or self.surplus, cursor)

    def chain(
        self, receiver: int, labels: Labels, cursor: int, *, direct: bool = False
    ) -> list[Step] | None:
        """The chain with the fewest new moves that gives ``receiver`` a token, or None.

        With ``direct``, only a chain of one step will do. Among tokens as good as each other
        the first few from ``cursor`` on are preferred. A search by breadth, in which taking a
        token that has left its present owner already costs nothing. At worst O(nodes**2)
        operations on sets of Q bits; mostly the first look finds a token.
        """
        taken_from: dict[int, tuple[int, int]] = {}
        queue = deque([receiver])
        done: set[int] = set()
        while queue:
            node = queue.popleft()
            if node in done:
                continue
            done.add(node)
            steps = self._path(receiver, node, taken_from)
            takeable = self._takeable(node, labels, steps)
            goal = takeable & (self.free | self.surplus)
            if goal:
                return [*steps, Step(node, self._choose(goal, cursor))]
            for giver in () if direct else range(len(self.held)):
                options = 0 if giver in done else self.held[giver] & takeable
                if not options:
                    continue
                at_no_cost = options & self.moved
                if at_no_cost:
                    taken_from[giver] = (node, self.first(at_no_cost, cursor))
                    queue.appendleft(giver)
                elif giver not in taken_from:
                    taken_from[giver] = (node, self.first(options, cursor))
                    queue.append(giver)
        return None

    def _path(self, receiver: int, node: int, taken_from: dict[int, tuple[int, int]]) -> list[Step]:
        """The steps by which ``node`` has lost a token and ``receiver`` has gained one."""
        steps: list[Step] = []
        while node != receiver:
            node, token = taken_from[node]
            steps.append(Step(node, token))
        steps.reverse()
        return steps

    def _takeable(self, node: int, labels: Labels, steps: list[Step]) -> int:
        """The tokens that clash with none of the node's label, once ``steps`` are done."""
        label = labels[node]
        mask = 0
        for other, held in enumerate(self.held):
            if labels[other] == label:
                mask |= held
        for step in steps:
            giver = self.owners[step.token]
            if giver is not None and labels[giver] == label:
                mask &= ~(1 << step.token)
        for step in steps:
            if labels[step.receiver] == label:
                mask |= 1 << step.token
        return self._everything & ~self.near(mask) & ~self.held[node]

    def _choose(self, goal: int, cursor: int) -> int:
        """Of the first few tokens from ``cursor`` on, the one whose holder has most to give."""
        candidates = []
        for _ in range(CANDIDATES_MAX):
            if not goal:
                break
            token = self.first(goal, cursor)
            goal ^= 1 << token
            candidates.append(token)
        return max(candidates, key=self._surplus_of)

    def _surplus_of(self, token: int) -> int:
        owner = self.owners[token]
        return 0 if owner is None else self.counts[owner] - self.quotas[owner]

    def first(self, mask: int, cursor: int) -> int:
        """The first token of a set that is not empty, going clockwise from ``cursor``."""
        ahead = mask >> cursor
        if ahead:
            return cursor + (ahead & -ahead).bit_length() - 1
        return (mask & -mask).bit_length() - 1

    def _mark_surplus(self, node: int) -> None:
        if self.counts[node] > self.quotas[node]:
            self.surplus |= self.held[node]
        else:
            self.surplus &= ~self.held[node]

    def _check(self) -> None:
        """Assert the invariants in the module's docstring."""
        seen = self.free
        for node, mask in enumerate(self.held):
            assert not seen & mask
            seen |= mask
            assert self.counts[node] == mask.bit_count()
            assert all(self.owners[token] == node for token in tokens_in(mask))
        assert seen == self._everything
        missing = sum(max(0, q - c) for q, c in zip(self.quotas, self.counts, strict=True))
        over = sum(max(0, c - q) for q, c in zip(self.quotas, self.counts, strict=True))
        assert missing == over + self.free.bit_count()
