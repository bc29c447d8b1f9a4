"""A node's configuration: frozen, checked once, handed out in narrow pieces.

Knows nothing of files or command lines; `NodeConfig` is built from either by whoever reads
them. Each field says what it is, its range, and what is typical.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from dynamo_py.errors import InvalidRequest

KEY_BYTES_MAX = 64 * 1024
VALUE_BYTES_MAX = 16 * 1024 * 1024
BUCKET_BYTES_MAX = 256
NAME_CHARACTERS_MAX = 64
PARTITIONS_MAX = 4096
REPLICAS_MAX = 16
HINT_BYTES_MAX = 1024**3
"""Hints that a node keeps, unless it is told otherwise."""
HINT_BYTES_MIN = 1024**2
SIBLINGS_MAX = 100
"""Siblings that a put may leave. Bounds clients alone, never repair."""
SIBLINGS_WARNING = 25
"""From so many siblings on that a put leaves, the node warns."""
BUCKETS_MAX = 1000
"""Buckets of a cluster that can be given properties."""
LAST_WRITE_WINS = "last_write_wins"
BUCKET_RESOLVERS = (LAST_WRITE_WINS, "union", "cart")
"""What a bucket can name for merging siblings; clients carry it out."""
BUCKET_CODECS = ("json", "cbor")
"""What a bucket can name for its values; clients carry it out."""


class CoordinatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How a coordinator waits."""

    replica_budget_s: float = 0.5
    """After this long without its answer a replica is replaced by the next fallback."""
    hedge_s: float = 0.05
    """After this long a read asks further replicas than the R that it needs.

    After their p95 where that is known, within a budget; see `dynamo_py.coordinator.hedging`."""


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a node takes on at once."""

    client_requests_max: int = 4096
    """Requests of clients under way; one more is refused with `Overloaded`."""


class NodeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All that a node is told when it starts.

    ``cluster``, ``partitions`` and ``replicas`` are fixed when the cluster is founded: a node
    that joins takes the founder's.
    """

    name: str
    """The node's name, unique in its cluster; at most 64 characters."""
    data_dir: str
    """The directory that belongs to this node alone; made if it is missing."""
    listen: str | None = "127.0.0.1:7700"
    """Where clients connect; None: nobody does."""
    peer_listen: str | None = "127.0.0.1:7701"
    """Where other nodes connect; None: the node stays alone."""
    http_listen: str | None = None
    """Where health, status and metrics are served; None: nowhere."""
    seeds: tuple[str, ...] = ()
    """Peer addresses of nodes of the cluster to join; none: found a cluster."""
    stage: bool = False
    """Of a node that joins: wait without tokens until its joining is committed."""
    cluster: str = "dynamo"
    """The cluster's name."""
    zone: str = ""
    """Nodes of one zone tend to fail together; empty: the node is a zone of its own."""
    weight: int = 1
    """The share of tokens, beside the other nodes' weights; 0 to 1000."""
    partitions: int = 256
    """Q, a power of two from 1 to 4096; typically ten times the nodes one will ever have."""
    replicas: int = 3
    """N, from 1 to 16; typically 3."""
    durability: Literal["commit", "interval", "none"] = "commit"
    """When a write is on disk: before it is acknowledged; within a second; whenever."""
    hint_bytes: int = HINT_BYTES_MAX
    """How many bytes of hints it keeps for others at most; at least 1 MiB, typically 1 GiB."""
    exchange_interval_s: float = 10.0
    """How often equal copies are compared again; 0.1 to 86,400, typically 10 s."""
    forget_after_s: float = 60.0
    """How old a tombstone must be, beside the proof that nothing older is left; 0 to 31,536,000.

    Longer than clients go on with one request, since they are not asked; typically 60 s."""
    coordinator: CoordinatorConfig = CoordinatorConfig()
    server: ServerConfig = ServerConfig()

    def checked(self) -> NodeConfig:
        """This configuration, or `InvalidRequest` with the first thing that is wrong."""
        for is_right, complaint in self._checks():
            if not is_right:
                raise InvalidRequest(complaint)
        return self

    def _checks(self) -> list[tuple[bool, str]]:
        q = self.partitions
        name_is_right = 0 < len(self.name) <= NAME_CHARACTERS_MAX and self.name.isprintable()
        return [
            (name_is_right, f"name: 1 to {NAME_CHARACTERS_MAX} printable characters"),
            (bool(self.data_dir), "data: name a directory"),
            (0 < len(self.cluster) <= NAME_CHARACTERS_MAX, "cluster: 1 to 64 characters"),
            (
                0 < q <= PARTITIONS_MAX and q & (q - 1) == 0,
                f"partitions: a power of two from 1 to {PARTITIONS_MAX}, not {q}",
            ),
            (
                0 < self.replicas <= REPLICAS_MAX,
                f"replicas: 1 to {REPLICAS_MAX}, not {self.replicas}",
            ),
            (0 <= self.weight <= 1000, f"weight: 0 to 1000, not {self.weight}"),
            (
                self.hint_bytes >= HINT_BYTES_MIN,
                f"hint_bytes: at least {HINT_BYTES_MIN}, not {self.hint_bytes}",
            ),
            (
                0.1 <= self.exchange_interval_s <= 86_400,
                f"exchange_interval_s: 0.1 to 86400, not {self.exchange_interval_s}",
            ),
            (
                0 <= self.forget_after_s <= 31_536_000,
                f"forget_after_s: 0 to 31536000, not {self.forget_after_s}",
            ),
            (
                not self.seeds or self.peer_listen is not None,
                "a node that joins a cluster needs an address for its peers",
            ),
            (
                bool(self.seeds) or not self.stage,
                "stage: only a node that has seeds can wait to join",
            ),
        ]


def config_from_mapping(fields: dict[str, Any]) -> NodeConfig:
    """A checked `NodeConfig` from plain data, such as a TOML file; raises `InvalidRequest`."""
    unknown = sorted(set(fields) - set(NodeConfig.__struct_fields__))
    if unknown:
        raise InvalidRequest(f"unknown setting: {', '.join(unknown)}")
    try:
        return msgspec.convert(fields, NodeConfig).checked()
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"configuration: {error}") from None
