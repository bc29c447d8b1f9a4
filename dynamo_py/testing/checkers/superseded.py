"""What was superseded stays superseded: in the end it is not there again.

A put that was acknowledged, or whose value is there in the end, has taken effect, and with it
all that its context covered is gone. What deletes have covered is a checker of its own,
`dynamo_py.testing.checkers.deletes`.

Pure: knows nothing but the history. Holds while the failures stay within the store's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key, described_end
from dynamo_py.testing.history import History


def check_superseded_stays_superseded(history: History) -> list[str]:
    """Each superseded value that is there in the end, a line each.

    O(writes + what they saw).
    """
    return sorted(line for each in by_key(history) for line in _back(each))


def _back(history: KeyHistory) -> Iterator[str]:
    took_effect = [put.write for put in history.acknowledged(are_deletes=False)]
    took_effect += sorted(history.final)
    superseded = history.superseded_by(took_effect)
    for name in history.final:
        if name in superseded:
            newer = history.writes[superseded[name]]
            yield (
                f"{history.key}: {name} was superseded by {newer.write}"
                f" ({described_end(newer)}), and is back"
            )
