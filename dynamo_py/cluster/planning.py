"""What a change of members would move: tokens, copies and bytes, and what each node holds after.

Pure: owners and sizes in, a `Plan` out. Who gains a copy is found by comparing preference lists
before and after, since a token that changes hands can promote and demote third nodes. Knows
nothing of how the target owners were found (`ring.claim`), or of how data gets to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ring
from dynamo_py.cluster.members import MemberMap
from dynamo_py.wire.change_messages import Plan, PlanMove, PlanNode
from dynamo_py.wire.messages import MemberEntry

UNKNOWN = -1
GONE = "removed"


@dataclass(frozen=True, slots=True)
class Side:
    """Members and owners, on one side of a change."""

    members: MemberMap
    owners: tuple[bytes, ...]
    replicas: int

    def ring(self) -> ring.Ring:
        """The ring that they make."""
        zones = {entry.node: entry.zone for entry in self.members.entries if entry.zone}
        return ring.Ring(self.owners, self.replicas, zones)


def plan_of(
    before: Side,
    after: Side,
    sizes: Mapping[int, int],
    *,
    staged: Sequence[str],
    problem: str,
    silent: Sequence[str],
) -> Plan:
    """The plan of going from ``before`` to ``after``.

    ``sizes`` are the bytes of one copy, by partition, as far as they are known. The last three
    are told on as they are: see `Plan`.
    """
    now, then = before.ring(), after.ring()
    held, will_hold = _held(now, sizes), _held(then, sizes)
    copies = [
        partition for change in ring.changes(now, then) for partition in _gained_copies(change)
    ]
    moves = ring.plan(before.owners, after.owners, sizes)
    lists = ring.PreferenceLists(then)
    primaries = [lists.of_partition(p).primaries for p in range(then.partitions)]
    return Plan(
        list(staged),
        [
            _node(entry, before, after, held, will_hold)
            for entry in sorted(before.members.entries, key=lambda entry: entry.name)
            if entry in before.members.present or entry.node in before.owners
        ],
        [
            PlanMove(
                move.token,
                _name(before.members, move.giver),
                _name(before.members, move.receiver),
                UNKNOWN if move.size_bytes is None else move.size_bytes,
            )
            for move in moves
        ],
        len(copies),
        sum(sizes.get(partition, 0) for partition in copies),
        sum(partition not in sizes for partition in copies),
        then.partitions,
        then.replicas_in_force,
        len({then.zone_of(node) for node in then.nodes}),
        sum(len({then.zone_of(node) for node in each}) == len(each) for each in primaries),
        problem,
        list(silent),
    )


def _gained_copies(change: ring.Change) -> list[int]:
    return [change.partition] * len(change.gainers)


def _node(
    entry: MemberEntry,
    before: Side,
    after: Side,
    held: Mapping[bytes, int],
    will_hold: Mapping[bytes, int],
) -> PlanNode:
    then = after.members.get(entry.node)
    return PlanNode(
        entry.name,
        entry.zone or entry.name,
        entry.weight,
        entry.state,
        GONE if then is None else then.state,
        before.owners.count(entry.node),
        after.owners.count(entry.node),
        held.get(entry.node, 0),
        will_hold.get(entry.node, 0),
    )


def _held(placed: ring.Ring, sizes: Mapping[int, int]) -> dict[bytes, int]:
    """What each node holds as a primary; `UNKNOWN` where that of any partition is not known."""
    lists = ring.PreferenceLists(placed)
    held: dict[bytes, int] = {}
    for partition in range(placed.partitions):
        for node in lists.of_partition(partition).primaries:
            so_far, size = held.get(node, 0), sizes.get(partition, UNKNOWN)
            held[node] = UNKNOWN if UNKNOWN in (so_far, size) else so_far + size
    return held


def _name(members: MemberMap, node: bytes) -> str:
    entry = members.get(node)
    return node.hex() if entry is None else entry.name
