"""The messages by which nodes show that nothing old is left, and then forget.

As `dynamo_py.wire.messages`: frozen, positional, without behaviour. A ``digest`` names a key
together with its record, a ``walk`` the table entries by which the asking node found the
partition's primaries, a ``boot`` one life of a node's process. docs/design/forgetting.md says
what each round is for.
"""

from __future__ import annotations

from typing import NamedTuple

from dynamo_py.wire.messages import Counter, Message, NodeId


class Flush(Message, frozen=True):
    """Answered with `Done` once all that came before from the same node was handled."""


class AskProof(Message, frozen=True):
    """Ask a member what it holds of some keys on its disk, and to watch them from now on."""

    partition: Counter
    walk: int
    walker: NodeId
    """The node that asks. Of each one the last proof alone is watched."""
    number: Counter
    """The proof's number, which no other of the same node has."""
    keys: list[bytes]


class Shown(NamedTuple):
    """What a member has of a key, committed and on disk."""

    digest: Counter
    """Of its copy; 0: it has none."""
    is_gone: bool
    """Whether no reader sees a value in it any more, by the member's clock."""
    obstacle: str
    """Why this shows nothing; empty: it does."""


class Proof(Message, frozen=True):
    """The answer to `AskProof`: a `Shown` for each key, in their order."""

    boot: Counter
    members: Counter
    """The digest of the member map."""
    sequence: Counter
    """How far the member's store had come."""
    shown: list[Shown]


class Barrier(Message, frozen=True):
    """Answered with `Done` once work begun before is finished, and what it sent has arrived."""

    partition: Counter


class Confirm(Message, frozen=True):
    """Ask whether a proof still stands, after one more wait for work begun before."""

    partition: Counter
    walk: int
    walker: NodeId
    number: Counter
    boot: Counter
    """The asked member's, from its proof."""
    members: Counter
    sequences: list[tuple[NodeId, Counter]]
    """How far each member's store had come: to be remembered, on disk, before the answer."""


class Confirmed(Message, frozen=True):
    """The answer to `Confirm`: the indices of keys of which something was stored meanwhile."""

    changed: list[Counter]


class ForgetRow(NamedTuple):
    """One key to forget something of."""

    key: bytes
    digest: Counter
    is_dropped: bool
    """Whether all of it goes; else what its values do not need."""


class Forget(Message, frozen=True):
    """Drop or trim the copies that still have these digests."""

    partition: Counter
    walk: int
    boot: Counter
    rows: list[ForgetRow]


class Forgotten(Message, frozen=True):
    """The answer to `Forget`: the indices of those that were."""

    rows: list[Counter]


class AskPromised(Message, frozen=True):
    """Ask how far ``node``'s store had come when it last took part in a proof."""

    node: NodeId


class Promised(Message, frozen=True):
    """The answer to `AskPromised`; 0: nothing is known.

    A store that has not come so far may hold what was forgotten since.
    """

    sequence: Counter
