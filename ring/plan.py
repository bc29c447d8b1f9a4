"""The plan of a change: which tokens go from whom to whom, and who gains by each flip.

A token's flip can do more than swap its giver for its receiver: it can promote a third node
and demote another, since the walk takes each node once and passes over zones that are taken.
So who gains and who loses is found by comparing preference lists, before and after.

Knows nothing of how a hand-over is done, nor of data; sizes in bytes come in as a mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ring.preference import PreferenceLists, preference_list
from ring.ring import Node, Ring


@dataclass(frozen=True, slots=True)
class Transfer:
    """One token on its way from its present owner to its target owner.

    ``size_bytes`` is what the partition holds, where that is known.
    """

    token: int
    giver: Node
    receiver: Node
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of the ring does to one partition's primaries.

    ``gainers`` become primaries and ``losers`` cease to be; each in the order of the walk.
    """

    partition: int
    gainers: tuple[Node, ...]
    losers: tuple[Node, ...]


def plan(
    present: Sequence[Node], target: Sequence[Node], sizes: Mapping[int, int] | None = None
) -> tuple[Transfer, ...]:
    """The transfers that turn ``present`` owners into ``target`` owners, by ascending token.

    ``sizes`` maps a partition to its bytes; a partition that it lacks has no size in the plan.
    Raises `ValueError` when the two rings differ in their number of tokens.
    """
    if len(present) != len(target):
        raise ValueError(f"a ring of {len(present)} tokens cannot become one of {len(target)}")
    known = sizes or {}
    return tuple(
        Transfer(token, giver, receiver, known.get(token))
        for token, (giver, receiver) in enumerate(zip(present, target, strict=True))
        if giver != receiver
    )


def gainers(before: Ring, after: Ring, partition: int) -> tuple[Node, ...]:
    """Who becomes a primary of ``partition`` by the change, in the order of the new walk."""
    old = preference_list(before, partition).primaries
    return tuple(node for node in preference_list(after, partition).primaries if node not in old)


def changes(before: Ring, after: Ring) -> tuple[Change, ...]:
    """What the change does to each partition whose primaries it changes. O(Q) walks.

    A change of their order alone is none. Raises `ValueError` when the two rings differ in
    their number of partitions.
    """
    if before.partitions != after.partitions:
        raise ValueError(f"{before.partitions} partitions cannot become {after.partitions}")
    return _compare(before, after, range(before.partitions))


def inspecting(ring: Ring, token: int) -> tuple[int, ...]:
    """The partitions whose walk inspects ``token``, in the ring's order, the token's own last.

    They lie next to each other: a walk that starts nearer to a token, and before it, cannot
    stop earlier than one that starts further away.
    """
    lists = PreferenceLists(ring)
    found = [token]
    for step in range(1, ring.partitions):
        partition = (token - step) % ring.partitions
        if token not in lists.of_partition(partition).walked:
            break
        found.append(partition)
    return tuple(reversed(found))


def changes_by_flip(ring: Ring, token: int, receiver: Node) -> tuple[Change, ...]:
    """What giving ``token`` to ``receiver`` does to each partition whose primaries it changes.

    Only walks that inspect the token can end otherwise, unless the flip moves N in force or
    whether zones count: then all partitions are looked at.
    """
    after = ring.flip(token, receiver)
    rules_stay = (
        ring.replicas_in_force == after.replicas_in_force
        and ring.zones_in_force == after.zones_in_force
    )
    candidates = inspecting(ring, token) if rules_stay else range(ring.partitions)
    return _compare(ring, after, candidates)


def _compare(before: Ring, after: Ring, partitions: Iterable[int]) -> tuple[Change, ...]:
    old_lists, new_lists = PreferenceLists(before), PreferenceLists(after)
    found = []
    for partition in partitions:
        old = old_lists.of_partition(partition).primaries
        new = new_lists.of_partition(partition).primaries
        gained = tuple(node for node in new if node not in old)
        lost = tuple(node for node in old if node not in new)
        if gained or lost:
            found.append(Change(partition, gained, lost))
    return tuple(found)
