"""No acknowledged write is lost.

An acknowledged put is kept if its value is there in the end, or if a write that had seen it
is kept in its turn: one that was acknowledged, or that may have happened. A delete leaves
nothing that could be there, so it is kept by itself.

Pure: knows nothing but the history. Holds while the failures stay within the store's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key
from dynamo_py.testing.history import History


def check_nothing_lost(history: History) -> list[str]:
    """Each acknowledged value that is gone, a line each. O(writes + what they saw)."""
    return sorted(line for each in by_key(history) for line in _lost(each))


def _lost(history: KeyHistory) -> Iterator[str]:
    deletes = [write.write for write in history.deletes()]
    kept = {*history.final, *history.superseded_by([*history.final, *deletes])}
    for put in history.acknowledged(are_deletes=False):
        if put.write not in kept:
            yield (
                f"{history.key}: {put.write} of {put.client} was acknowledged"
                f" at {put.ended_s:.3f} s, and is lost"
            )
