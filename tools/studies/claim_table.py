"""How well `ring.claim` balances, and how much it moves, beside other ways of placing data.

``python -m studies.claim_table`` (in ``tools``), or ``make claim-table``, prints tables for
3 to 200 equal nodes that joined one at a time, each as the mean of five seeds:

* *claim*: Q equal partitions, owners by `ring.claim`;
* *random tokens*: 256 random tokens a node, and ranges that end at them (Cassandra's default
  for years);
* the three strategies of Dynamo (DeCandia et al. 2007, section 6.2). *1*: T random tokens a
  node, and ranges that end at them. *2*: T random tokens a node, and Q equal partitions, each
  on the first nodes clockwise from its end. *3*: Q equal partitions and Q/S tokens a node,
  dealt out and stolen at random. T is Q/S in strategy 1, which then keeps as many tokens as
  the others, and Q/8S in strategy 2, where Q is to be far above all tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from ring import Claimant, PreferenceLists, Ring, claim

RING: Final = 1 << 64
REPLICAS: Final = 3
COUNTS: Final = (3, 4, 5, 6, 10, 20, 50, 100, 200)
PARTITIONS: Final = (64, 256, 1024)
SEEDS: Final = 5
VIRTUAL_NODES: Final = 256

Placement = Sequence[tuple[int, tuple[int, ...]]]
"""Where a range starts, ascending from 0, and the numbers of its nodes, the owner first."""


class Placing(Protocol):
    """A way of placing data, with the nodes it has now; a change makes a new one."""

    def joined(self, node: int) -> Placing: ...

    def left(self, node: int) -> Placing: ...

    def placement(self) -> Placement: ...


@cache
def node_id(seed: int, node: int) -> bytes:
    """An id that looks like a real one."""
    return hashlib.sha256(f"{seed} {node}".encode()).digest()[:16]


@dataclass(frozen=True)
class Claimed:
    """Owners by `ring.claim`, from one change to the next."""

    seed: int
    partitions: int
    members: tuple[int, ...] = ()
    owners: tuple[bytes, ...] = ()

    def joined(self, node: int) -> Claimed:
        return self._with((*self.members, node))

    def left(self, node: int) -> Claimed:
        return self._with(tuple(member for member in self.members if member != node))

    def placement(self) -> Placement:
        numbers = {node_id(self.seed, member): member for member in self.members}
        lists = PreferenceLists(Ring(self.owners, REPLICAS))
        return [
            (start, tuple(numbers[node] for node in lists.of_partition(partition).primaries))
            for partition, start in enumerate(range(0, RING, RING // self.partitions))
        ]

    def _with(self, members: tuple[int, ...]) -> Claimed:
        claimants = {node_id(self.seed, member): Claimant(1, str(member)) for member in members}
        # Who founds the cluster owns everything.
        present = self.owners or tuple(claimants) * self.partitions
        owners = claim(present, claimants, REPLICAS)
        return Claimed(self.seed, self.partitions, members, owners)


@dataclass(frozen=True)
class Dealt:
    """Strategy 3: equal shares of tokens, at random places."""

    seed: int
    partitions: int
    members: tuple[int, ...] = ()
    owners: tuple[int, ...] = ()

    def joined(self, node: int) -> Dealt:
        generator = random.Random(f"{self.seed} {self.members} {node}")
        owners = list(self.owners or (node,) * self.partitions)
        counts = Counter(owners)
        while counts[node] < self.partitions // (len(self.members) + 1):
            most = max(counts.values())
            giver = generator.choice([each for each in self.members if counts[each] == most])
            token = generator.choice([at for at, owner in enumerate(owners) if owner == giver])
            owners[token] = node
            counts[giver] -= 1
            counts[node] += 1
        return Dealt(self.seed, self.partitions, (*self.members, node), tuple(owners))

    def left(self, node: int) -> Dealt:
        generator = random.Random(f"{self.seed} {self.members} {node}")
        members = tuple(member for member in self.members if member != node)
        owners, counts = list(self.owners), Counter(self.owners)
        given = [token for token, owner in enumerate(owners) if owner == node]
        generator.shuffle(given)
        for token in given:
            least = min(counts[member] for member in members)
            heir = generator.choice([each for each in members if counts[each] == least])
            owners[token] = heir
            counts[heir] += 1
        return Dealt(self.seed, self.partitions, members, tuple(owners))

    def placement(self) -> Placement:
        starts = range(0, RING, RING // self.partitions)
        walks = (_walk(self.owners, first, len(self.members)) for first in range(len(self.owners)))
        return list(zip(starts, walks, strict=True))


@dataclass(frozen=True)
class RandomTokens:
    """Strategy 1, and 2 where there are ``partitions``: ``tokens`` random tokens a node."""

    seed: int
    tokens: int
    partitions: int | None = None
    members: tuple[int, ...] = ()

    def joined(self, node: int) -> RandomTokens:
        return self._with((*self.members, node))

    def left(self, node: int) -> RandomTokens:
        return self._with(tuple(member for member in self.members if member != node))

    def placement(self) -> Placement:
        placed = sorted(
            (token, member) for member in self.members for token in self._tokens(member)
        )
        tokens, owners = [token for token, _ in placed], [owner for _, owner in placed]
        if self.partitions is None:
            starts = [0, *(token + 1 for token in tokens)]
            ends = [*tokens, RING]
        else:
            width = RING // self.partitions
            starts = list(range(0, RING, width))
            ends = [start + width for start in starts]
        return [
            (start, _walk(owners, bisect_left(tokens, end % RING), len(self.members)))
            for start, end in zip(starts, ends, strict=True)
        ]

    def _tokens(self, member: int) -> list[int]:
        generator = random.Random(f"{self.seed} {member}")
        return [generator.randrange(RING) for _ in range(self.tokens)]

    def _with(self, members: tuple[int, ...]) -> RandomTokens:
        return RandomTokens(self.seed, self.tokens, self.partitions, members)


def _walk(owners: Sequence[int], first: int, count: int) -> tuple[int, ...]:
    """The first N nodes clockwise from a place in the list of owners."""
    found: list[int] = []
    for step in range(len(owners)):
        owner = owners[(first + step) % len(owners)]
        if owner not in found:
            found.append(owner)
            if len(found) == min(REPLICAS, count):
                break
    return tuple(found)


@dataclass(frozen=True)
class Figures:
    """Of one way at one number of nodes; each as a multiple of the fair share or the minimum.

    ``largest`` is the largest owner's share, ``load`` the largest number of replicas. Of
    ``moves`` (owners changed) and ``copies`` (replicas gained) the first is for one node more,
    the second for one node less; None where nothing need move.
    """

    largest: float
    load: float
    moves: tuple[float | None, float | None]
    copies: tuple[float | None, float | None]


def figures(
    placing: Placing, members: Sequence[int], removed: int, partitions: int | None = None
) -> Figures:
    """The figures of one state, and of one change up and one down from it.

    The minimum of moves is the fair share of the node that comes or goes. With ``partitions``
    it is the fewest of them that must move so that all shares are fair, rounded up or down.
    """
    placement = placing.placement()
    owned: Counter[int] = Counter()
    held: Counter[int] = Counter()
    for width, nodes in _widths(placement):
        owned[nodes[0]] += width
        for node in nodes:
            held[node] += width
    count, in_force = len(members), min(REPLICAS, len(members))
    changes = (
        (placing.joined(max(members) + 1), (*members, max(members) + 1)),
        (placing.left(removed), tuple(member for member in members if member != removed)),
    )
    moves: list[float | None] = []
    copies: list[float | None] = []
    for after, remaining in changes:
        if partitions is None:
            least = RING / max(count, len(remaining))
        else:
            width = RING // partitions
            least = width * _fewest({node: owned[node] // width for node in remaining}, partitions)
        owners, replicas = _moved(placement, after.placement())
        moves.append(owners / least if least else None)
        # With no more nodes than replicas, those that stay hold everything as it is.
        needed = least * min(REPLICAS, len(remaining))
        copying = len(remaining) > count or count > REPLICAS
        copies.append(replicas / needed if needed and copying else None)
    return Figures(
        largest=max(owned.values()) * count / RING,
        load=max(held.values()) * count / (RING * in_force),
        moves=(moves[0], moves[1]),
        copies=(copies[0], copies[1]),
    )


def _fewest(counts: Mapping[int, int], partitions: int) -> int:
    """How many partitions must move until each of these nodes has its share, rounded."""
    floor, rest = divmod(partitions, len(counts))
    kept = sum(min(count, floor) for count in counts.values())
    return partitions - kept - min(rest, sum(count > floor for count in counts.values()))


def _widths(placement: Placement) -> Iterator[tuple[int, tuple[int, ...]]]:
    ends = [*(start for start, _ in placement[1:]), RING]
    for (start, nodes), end in zip(placement, ends, strict=True):
        yield end - start, nodes


def _moved(before: Placement, after: Placement) -> tuple[int, int]:
    """How much of the ring has another owner, and how much new replicas hold in all."""
    starts = sorted({start for placement in (before, after) for start, _ in placement})
    owners = replicas = at = to = 0
    for start, end in zip(starts, [*starts[1:], RING], strict=True):
        while at + 1 < len(before) and before[at + 1][0] <= start:
            at += 1
        while to + 1 < len(after) and after[to + 1][0] <= start:
            to += 1
        old, new = before[at][1], after[to][1]
        owners += (end - start) * (old[0] != new[0])
        replicas += (end - start) * len(set(new) - set(old))
    return owners, replicas


WAYS: Final = ("claim", "random tokens", "strategy 1", "strategy 2", "strategy 3")


def measure(
    partitions: int, counts: Sequence[int] = COUNTS, seeds: int = SEEDS
) -> dict[int, dict[str, list[Figures]]]:
    """By number of nodes and way: the figures of each seed."""
    found: dict[int, dict[str, list[Figures]]] = {
        count: {way: [] for way in WAYS} for count in counts
    }
    for seed in range(seeds):
        grown: dict[str, Placing] = {
            "claim": Claimed(seed, partitions),
            "strategy 3": Dealt(seed, partitions),
        }
        for node in range(max(counts)):
            grown = {way: placing.joined(node) for way, placing in grown.items()}
            count = node + 1
            if count not in counts:
                continue
            members = tuple(range(count))
            one, two = max(1, partitions // count), max(1, partitions // (8 * count))
            ways = grown | {
                "random tokens": RandomTokens(seed, VIRTUAL_NODES, None, members),
                "strategy 1": RandomTokens(seed, one, None, members),
                "strategy 2": RandomTokens(seed, two, partitions, members),
            }
            removed = random.Random(f"{seed} {count}").choice(members)
            for way in WAYS:
                # Random tokens cannot be balanced: what is fair is their minimum.
                balanced = partitions if way in grown else None
                found[count][way].append(figures(ways[way], members, removed, balanced))
    return found


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.2f}" if known else "-"


def _cell(what: str, measured: Sequence[Figures]) -> str:
    if what == "balance":
        pairs: list[tuple[float | None, float | None]] = [(f.largest, f.load) for f in measured]
    else:
        pairs = [f.moves if what == "moves" else f.copies for f in measured]
    return " / ".join(_mean(side) for side in zip(*pairs, strict=True))


CAPTIONS: Final = {
    "balance": "the largest owner's share / the largest replica load, by the fair share",
    "moves": "owners changed, by the minimum: one node more / one less",
    "copies": "replicas copied, by the minimum: one node more / one less",
}


def table(what: str, measured: Mapping[int, Mapping[str, Sequence[Figures]]]) -> Iterator[str]:
    """The lines of one table, as Markdown; ``what`` is a key of `CAPTIONS`."""
    yield f"| nodes | {' | '.join(WAYS)} |"
    yield "|---" * (len(WAYS) + 1) + "|"
    for count, ways in measured.items():
        yield f"| {count} | {' | '.join(_cell(what, ways[way]) for way in WAYS)} |"


def main() -> None:
    """Print the tables; copies only for the largest Q."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many seeds to average")
    seeds = parser.parse_args().seeds
    for partitions in PARTITIONS:
        measured = measure(partitions, seeds=seeds)
        for what, caption in CAPTIONS.items():
            if what != "copies" or partitions == max(PARTITIONS):
                print(f"Q = {partitions:,}, {caption}:\n")
                print("\n".join(table(what, measured)), end="\n\n")


if __name__ == "__main__":
    main()
