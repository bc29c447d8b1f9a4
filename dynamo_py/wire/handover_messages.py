"""The messages by which tokens are handed over together with the data below them.

As `dynamo_py.wire.messages`: frozen, positional, without behaviour. A ``walk`` is the digest of
the table entries that a partition's primaries follow from, with those primaries. What is said
in which order, and why that is safe: docs/design/handover.md.
"""

from __future__ import annotations

from typing import NamedTuple

from dynamo_py.wire.messages import Counter, Message, NodeId


class Offer(Message, frozen=True):
    """From a token's owner to a node that will be a primary of the partition: copy it from me.

    Told again and again, until the answer says that it is copied; who hears no more of it
    stops copying.
    """

    partition: Counter
    walk: int
    giver: NodeId
    keys: Counter
    """What the giver holds of it now."""
    bytes: Counter


class Offered(Message, frozen=True):
    """The answer to `Offer`: how far the copy has come."""

    is_copied: bool
    """Whether all that the owner held when this began to be copied is on disk."""
    problem: str
    """Why it does not get on; empty: it does."""


class AskTaken(Message, frozen=True):
    """Compare once more with me, who send you each write from now on, and say that you have all.

    ``next_walk`` is the partition's walk after the flip: by that one, and no other, the copy is
    complete from then on. 0: it is not to be taken for complete.
    """

    partition: Counter
    walk: int
    giver: NodeId
    next_walk: int


class Taken(Message, frozen=True):
    """The answer to `AskTaken`: the trees were equal, and all of it is on disk."""


class TransferFigures(NamedTuple):
    """One partition on its way to ``receiver``, as that node knows."""

    partition: Counter
    giver: str
    receiver: str
    keys: Counter
    """Copied so far."""
    keys_total: Counter
    """What the giver has said that it holds."""
    bytes: Counter
    bytes_total: Counter
    age_ms: Counter
    """Since when it is being copied."""
    state: str
    """``copying``, ``copied`` or why it waits."""


class GetTransfers(Message, frozen=True):
    """Ask which partitions are on their way: of a node by a client: all; by a peer: its own."""


class Transfers(Message, frozen=True):
    """The answer to `GetTransfers`."""

    transfers: list[TransferFigures]
    left: list[tuple[str, Counter]]
    """How many tokens each node has still to give away, by its name."""
    cleaning: list[tuple[str, Counter]]
    """How many partitions each node holds that it is no primary of any more."""
    silent: list[str]
    """The members that did not answer."""


class GetSizes(Message, frozen=True):
    """Ask a node how much it holds of the partitions that it is a primary of."""


class PartitionSize(NamedTuple):
    """How much a node holds of a partition."""

    partition: Counter
    keys: Counter
    bytes: Counter


class Sizes(Message, frozen=True):
    """The answer to `GetSizes`: those that it has counted."""

    sizes: list[PartitionSize]
