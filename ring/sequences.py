"""The cheapest sequence of owners for a ring so tight that tokens can hardly change hands singly.

For four nodes with N = 3, say: whoever gets a token must give up one nearby, and so on. So all
owners are chosen at once, as the shortest path around the ring, one token a step, through
states that say whose labels came last: none of these may come next (Viterbi's algorithm). A
token that leaves its present owner costs `MOVE`.

How many tokens each node gets is left to *prices*: a node that got more than its quota grows
dearer, one that got less cheaper, and the path is sought anew (Lagrange multipliers, moved
along the subgradient). Moves differ by up to `JITTER` among each other, so that a small change
of prices changes few tokens. Quotas are met but for a few tokens; `ring.claim` sees to those.

Nodes are numbers here, as in `ring.arrangement`, and so are labels, from 0 up. Knows nothing
of weights, zones' names or ids of nodes.

Invariants: no two tokens of a sequence that are less than ``spacing`` apart have owners of one
label; it follows from the arguments alone, by integers, on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations
from operator import ne
from typing import Final

MOVE: Final = 1000
"""What a token costs that leaves its present owner."""

JITTER: Final = 300
"""By so much a move may cost more than another."""

ROUNDS: Final = 30
"""So often paths are sought. Found by trial: more gains little."""

ENOUGH: Final = 2
"""Quotas missed by so many tokens in all are as good as met: one chain of moves is left."""

SLOWING: Final = 6
"""After so many rounds prices move by half as much as at first, then by a third, and so on."""

UNREACHED: Final = 1 << 60
"""More than any path costs."""

WORK_MAX: Final = 100_000
"""Tokens times what is looked at for each; beyond, no sequence is sought. About 1 s."""


def cheapest_sequence(
    present: Sequence[int | None], quotas: Sequence[int], labels: Sequence[int], spacing: int
) -> list[int] | None:
    """Owners by token, with few moves from ``present``, and nearly by the quotas; or None.

    ``present`` is None where nobody who counts holds the token. None when nothing is to be
    kept apart; when it would be too much work; when there is no such sequence, at least none
    that leaves some spacing - 1 tokens in a row as they are. O(tokens * (labels**spacing +
    nodes)), up to `ROUNDS` times.
    """
    if spacing < 2:
        return None
    names = sorted(set(labels))
    reached = len(names)
    for fewer in range(1, spacing):
        reached *= max(0, len(names) - fewer)
    if not reached or len(present) * (reached + len(quotas)) > WORK_MAX:
        return None
    search = _Search.around(present, [names.index(label) for label in labels], spacing)
    if search is None:
        return None
    prices = [0] * len(quotas)
    best: tuple[int, list[int]] | None = None
    for number in range(ROUNDS):
        owners = search.shortest_path(prices)
        if owners is None:
            return None
        over = [owners.count(node) - quota for node, quota in enumerate(quotas)]
        wrong = sum(map(abs, over))
        moves = sum(map(ne, present, owners))
        if best is None or moves + wrong < best[0]:
            best = (moves + wrong, owners)
        if wrong <= ENOUGH:
            break
        for node, excess in enumerate(over):
            step = 2 * MOVE * len(quotas) * excess * SLOWING
            prices[node] += step // (len(present) * (SLOWING + number))
    return best and best[1]


class _Search:
    """The search for a path from a few tokens in a row, the *seam*, around and back to them.

    A state is the labels that came last, in order; it is known by its number.
    """

    @classmethod
    def around(
        cls, present: Sequence[int | None], labels: Sequence[int], spacing: int
    ) -> _Search | None:
        """With the first seam whose owners count and have each a label of its own, if any."""
        for start in range(len(present) - spacing + 2):
            seam = [owner for owner in present[start : start + spacing - 1] if owner is not None]
            if len({labels[owner] for owner in seam}) == spacing - 1:
                return cls(present, labels, start, seam)
        return None

    def __init__(
        self, present: Sequence[int | None], labels: Sequence[int], start: int, seam: list[int]
    ) -> None:
        size, names = len(present), range(max(labels) + 1)
        self._seam = {start + place: owner for place, owner in enumerate(seam)}
        self._order = [(start + step) % size for step in range(len(seam), size)]
        self._members = [
            [node for node, label in enumerate(labels) if label == name] for name in names
        ]
        self._costs = [
            [0 if node == owner else MOVE + _jitter(token, node) for node in range(len(labels))]
            for token, owner in enumerate(present)
        ]
        states = list(permutations(names, len(seam)))
        numbers = {state: number for number, state in enumerate(states)}
        self._sources: list[list[int]] = [[] for _ in states]
        for number, state in enumerate(states):
            for name in names:
                if name not in state:
                    self._sources[numbers[(*state, name)[1:]]].append(number)
        self._last = [state[-1] for state in states]
        ahead = tuple(labels[owner] for owner in seam)
        self._start = numbers[ahead]
        self._closing = [numbers[state] for state in states if _is_apart((*state, *ahead))]

    def shortest_path(self, prices: Sequence[int]) -> list[int] | None:
        """The cheapest owners by token at these prices; None when no path closes the ring."""
        costs = [UNREACHED] * len(self._sources)
        costs[self._start] = 0
        taken: list[tuple[list[int], list[int]]] = []
        for token in self._order:
            offers = [cost + price for cost, price in zip(self._costs[token], prices, strict=True)]
            cheapest = [min(nodes, key=offers.__getitem__) for nodes in self._members]
            steps = [min(sources, key=costs.__getitem__) for sources in self._sources]
            costs = [
                costs[step] + offers[cheapest[label]]
                for step, label in zip(steps, self._last, strict=True)
            ]
            taken.append((steps, cheapest))
        state = min(self._closing, key=costs.__getitem__)
        if costs[state] >= UNREACHED // 2:
            return None
        owners = self._seam.copy()
        for token, (steps, cheapest) in zip(reversed(self._order), reversed(taken), strict=True):
            owners[token] = cheapest[self._last[state]]
            state = steps[state]
        return [owners[token] for token in range(len(owners))]


def _is_apart(labels: tuple[int, ...]) -> bool:
    """Whether a state and the seam's labels behind it are apart as they must be."""
    spacing = len(labels) // 2 + 1
    return all(len(set(labels[at : at + spacing])) == spacing for at in range(len(labels) // 2))


def _jitter(token: int, node: int) -> int:
    """A number in 0..JITTER - 1 that follows from the two and looks like chance."""
    # Knuth's multiplicative hash (TAOCP vol. 3, 6.4), of both numbers.
    mixed = (token * 2654435761 ^ node * 2246822519) & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 15) * 2654435761 & 0xFFFFFFFF
    return (mixed >> 8) * JITTER >> 24
