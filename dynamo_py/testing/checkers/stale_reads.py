"""A read shows nothing that a write acknowledged before it began had superseded.

The other half of `dynamo_py.testing.checkers.freshness`: a read that has seen a write knows
what the write's context covered. It is how a missed delete shows, and a missed put of which
the read has found neither the value nor anything newer.

Pure: knows nothing but the history. Holds while the failures stay within the store's bounds.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key, described, described_end
from dynamo_py.testing.history import History, Outcome, Write


def check_reads_show_nothing_superseded(history: History) -> list[str]:
    """Each value that a read found though it was superseded before, a line each.

    O(writes + what they saw + values found), and sorting.
    """
    return sorted(line for each in by_key(history) for line in _stale(each))


def _stale(history: KeyHistory) -> Iterator[str]:
    acknowledged = [write for write in history.writes.values() if _is_promised(write)]
    # In this order each value is put down to the write that was the first to be acknowledged.
    acknowledged.sort(key=lambda write: (write.ended_s, write.write))
    superseded = history.superseded_by(write.write for write in acknowledged)
    for read in history.reads:
        if not read.degraded:
            for name in read.found & superseded.keys():
                newer = history.writes[superseded[name]]
                if newer.ended_s <= read.began_s:
                    yield f"{history.key}: {described(read)} found {name}, {_which(newer)}"


def _is_promised(write: Write) -> bool:
    return write.outcome is Outcome.ACKNOWLEDGED and not write.degraded


def _which(newer: Write) -> str:
    """What had happened to the value that was found."""
    verb = "deleted" if newer.is_delete else "superseded"
    return f"which {newer.write} of {newer.client} ({described_end(newer)}) had {verb}"
