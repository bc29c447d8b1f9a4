"""Every message that nodes and clients exchange, and no behaviour.

Frozen and positional: a message is the array of its fields in this order. A message is only
ever added, with a new number in `dynamo_py.wire.codec`; a field is added at the end, with a
default, under a new protocol version, since decoders refuse what they do not know. Knows
nothing of who sends what when.

Bytes named ``key`` are routing keys (bucket, NUL, key); ``record`` and ``context`` are as
`dynamo_py.causality.codec` encodes them; ``node`` is a node's id, 16 bytes.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from dynamo_py.wire.buckets import BucketEntry

NodeId = Annotated[bytes, Meta(min_length=16, max_length=16)]
Name = Annotated[str, Meta(min_length=1, max_length=64)]
Address = Annotated[str, Meta(max_length=256)]
Counter = Annotated[int, Meta(ge=0)]
Span = Annotated[int, Meta(ge=0, le=2**53)]
"""Milliseconds; added to a time of today the sum still fits into 64 bits."""


class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """What all messages have in common: frozen, positional, strict."""


class Hello(Message, frozen=True):
    """The first frame of whoever connects. ``proof`` is kept for credentials."""

    protocol: int
    role: Name
    """``client`` or ``peer``."""
    cluster: Name | None
    """The cluster's name, or None: whichever answers."""
    cluster_id: NodeId | None
    node: NodeId | None
    name: Name
    proof: bytes = b""


class Welcome(Message, frozen=True):
    """The answer to a `Hello` that is accepted."""

    protocol: int
    cluster: str
    cluster_id: NodeId | None
    node: NodeId
    name: str
    challenge: bytes = b""


class Failure(Message, frozen=True):
    """Any request's answer when it failed: an error of `dynamo_py.errors`, by its class name."""

    kind: str
    message: str
    outcome: str
    facts: dict[str, int | float | str | list[str] | dict[str, str]]


class Done(Message, frozen=True):
    """The answer to a request that has nothing to tell."""


ALL = -1
MAJORITY = -2


# --- from clients (on a link between peers: forwarded once already) ---------------------------


class Quorum(NamedTuple):
    """How many must answer, of all, after an fsync, and of the primaries.

    0 means what the bucket says, else a majority (none of ``durable`` and ``primaries``);
    `ALL` means every replica, `MAJORITY` a majority of them.
    """

    answers: int = 0
    durable: int = 0
    primaries: int = 0


class Put(Message, frozen=True):
    """Put a value, or a tombstone (``value`` is None), on behalf of a client."""

    key: bytes
    value: bytes | None
    context: bytes
    write_id: NodeId
    attempt: Counter
    """0 at first; above it, the same write may have happened already."""
    quorum: Quorum
    ring: int
    """The digest of the table that the client routed by."""
    if_absent: bool = False
    ttl_ms: Span = 0
    age_ms: Span = 0
    """How long ago its first attempt was sent; 0 where this is the first."""


class Hinted(NamedTuple):
    """``holder`` keeps a record for ``target``; both names."""

    holder: str
    target: str


class Stored(Message, frozen=True):
    """The answer to `Put`. ``context`` covers what the client had seen, and this write."""

    context: bytes
    acked: list[str]
    hinted: list[Hinted]
    degraded: bool
    siblings: int
    primaries: int


class Get(Message, frozen=True):
    """Read a key. ``only``, a node's name, asks for that node's own copy."""

    key: bytes
    quorum: Quorum
    ring: int
    only: str | None = None


class Fetched(Message, frozen=True):
    """The answer to `Get`: the merged record, None if no replica holds any."""

    record: bytes | None
    now_ms: int
    replied: list[str]
    degraded: bool
    primaries: int


class Scan(Message, frozen=True):
    """A page of the keys of one partition that begin with ``prefix`` and lie after ``start``."""

    partition: Counter
    prefix: bytes
    start: bytes
    limit: Counter
    quorum: Quorum
    ring: int


class ScanPage(Message, frozen=True):
    """The answer to `Scan`: live keys, and where the next page starts (None: at the end)."""

    keys: list[bytes]
    next_start: bytes | None


class GetRing(Message, frozen=True):
    """Ask for what a client routes by."""


class RingNode(NamedTuple):
    """A node as clients see it."""

    node: NodeId
    name: str
    client_address: str
    zone: str
    state: str


class Ring(Message, frozen=True):
    """The answer to `GetRing`: ``owners`` are indices into ``nodes``, one a token."""

    cluster: str
    cluster_id: NodeId
    replicas: Counter
    digest: int
    nodes: list[RingNode]
    owners: list[int]
    buckets: list[BucketEntry] = []


class GetStatus(Message, frozen=True):
    """Ask a node what it believes of the cluster."""


class GetNodeFacts(Message, frozen=True):
    """Ask a node for its own figures."""


class NodeFacts(Message, frozen=True):
    """One node's own figures."""

    name: str
    table_version: int
    table_digest: str
    members_digest: str
    tokens: int
    bytes: int
    keys: int
    hints: int
    incomplete: int
    """Partitions whose copy may not vote yet."""
    forgetting: list[tuple[Counter, str]] = []
    """How many keys it would have something forgotten of, and who holds that up."""
    starting: bool = False
    """It answers for no key yet: it asks the others what they remember of it."""
    giving: list[tuple[Counter, str]] = []
    """How many tokens it could not give away so far that others should own, and why."""


class NodeStatus(Message, frozen=True):
    """One member, as the asked node sees it; figures are -1 where it did not answer."""

    name: str
    id: str
    address: str
    zone: str
    weight: int
    membership: str
    state: str
    tokens: int
    bytes: int
    keys: int
    hints: int
    incomplete: int = 0
    http: str = ""
    starting: bool = False
    """It answers for no key yet: it asks the others what they remember of it."""


class Status(Message, frozen=True):
    """The answer to `GetStatus`."""

    cluster: str
    table_version: int
    table_digest: str
    converged: bool
    nodes: list[NodeStatus]
    waiting_for: list[str]
    partitions: int
    replicas: int


class Explain(Message, frozen=True):
    """Ask where a key lives and what each holder has of it."""

    key: bytes


class Holding(Message, frozen=True):
    """What one node holds of a key."""

    node: str
    role: str
    """``primary``, ``fallback`` or ``other``."""
    state: str
    answer: str
    """``record``, ``hint``, ``nothing``, ``damaged`` or why there is none."""
    complete: bool
    dots: list[str]
    siblings: int
    tombstone: bool
    hinted_for: list[str]


class Explanation(Message, frozen=True):
    """The answer to `Explain`."""

    position: int
    partition: int
    primaries: list[str]
    fallbacks: list[str]
    holdings: list[Holding]
    slow: list[str]
    """The stages of the last slow request for the key, as lines of text."""


class GetHints(Message, frozen=True):
    """Ask which hints are kept: a client is told of every node's, a peer of the asked one's."""


class HintsKept(NamedTuple):
    """What ``holder`` keeps for ``target``; both names."""

    holder: str
    target: str
    hints: Counter
    bytes: Counter
    age_ms: Span
    """How long the oldest has waited."""
    per_minute: Counter
    """How many are handed over, by a moving average."""
    eta_s: int
    """Seconds until the last one is, at that rate; -1: nobody knows."""


class HintFigures(Message, frozen=True):
    """The answer to `GetHints`."""

    kept: list[HintsKept]
    damaged: Counter
    """Hints that cannot be read."""
    counting: list[str]
    """The nodes that have not counted all of theirs yet, after a start."""
    silent: list[str]
    """The members that did not answer: what they keep is not known."""


# --- between nodes ----------------------------------------------------------------------------


class TableEntry(NamedTuple):
    """Who owns a token, and how new that is: compared as (term, version, owner)."""

    token: int
    term: int
    version: int
    owner: NodeId


class ReplicaPut(Message, frozen=True):
    """Merge ``record`` into the copy, or into the hint for the node ``hinted_for``."""

    partition: Counter
    key: bytes
    walk: int
    """The digest of the walk that the coordinator's preference list came from."""
    record: bytes
    hinted_for: NodeId | None = None


class ReplicaAck(Message, frozen=True):
    """``record`` is stored. ``durable``: an fsync has happened since."""

    durable: bool
    complete: bool = True
    """Whether the copy may vote, or else is only just being completed."""


class ReplicaGet(Message, frozen=True):
    """Ask for a node's own copy. ``walk`` 0 asks without comparing walks."""

    partition: Counter
    key: bytes
    walk: int


class ReplicaRecord(Message, frozen=True):
    """A node's own copy, and what it holds as a hint, merged."""

    record: bytes | None
    complete: bool
    """Whether this copy may vote: it has all that its partition was ever acknowledged."""
    hinted_for: list[NodeId]


class OtherWalk(Message, frozen=True):
    """The walks differ: here are the entries of the answering node's one."""

    entries: list[TableEntry]


class GetPage(Message, frozen=True):
    """Ask for records of a partition in key order, after ``start``."""

    partition: Counter
    walk: int
    prefix: bytes
    start: bytes
    limit: Counter
    bare: bool
    """Whether values are left out (tombstones stay tombstones)."""


class Page(Message, frozen=True):
    """The answer to `GetPage`; ``next_start`` None: that was all."""

    rows: list[tuple[bytes, bytes]]
    next_start: bytes | None
    damaged: list[bytes]
    complete: bool = True
    """Whether this copy may vote; one that may not can lack keys."""


class MemberEntry(NamedTuple):
    """A member as committed: merged per node, the state further along wins, then the version."""

    node: NodeId
    version: int
    state: str
    """``joining``, ``member``, ``leaving`` or ``removed``."""
    name: str
    weight: int
    zone: str
    staged: str = ""
    """The state that it is to have once the staged changes are committed; empty: as it is."""
    successor: Annotated[bytes, Meta(max_length=16)] = b""
    """Of one that is (to be) removed: who takes its tokens; empty: whom `ring.claim` names."""


class GetTable(Message, frozen=True):
    """Ask for all table entries and members."""


class Table(Message, frozen=True):
    """What must be agreed on: all of it where it is asked for, what is new after a change."""

    cluster: str
    cluster_id: NodeId
    partitions: int
    replicas: int
    entries: list[TableEntry]
    members: list[MemberEntry]
    buckets: list[BucketEntry] = []


class Join(Message, frozen=True):
    """A new node asks to become a member."""

    node: NodeId
    name: Name
    zone: Address
    weight: Counter
    peer_address: Address
    is_staged: bool = False
    """Whether it is to wait, without tokens, until an operator commits its joining."""


class Gossip(Message, frozen=True):
    """A message of the gossip package, opaque here. Sent without expecting a reply."""

    payload: bytes


class HandOff(Message, frozen=True):
    """A hint for its target: `Done` says that its record is committed there, and on disk."""

    partition: Counter
    key: bytes
    walk: int
    record: bytes
