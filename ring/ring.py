"""The ring: which node owns which token, as an immutable value.

Token t is the start of partition t, and each token has one owner: that is a virtual node.
Knows nothing of addresses, of who is up, or of how the table of owners came about.

Invariants: the number of tokens is a power of two; a `Ring` never changes. All of it is
committed state of the cluster, so two nodes with one table have one ring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from ring.hashing import check_partitions

Node = bytes
"""A node's id: 16 bytes in the store, opaque here. Order among nodes is the order of bytes."""

Zone = str | Node
"""A label of what fails together; a node without a label is its own zone."""


@dataclass(frozen=True, slots=True)
class Ring:
    """Owners by token, the configured number of replicas (N), and the zones of the nodes.

    ``owners[t]`` owns token t. ``zones`` may lack nodes (each is then its own zone) and name
    nodes that own nothing. Raises `ValueError` when the number of owners is not a power of
    two in 1..65536, or ``replicas`` is below 1. Not hashable.
    """

    owners: tuple[Node, ...]
    replicas: int
    zones: Mapping[Node, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_partitions(len(self.owners))
        if self.replicas < 1:
            raise ValueError(f"the number of replicas must be at least 1, not {self.replicas}")
        # A copy behind a read-only face: the caller's mapping may change, the ring may not.
        object.__setattr__(self, "zones", MappingProxyType(dict(self.zones)))

    @property
    def partitions(self) -> int:
        """Q, the number of partitions, and of tokens. O(1)."""
        return len(self.owners)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The distinct owners, sorted. O(Q)."""
        return tuple(sorted(set(self.owners)))

    @property
    def replicas_in_force(self) -> int:
        """min(N, distinct owners): how many primaries each partition has. O(Q)."""
        return min(self.replicas, len(set(self.owners)))

    @property
    def zones_in_force(self) -> bool:
        """Whether primaries sit in distinct zones: there are as many zones as primaries. O(Q)."""
        nodes = set(self.owners)
        return len({self.zone_of(node) for node in nodes}) >= min(self.replicas, len(nodes))

    def tokens_of(self, node: Node) -> tuple[int, ...]:
        """The tokens that ``node`` owns, ascending; empty for a stranger. O(Q)."""
        return tuple(token for token, owner in enumerate(self.owners) if owner == node)

    def zone_of(self, node: Node) -> Zone:
        """The node's zone; the node itself where it has no label."""
        return self.zones.get(node, node)

    def flip(self, token: int, receiver: Node) -> Ring:
        """The ring in which ``receiver`` owns ``token``, all else being equal. O(Q)."""
        if not 0 <= token < len(self.owners):
            raise IndexError(f"no token {token} in a ring of {len(self.owners)}")
        owners = (*self.owners[:token], receiver, *self.owners[token + 1 :])
        return replace(self, owners=owners)
