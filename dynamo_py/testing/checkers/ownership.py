"""Each token has one owner, who should have it, and nobody holds what it is no primary of.

Of a cluster at rest: all nodes have told each other all that they know. Knows nothing of how
tokens move.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Owned(NamedTuple):
    """What one node says of the ring, and of itself."""

    owners: Sequence[str]
    """By token, the name of its owner; empty where nobody is known by that id."""
    is_settled: bool
    """Whether it has no token that it should give away."""
    to_clean: int
    """Partitions that it holds, and is no primary of."""


def check_ownership(said: Mapping[str, Owned], members: Iterable[str]) -> list[str]:
    """What is wrong, by what each node says; ``members`` are those who may own tokens."""
    allowed = set(members)
    found = []
    for name, owned in said.items():
        strange = [token for token, owner in enumerate(owned.owners) if owner not in allowed]
        if strange:
            found.append(f"{name}: {len(strange)} tokens have no owner that is a member")
        if not owned.is_settled:
            found.append(f"{name} has tokens still to give away")
        if owned.to_clean:
            found.append(f"{name}: {owned.to_clean} partitions are still to be cleaned up")
    tables = {tuple(owned.owners) for owned in said.values()}
    if len(tables) > 1:
        found.append(f"some tokens have two owners: there are {len(tables)} tables")
    return found
