"""Deletes stay deleted: what an acknowledged delete had seen is not there in the end.

A resurrection is what a store that forgets its tombstones too early does, hence a checker of
its own. A value that the delete had not seen rightly survives it.

Pure: knows nothing but the history. Holds while the failures stay within the store's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key, described_end
from dynamo_py.testing.history import History


def check_deletes_stay_deleted(history: History) -> list[str]:
    """Each deleted value that is there in the end, a line each. O(writes + what they saw)."""
    return sorted(line for each in by_key(history) for line in _resurrected(each))


def _resurrected(history: KeyHistory) -> Iterator[str]:
    deletes = history.acknowledged(are_deletes=True)
    superseded = history.superseded_by(delete.write for delete in deletes)
    for name in history.final:
        if name in superseded:
            delete = history.writes[superseded[name]]
            yield (
                f"{history.key}: {name} was deleted by {delete.write}"
                f" ({described_end(delete)}), and is back"
            )
