"""Who should own which token: balanced, spread out, and with as few moves as possible.

How it works, starting from the present owners:

1. *Quotas.* Each claimant's share of the tokens by weight, rounded up or down; up first for
   those who hold that many already (`ring.quotas`).
2. *Chains.* Tokens of nodes that are no claimants are free, tokens above a quota are in
   surplus, and nodes below theirs take such tokens, one after the other, at places where
   nothing near clashes. A node that finds none takes one from a third node, which takes one
   in its stead (`ring.arrangement`). So a move beyond what the quotas force is made only
   where no other way is left.
3. *Repair.* A token that clashes all the same is taken away and its owner gets another by a
   chain; failing that, a short run of tokens around it is rewritten (`ring.rewriting`).
4. *Sequences.* Where clashes stay, or moves are many, all owners are chosen at once, in rings
   with few nodes or zones; that is kept where it is better (`ring.sequences`).
5. *Evening.* Where there are exactly N zones, owners of moved tokens are swapped so that each
   node bears its share of its zone's replicas (`ring.evening`).

Two tokens clash when they are less than N apart and their owners are one node or, where there
are at least N zones, sit in one zone. Zones are preferred where that is free; extra moves are
spent on them only where the zones' shares allow all clashes to go.

Where there are no more than N nodes, every node is a primary of every partition whoever owns
what. They take turns where that costs next to no extra moves, as it does when they join one at
a time (`ring.turns`); else only the fewest tokens move.

Guaranteed: the target follows from the arguments alone, whatever the mapping's order;
``claim`` of its own result, with the same claimants, changes nothing; every claimant owns its
share rounded up or down; one without weight, or who is no claimant, owns nothing.

Only measured, with Q = 1024, N = 3 and equal nodes that come and go one at a time (most of it
is held by ``tests/ring/test_claim.py``):

* from 5 to 200 nodes, no node twice in any N consecutive tokens, and not one move more than
  the quotas force; about 3 ms a change;
* 4 nodes: likewise, but for up to 1.02 times the forced moves when one joins and 1.27 when
  one of five leaves; some tenths of a second. 1 to 3 nodes: no move more than is forced;
* zones, 4 to 6 of them: no zone twice where their shares are equal, for 1.02 to 1.12 times the
  forced moves on the whole and 1.5 at worst. Exactly 3 zones: next to no extra moves, a zone
  twice in a third to a half of the windows, and up to 30 nodes the replicas that a node bears
  are at most 1.05 times its fair share (with Q = 256: 1.2);
* worked out anew after each flip, the target changes, and the sum of the moves hardly does.

Knows nothing of who is up, of data, or of how ownership is handed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import ne
from typing import Final

from ring.arrangement import Arrangement, Labels, tokens_in
from ring.evening import even_out
from ring.hashing import check_partitions, position_of
from ring.quotas import quotas_of
from ring.rewriting import rewrite
from ring.ring import Node
from ring.sequences import cheapest_sequence
from ring.turns import turns

RUNS: Final = (8, 12, 16, 20)
"""Lengths of the runs that are rewritten around a clash, the shortest first."""

CHANGES_MAX: Final = 10
"""How many tokens of a run may change hands to be rid of one clash."""

FAILURES_MAX: Final = 4
"""After so many runs that could not be rewritten, a pass over the ring rewrites no more."""

MOVES_PERCENT: Final = 110
"""Moves above so many percent of those that the quotas force are worth a longer search."""


@dataclass(frozen=True, slots=True)
class Claimant:
    """A node that may own tokens: its share is by ``weight``; it fails along with its ``zone``.

    Weight 0 owns nothing. Raises `ValueError` for a weight below 0.
    """

    weight: int
    zone: str

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError(f"a weight must be 0 or more, not {self.weight}")


def claim(
    present: Sequence[Node], claimants: Mapping[Node, Claimant], replicas: int
) -> tuple[Node, ...]:
    """The target owners by token, from the ``present`` ones; ``replicas`` is N as configured.

    ``present`` may name nodes that are no claimants: they lose everything. What is guaranteed
    is in the module's docstring. Raises `ValueError` when the number of tokens is no power of
    two, N is below 1, or nobody has a weight above 0.

    Milliseconds at Q = 1024; where clashes must stay, since the ring is too tight, some tenths
    of a second. So keep the outcome for as long as the arguments stay.
    """
    check_partitions(len(present))
    if replicas < 1:
        raise ValueError(f"the number of replicas must be at least 1, not {replicas}")
    owners = tuple(present)
    while True:
        # A round that has nothing to place can only remove clashes, so this ends; and it
        # ends in a state that the next call leaves as it is.
        target = _round(owners, claimants, replicas)
        if target == owners:
            return target
        owners = target


@dataclass(frozen=True, slots=True)
class _Level:
    """What must keep apart, nodes or zones; both fields are by number of node.

    ``repairable`` is False for a node on whom extra moves would be wasted: so much is owned
    under its label that some of it must clash.
    """

    labels: Labels
    repairable: tuple[bool, ...]

    def clashing(self, arrangement: Arrangement) -> int:
        """The tokens that clash and are worth a repair."""
        worth = 0
        for held, repairable in zip(arrangement.held, self.repairable, strict=True):
            if repairable:
                worth |= held
        return worth and worth & arrangement.clashing(self.labels)


@dataclass(frozen=True, slots=True)
class _Case:
    """What a round starts from, with nodes as numbers; ``forced`` are the moves by quotas."""

    present: tuple[int | None, ...]
    nodes: list[Node]
    quotas: list[int]
    levels: list[_Level]
    spacing: int
    forced: int

    def arrangement(self) -> Arrangement:
        """Everything as it is."""
        return Arrangement(self.present, self.quotas, self.spacing)


def _round(
    present: tuple[Node, ...], claimants: Mapping[Node, Claimant], replicas: int
) -> tuple[Node, ...]:
    weights = {node: claimant.weight for node, claimant in claimants.items()}
    quotas = quotas_of(present, weights)
    forced = (Counter(present) - Counter(quotas)).total()
    if len(quotas) <= replicas:
        if not forced:
            return present
        target = turns(present, quotas, replicas)
        if target is not None and _is_cheap(sum(map(ne, present, target)), forced):
            return target
    nodes = sorted(quotas)
    numbers = {node: number for number, node in enumerate(nodes)}
    case = _Case(
        tuple(numbers.get(owner) for owner in present),
        nodes,
        [quotas[node] for node in nodes],
        _levels(nodes, quotas, claimants, replicas, len(present)),
        min(replicas, len(nodes)),
        forced,
    )
    best: Arrangement | None = None
    for arrangement in _arrangements(case):
        if best is None or _badness(arrangement, case.levels) < _badness(best, case.levels):
            best = arrangement
        clear = not any(level.clashing(best) for level in case.levels)
        if clear and _is_cheap(best.moved.bit_count(), forced):
            break
    assert best is not None
    zones = case.levels[0].labels
    if 1 < len(set(zones)) == replicas < len(nodes):
        even_out(best, zones)
    return tuple(nodes[number] for number in best.complete())


def _is_cheap(moves: int, forced: int) -> bool:
    return moves * 100 <= forced * MOVES_PERCENT


def _arrangements(case: _Case) -> Iterator[Arrangement]:
    """Ways to bring every node to its quota, the quickest first."""
    if not case.forced:
        # First of all, so that only one with fewer clashes is preferred to it.
        yield case.arrangement()
    # Uneven strides spread a node's neighbours, and with them the load when it fails; where
    # the ring is too tight for that, even ones may still fit.
    for uneven in (True, False) if case.forced else (True,):
        arrangement = case.arrangement()
        _complete(case, arrangement, uneven=uneven)
        yield arrangement
    for level in case.levels:
        if not all(level.repairable):
            continue
        sequence = cheapest_sequence(case.present, case.quotas, level.labels, case.spacing)
        if sequence is not None:
            arrangement = case.arrangement()
            for token, owner in enumerate(sequence):
                if owner != arrangement.owners[token]:
                    arrangement.give(token, owner)
            _complete(case, arrangement, uneven=True)
            yield arrangement
            return


def _levels(
    nodes: list[Node],
    quotas: Mapping[Node, int],
    claimants: Mapping[Node, Claimant],
    replicas: int,
    size: int,
) -> list[_Level]:
    """The levels in the order in which they are tried: zones, where there are enough; nodes."""
    numbers: dict[str, int] = {}
    zones = [numbers.setdefault(claimants[node].zone, len(numbers)) for node in nodes]
    levels = []
    if replicas <= len(numbers) < len(nodes):
        zone_quotas = [0] * len(numbers)
        for node, zone in zip(nodes, zones, strict=True):
            zone_quotas[zone] += quotas[node]
        # With exactly N zones their order is rigid: repairs would cost up to twice the moves,
        # at every change, and the walk passes over a zone that is taken anyway.
        roomy = len(numbers) > replicas and max(zone_quotas) * replicas <= size
        levels.append(_Level(zones, (roomy,) * len(nodes)))
    apart = len(nodes) > replicas
    light = tuple(apart and quotas[node] * replicas <= size for node in nodes)
    levels.append(_Level(range(len(nodes)), light))
    return levels


def _badness(arrangement: Arrangement, levels: list[_Level]) -> tuple[int, ...]:
    """Clashes worth a repair, of nodes before zones; then moves, then all clashes."""
    worth = [level.clashing(arrangement).bit_count() for level in reversed(levels)]
    clashes = [arrangement.clashing(level.labels).bit_count() for level in reversed(levels)]
    return (*worth, arrangement.moved.bit_count(), *clashes)


def _complete(case: _Case, arrangement: Arrangement, *, uneven: bool) -> None:
    """Bring every node to its quota, then remove clashes."""
    _fill(arrangement, case.nodes, case.levels, uneven)
    for level in case.levels:
        _repair(arrangement, level)


def _fill(arrangement: Arrangement, nodes: list[Node], levels: list[_Level], uneven: bool) -> None:
    """Bring every node to its quota."""
    size = arrangement.size
    left = [
        max(0, quota - count)
        for quota, count in zip(arrangement.quotas, arrangement.counts, strict=True)
    ]
    strides = [size // deficit if deficit else size for deficit in left]
    cursors = [position_of(node) % size for node in nodes]
    while any(left):
        receiver = max(range(len(nodes)), key=left.__getitem__)
        token = _take(arrangement, levels, receiver, cursors[receiver])
        left[receiver] -= 1
        slack = max(0, strides[receiver] - arrangement.spacing)
        stride = arrangement.spacing + slack
        if uneven:
            seed = nodes[receiver] + left[receiver].to_bytes(4, "big")
            stride = arrangement.spacing + position_of(seed) % (2 * slack + 1)
        cursors[receiver] = (token + stride) % size


def _take(arrangement: Arrangement, levels: list[_Level], receiver: int, cursor: int) -> int:
    """Give ``receiver`` one more token, without a clash if that can be; which one."""
    for level in levels:
        direct = not level.repairable[receiver]
        chain = arrangement.chain(receiver, level.labels, cursor, direct=direct)
        if chain is not None:
            arrangement.apply(chain)
            return chain[0].token
    token = arrangement.spare(cursor)
    arrangement.give(token, receiver)
    return token


def _repair(arrangement: Arrangement, level: _Level) -> None:
    """Remove clashes, as long as one can be removed without making another."""
    progress = True
    while progress:
        progress = False
        failures = 0
        for token in tokens_in(level.clashing(arrangement)):
            if not level.clashing(arrangement) >> token & 1:
                continue
            if _exchange(arrangement, level.labels, token):
                progress = True
            elif failures < FAILURES_MAX:
                rewritten = _rewrite(arrangement, level.labels, token)
                progress |= rewritten
                failures += not rewritten


def _exchange(arrangement: Arrangement, labels: Labels, token: int) -> bool:
    """Give the token's owner another one in its stead."""
    owner = arrangement.owners[token]
    assert owner is not None
    arrangement.give(token, None)
    chain = arrangement.chain(owner, labels, token)
    if chain is None:
        arrangement.give(token, owner)
        return False
    arrangement.apply(chain)
    return True


def _rewrite(arrangement: Arrangement, labels: Labels, token: int) -> bool:
    """Rewrite a run of tokens around the clashing one."""
    size, reach = arrangement.size, arrangement.spacing - 1
    owners = arrangement.complete()
    for length in RUNS:
        if length + 2 * reach > size:
            return False
        start = token - length // 2
        around = [owners[(start + offset) % size] for offset in range(-reach, length + reach)]
        run = around[reach : reach + length]
        written = rewrite(
            run, around[:reach], around[reach + length :], labels, changes_max=CHANGES_MAX
        )
        if written is not None:
            for offset, node in enumerate(written):
                arrangement.give((start + offset) % size, node)
            return True
    return False
