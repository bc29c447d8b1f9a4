"""A read sees every write that was acknowledged before it began.

The store promises it where neither the write nor the read was degraded; a client's own writes
are only a case of it, which the message names. A put has been seen if its value is found, or
one that superseded it, or if a delete that had seen it may have taken effect by the time that
the read ended: such a delete leaves nothing to be found.

That a delete was seen shows in what is *not* found: `dynamo_py.testing.checkers.stale_reads`.

Pure: knows nothing but the history. Holds while the failures stay within the store's bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key, described
from dynamo_py.testing.history import History, Read, Write


def check_reads_see_acknowledged_writes(history: History) -> list[str]:
    """Each acknowledged put that a later read missed, a line for each put and read.

    O(writes of the key + what they saw) for each read of it.
    """
    return sorted(line for each in by_key(history) for line in _missed(each))


def _missed(history: KeyHistory) -> Iterator[str]:
    puts = [put for put in history.acknowledged(are_deletes=False) if not put.degraded]
    deleted_s = _possibly_deleted_s(history)
    for read in history.reads:
        if not read.degraded:
            seen = read.found | history.superseded_by(read.found).keys()
            for put in puts:
                is_due = put.ended_s <= read.began_s and put.write not in seen
                if is_due and deleted_s.get(put.write, math.inf) > read.ended_s:
                    yield f"{history.key}: {described(read)} misses {_described_put(put, read)}"


def _possibly_deleted_s(history: KeyHistory) -> dict[str, float]:
    """For each write that a delete had seen: when the first such delete began, in seconds."""
    deletes = sorted(history.deletes(), key=lambda delete: delete.began_s)
    superseded = history.superseded_by(delete.write for delete in deletes)
    return {name: history.writes[delete].began_s for name, delete in superseded.items()}


def _described_put(put: Write, read: Read) -> str:
    whose = "its own" if put.client == read.client else f"of {put.client}"
    return f"{put.write} ({whose}, acknowledged at {put.ended_s:.3f} s)"
