"""What this node believes of the cluster, as one frozen snapshot.

Members (from gossip and the committed map), ownership (the ring's table) and the properties of
buckets meet here. A request takes one `ClusterView` at its start and decides everything by
it. Knows nothing of how any of them comes to be known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dynamo_py.cluster.buckets import NO_BUCKETS, BucketMap
from dynamo_py.cluster.members import MemberMap
from dynamo_py.cluster.ownership import OwnershipTable, digest_of
from dynamo_py.wire.messages import TableEntry
from ring import PreferenceList, PreferenceLists, Ring, partition_of, position_of

UP = "up"
SUSPECT = "suspect"
DOWN = "down"


@dataclass(frozen=True, slots=True)
class NodeView:
    """One member, as believed here. Addresses are empty until gossip has told them."""

    node: bytes
    name: str
    zone: str
    weight: int
    membership: str
    state: str = DOWN
    peer_address: str = ""
    client_address: str = ""
    http_address: str = ""


class Placement:
    """Preference lists and walks of one table. Computed as they are asked for, then kept."""

    def __init__(self, table: OwnershipTable, placed: Ring) -> None:
        self.table = table
        self.ring = placed
        self._lists = PreferenceLists(placed)
        self._walks: dict[int, int] = {}

    def after(self, table: OwnershipTable, placed: Ring) -> Placement:
        """The placement of a later table; what no changed entry has a say in is taken over."""
        later = Placement(table, placed)
        later._lists = self._lists.after(placed)
        changed = {
            mine.token
            for mine, now in zip(self.table.entries, table.entries, strict=True)
            if mine is not now
        }
        later._walks = {
            partition: walk
            for partition, walk in self._walks.items()
            if later.preference_list(partition) is self.preference_list(partition)
            and changed.isdisjoint(later.preference_list(partition).walked)
        }
        return later

    def preference_list(self, partition: int) -> PreferenceList:
        """Primaries and fallbacks of ``partition``."""
        return self._lists.of_partition(partition)

    def walk_entries(self, partition: int) -> list[TableEntry]:
        """The table entries that the primaries of ``partition`` follow from."""
        return self.table.walk(self._lists.of_partition(partition).walked)

    def walk(self, partition: int) -> int:
        """The version of the partition's walk, never 0: its entries, and whom they made primaries.

        The latter too, since zones and N, which are no part of the table, decide with it.
        """
        found = self._walks.get(partition)
        if found is None:
            primaries = self.preference_list(partition).primaries
            found = digest_of(self.walk_entries(partition), b"".join(primaries)) or 1
            self._walks[partition] = found
        return found


@dataclass(frozen=True, slots=True)
class Route:
    """What requests for one partition are decided by: preference list, walk, and who is up."""

    primaries: tuple[bytes, ...]
    nearest_first: tuple[bytes, ...]
    """The primaries, this node first, then those that are up, then those believed down."""
    fallbacks_up: tuple[bytes, ...]
    """The other nodes that are up, in the order of the walk."""
    walk: int
    """The version of the walk that all this follows from."""


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A snapshot of the cluster. Replaced whole at every change, never altered."""

    me: bytes
    cluster: str
    cluster_id: bytes
    placement: Placement
    members: MemberMap
    nodes: Mapping[bytes, NodeView]
    up: frozenset[bytes] = field(default_factory=frozenset)
    hinted: frozenset[bytes] = field(default_factory=frozenset)
    """Those for whom some node says that it keeps hints: they may lack acknowledged writes."""
    buckets: BucketMap = NO_BUCKETS
    _routes: dict[int, Route] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Routes that were asked for: they follow from the rest, and every request takes one."""

    @property
    def table(self) -> OwnershipTable:
        """The table of ownership."""
        return self.placement.table

    @property
    def client_digest(self) -> int:
        """Names all that clients are told with the ring: who owns what, and buckets' properties."""
        return self.placement.table.digest ^ self.buckets.digest

    @property
    def ring(self) -> Ring:
        """The ring that the table makes."""
        return self.placement.ring

    def partition_of(self, routing_key: bytes) -> int:
        """The partition in which a key lies."""
        return partition_of(position_of(routing_key), self.ring.partitions)

    def preference_list(self, partition: int) -> PreferenceList:
        """Primaries and fallbacks of ``partition``."""
        return self.placement.preference_list(partition)

    def route(self, partition: int) -> Route:
        """How to reach the replicas of ``partition``."""
        found = self._routes.get(partition)
        if found is None:
            found = self._routes[partition] = self._make_route(partition)
        return found

    def _make_route(self, partition: int) -> Route:
        preference_list = self.preference_list(partition)
        primaries = preference_list.primaries
        return Route(
            primaries,
            tuple(sorted(primaries, key=lambda node: (node != self.me, node not in self.up))),
            tuple(node for node in preference_list.fallbacks if node in self.up),
            self.placement.walk(partition),
        )

    def is_up(self, node: bytes) -> bool:
        """Whether ``node`` is believed to answer: not down. This node always is."""
        return node in self.up

    @property
    def others_up(self) -> list[NodeView]:
        """The other members that are not down, by node id."""
        return [seen for node, seen in self.nodes.items() if node in self.up and node != self.me]

    def is_primary(self, partition: int, node: bytes) -> bool:
        """Whether ``node`` is one of the primaries of ``partition``."""
        return node in self.placement.preference_list(partition).primaries

    def name_of(self, node: bytes) -> str:
        """The node's name, or its id where the name is not known."""
        found = self.nodes.get(node)
        return found.name if found is not None else node.hex()

    def address_of(self, node: bytes) -> str:
        """The address at which peers reach ``node``; empty where it is not known."""
        found = self.nodes.get(node)
        return found.peer_address if found is not None else ""

    def named(self, name: str) -> NodeView | None:
        """The member of that name."""
        return next((n for n in self.nodes.values() if n.name == name), None)
