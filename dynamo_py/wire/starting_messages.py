"""The messages of a node that starts and is known to the others already.

As `dynamo_py.wire.messages`: frozen, positional, without behaviour. The others remember which id
a node of its name had, and how far its store had come; knows nothing of what follows from it.
"""

from __future__ import annotations

from dynamo_py.wire.messages import Counter, Message, NodeId, Table


class Readmission(Message, frozen=True):
    """The answer to `Join` of a node that has lost its directory: it is a member already."""

    node: NodeId
    """The id under which it is known, which it takes as its own again."""
    table: Table


class AskProgress(Message, frozen=True):
    """Ask what is remembered of how far ``node``'s store had come."""

    node: NodeId


class Progress(Message, frozen=True):
    """The answer to `AskProgress`: what the node itself last told, 0 where nothing is known."""

    sequence: Counter
