"""The messages by which copies are compared, and by which it is told how they stand.

As `dynamo_py.wire.messages`: frozen, positional, without behaviour. A ``digest`` names a key
together with its record, a ``walk`` the table entries by which the asking node found the
partition's primaries. Knows nothing of how hashes are made.
"""

from __future__ import annotations

from typing import NamedTuple

from dynamo_py.wire.messages import Counter, Message

# --- for administrators -----------------------------------------------------------------------


class GetSync(Message, frozen=True):
    """Ask how copies stand to each other: of a node by a client: all; by a peer: its own pairs."""

    hurry: bool
    """Whether all copies are to be compared now."""


class PairSync(NamedTuple):
    """How two copies of a partition stand to each other, as ``node``, which compares, knows."""

    partition: Counter
    node: str
    peer: str
    age_ms: int
    """How long ago they were last found in sync; -1: not since the node's start."""
    differences: Counter
    """Keys that differed in the last exchange."""
    problem: str
    """Why they are not known to be in sync; empty: they were in the last exchange."""


class Sync(Message, frozen=True):
    """The answer to `GetSync`."""

    pairs: list[PairSync]
    silent: list[str]
    """The members that did not answer: what they compare is not known."""


# --- between nodes ----------------------------------------------------------------------------


class PartitionWalk(NamedTuple):
    """A partition, and the digest of the walk by which the asking node found its primaries."""

    partition: Counter
    walk: Counter


class GetRoots(Message, frozen=True):
    """Ask for the roots of the hash trees of some partitions."""

    asked: list[PartitionWalk]


class Roots(Message, frozen=True):
    """The answer to `GetRoots`, in its order; None: another walk, or a tree not built yet."""

    roots: list[Counter | None]
    filling: list[Counter]
    """Indices of those whose copy the answering node is just completing by itself."""


class GetTree(Message, frozen=True):
    """Ask for the hashes below some nodes of a hash tree."""

    partition: Counter
    walk: int
    level: Counter
    """Of the nodes whose children are wanted: 0 for the root, 1 for inner nodes."""
    indices: list[Counter]


class TreeHashes(Message, frozen=True):
    """The answer to `GetTree`: 32 hashes for each index; none where the tree is not built yet."""

    hashes: list[Counter]


class GetLeaves(Message, frozen=True):
    """Ask what some leaves of a partition hold, among keys after ``start`` and up to ``end``."""

    partition: Counter
    walk: int
    leaves: list[Counter]
    start: bytes
    end: bytes | None
    """None: up to the last key."""
    known: list[Counter]
    """The digests of the asking node's records there: what has one of these is left out."""
    urgent: bool = False
    """Whether writes wait for the answer."""


class LeafRow(NamedTuple):
    """A record, without its values."""

    key: bytes
    context: bytes
    """The record's version vector, as a context."""
    digest: Counter


class Leaves(Message, frozen=True):
    """The answer to `GetLeaves`."""

    rows: list[LeafRow]
    """Records with none of the known digests, in the order of their keys."""
    unknown: list[Counter]
    """Indices of the known digests that no record has, of those that were looked at."""
    reached: bytes | None
    """The last key that was looked at; None: all of them were."""


class GetRecords(Message, frozen=True):
    """Ask for a node's own copies of some keys."""

    partition: Counter
    walk: int
    keys: list[bytes]


class Records(Message, frozen=True):
    """The answer to `GetRecords`: what there is of the first ``answered`` of the keys."""

    rows: list[tuple[bytes, bytes]]
    answered: Counter
    damaged: list[bytes]
