"""A read shows what those hold who have answered it, and says so where too few of them may vote.

Both are judged read by read, and hold of degraded reads as well: what a client finds on its own
side of a split, say, where nobody promises that it is all there is. A node counts only where
it is known what it held and was while it answered.

Pure: looks at one read, and at what is known of the nodes that answered it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from dynamo_py.testing.checkers.superseding import described
from dynamo_py.testing.history import Read


class Answering(NamedTuple):
    """A node that has answered, as it was from before the read began until after it ended."""

    held: Collection[str]
    """The writes whose values it held, as a copy or as a hint."""
    may_vote: bool


def check_read_shows_what_is_held(
    read: Read, owed: Collection[str], answering: Mapping[str, Answering]
) -> list[str]:
    """A line for each write in ``owed`` that a node held, and the read does not show.

    ``owed`` are those that nobody had tried to supersede by the end of the read.
    """
    lines = []
    for write in owed:
        holders = sorted(name for name, node in answering.items() if write in node.held)
        if holders and write not in read.found:
            who = " ".join(holders)
            lines.append(f"{read.key}: {described(read)} misses {write}, which {who} held")
    return lines


def check_degraded_is_said(
    read: Read, replied: Sequence[str], answering: Mapping[str, Answering], *, answers: int
) -> list[str]:
    """A line if the read should have said that it is degraded.

    Of those who ``replied`` fewer than ``answers`` may have voted.
    """
    voteless = sorted(
        name for name in replied if name in answering and not answering[name].may_vote
    )
    if read.degraded or len(replied) - len(voteless) >= answers:
        return []
    who = f"{' '.join(voteless)} of {' '.join(sorted(replied))}"
    return [f"{read.key}: {described(read)} is not called degraded, and {who} might not vote"]
