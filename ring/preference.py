"""Preference lists: which nodes hold a partition, and who stands in for them.

Walk clockwise from the partition's token and take each *distinct* node once
(DeCandia et al. 2007, section 4.3). The first N in force are the primaries; the rest, in
order, are the fallbacks. Where there are at least that many zones among the owners, primaries
sit in distinct zones: the walk passes over a node whose zone is taken, and that node is a
fallback at the place where the walk met it.

Knows nothing of who is up: a list follows from the ring alone.

Invariants: primaries and fallbacks together are the ring's nodes, each once; there are exactly
N in force primaries; ``walked`` are consecutive tokens, the partition's own first.
"""

from __future__ import annotations

from dataclasses import dataclass

from ring.hashing import partition_of, position
from ring.ring import Node, Ring, Zone


@dataclass(frozen=True, slots=True)
class PreferenceList:
    """Who holds a partition: its primaries, then its fallbacks, each in the walk's order.

    ``walked`` are the tokens that were inspected until the primaries were complete. No other
    token has a say in who the primaries are, as long as the ring's nodes and zones stay.
    """

    primaries: tuple[Node, ...]
    fallbacks: tuple[Node, ...]
    walked: tuple[int, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, in the order in which a request tries them."""
        return self.primaries + self.fallbacks


def preference_list(ring: Ring, partition: int) -> PreferenceList:
    """The preference list of one partition. O(Q); for many look-ups use `PreferenceLists`."""
    return PreferenceLists(ring).of_partition(partition)


class PreferenceLists:
    """The preference lists of one ring, each worked out when it is first asked for.

    A look-up by partition is an index into a list. Several threads may share one: at worst a
    list is worked out twice, with the same outcome. A ring that differs in a few owners takes
    over what holds still (`after`).
    """

    __slots__ = (
        "_inspected",
        "_lists",
        "_node_count",
        "_primary_count",
        "_zones_in_force",
        "ring",
    )

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._lists: list[PreferenceList | None] = [None] * ring.partitions
        self._inspected = [0] * ring.partitions
        """How many tokens, the partition's own first, have a say in its known list."""
        self._node_count = len(set(ring.owners))
        self._primary_count = ring.replicas_in_force
        self._zones_in_force = ring.zones_in_force

    def after(self, ring: Ring) -> PreferenceLists:
        """The lists of ``ring``, a later state of this one.

        A list that is known, and that no token with another owner has a say in, is taken over
        as the object that it is. O(Q) for each such token.
        """
        lists = PreferenceLists(ring)
        if not self._has_same_nodes(ring):
            return lists
        count = ring.partitions
        inspected = list(self._inspected)
        for token, (before, now) in enumerate(zip(self.ring.owners, ring.owners, strict=True)):
            if before != now:
                for partition, length in enumerate(inspected):
                    if (token - partition) % count < length:
                        inspected[partition] = 0
        lists._inspected = inspected
        lists._lists = [
            found if length else None for found, length in zip(self._lists, inspected, strict=True)
        ]
        return lists

    def of_partition(self, partition: int) -> PreferenceList:
        """The list of a partition in 0..Q-1; raises `IndexError` for one past the end."""
        found = self._lists[partition]
        if found is None:
            found = self._lists[partition] = self._walk(partition)
        return found

    def of_key(self, bucket: bytes, key: bytes) -> PreferenceList:
        """The list of the partition that the key lies in."""
        return self.of_partition(partition_of(position(bucket, key), len(self._lists)))

    def statistics(self) -> dict[str, int]:
        """How many lists there are, and how many have been worked out."""
        known = sum(found is not None for found in self._lists)
        return {"partitions": len(self._lists), "known": known}

    def _check(self) -> None:
        """Assert the invariants in the module's docstring for every list known."""
        everybody = sorted(set(self.ring.owners))
        for partition, found in enumerate(self._lists):
            if found is None:
                continue
            assert sorted(found.nodes) == everybody
            assert len(found.primaries) == self._primary_count
            count = len(found.walked)
            assert found.walked == tuple(
                (partition + step) % self.ring.partitions for step in range(count)
            )
            zones = {self.ring.zone_of(node) for node in found.primaries}
            assert not self._zones_in_force or len(zones) == self._primary_count

    def _has_same_nodes(self, ring: Ring) -> bool:
        """Whether nothing but the owners of tokens can make the lists of ``ring`` others."""
        mine = self.ring
        return (
            (ring.partitions, ring.replicas) == (mine.partitions, mine.replicas)
            and dict(ring.zones) == dict(mine.zones)
            and set(ring.owners) == set(mine.owners)
        )

    def _walk(self, partition: int) -> PreferenceList:
        owners = self.ring.owners
        primaries: list[Node] = []
        fallbacks: list[Node] = []
        walked: list[int] = []
        zones_taken: set[Zone] = set()
        seen: set[Node] = set()
        inspected = 0
        while len(seen) < self._node_count:
            token = (partition + inspected) % len(owners)
            inspected += 1
            complete = len(primaries) == self._primary_count
            if not complete:
                walked.append(token)
            node = owners[token]
            if node in seen:
                continue
            seen.add(node)
            zone = self.ring.zone_of(node)
            if complete or (self._zones_in_force and zone in zones_taken):
                fallbacks.append(node)
            else:
                primaries.append(node)
                zones_taken.add(zone)
        self._inspected[partition] = inspected
        return PreferenceList(tuple(primaries), tuple(fallbacks), tuple(walked))
