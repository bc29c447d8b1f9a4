"""The messages by which operators change who is a member, and see what that moves.

As `dynamo_py.wire.messages`: frozen, positional, without behaviour. Nodes are meant by their names
here, as people do.
"""

from __future__ import annotations

from typing import NamedTuple

from dynamo_py.wire.messages import Counter, Message, Name

JOIN = "join"
LEAVE = "leave"
REMOVE = "remove"
REPLACE = "replace"


class ChangeMember(Message, frozen=True):
    """Change what a node is to the cluster, at once or staged."""

    kind: Name
    """`JOIN` (of one that waits for it), `LEAVE`, `REMOVE` (it is dead) or `REPLACE`."""
    node: Name
    other: str = ""
    """To replace: who takes its place."""
    force: bool = False
    """Although it may lose data."""
    is_staged: bool = False
    """Only with the next `CommitChanges`."""
    attempt: Counter = 0
    """0 at first; above it, the same change may have been made already."""


class Changed(Message, frozen=True):
    """The answer to a change: what it has done, and what is staged now, a line each."""

    done: list[str]
    staged: list[str]


class CommitChanges(Message, frozen=True):
    """Commit all that is staged."""

    force: bool = False
    attempt: Counter = 0
    """As in `ChangeMember`."""


class ClearChanges(Message, frozen=True):
    """Take back all that is staged; nodes that wait to join are sent away."""


class GetPlan(Message, frozen=True):
    """Ask what the staged changes would move; or, with none, what a running change still has to."""

    is_sized: bool = True
    """Whether all members are to be asked how much that is."""


class PlanNode(NamedTuple):
    """A node, now and after the change. Bytes are -1 where they are not known."""

    name: str
    zone: str
    weight: Counter
    membership: str
    membership_after: str
    tokens: Counter
    tokens_after: Counter
    bytes: int
    """What it holds as a primary."""
    bytes_after: int


class PlanMove(NamedTuple):
    """A token that changes hands."""

    token: Counter
    giver: str
    receiver: str
    bytes: int
    """What one copy of its partition takes; -1: not known."""


class Plan(Message, frozen=True):
    """The answer to `GetPlan`."""

    staged: list[str]
    """The staged changes, in words; none: this is about a running change."""
    nodes: list[PlanNode]
    moves: list[PlanMove]
    copies: Counter
    """Copies of partitions that nodes get which had none: one move can make several, or none."""
    bytes: Counter
    """What these take, as far as it is known."""
    unsized: Counter
    """Of how many of them that is not known."""
    partitions: Counter
    replicas: Counter
    """Primaries of each partition afterwards."""
    zones: Counter
    """Zones of the nodes that own tokens afterwards; a node without a label is one of its own."""
    spread: Counter
    """Partitions whose primaries afterwards all sit in different zones."""
    problem: str
    """Why the staged changes would be refused now; empty: they would not."""
    silent: list[str]
    """The members that did not answer: their sizes are not known."""
