"""No value comes from nowhere: what is found was put there, and before it was found.

Pure: knows nothing but the history. Holds whatever fails.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key, described
from dynamo_py.testing.history import History, Outcome


def check_no_phantoms(history: History) -> list[str]:
    """Each value that was found and cannot be, a line each. O(writes + values found)."""
    return sorted(line for each in by_key(history) for line in _phantoms(each))


def _phantoms(history: KeyHistory) -> Iterator[str]:
    for read in history.reads:
        for name in read.found:
            if reason := _why_impossible(history, name, by_s=read.ended_s):
                yield f"{history.key}: {described(read)} found {name}, {reason}"
    for name in history.final:
        if reason := _why_impossible(history, name, by_s=math.inf):
            yield f"{history.key}: {name} is there in the end, {reason}"


def _why_impossible(history: KeyHistory, name: str, *, by_s: float) -> str | None:
    """Why ``name`` could not be found as a value at ``by_s``; None if it could."""
    write = history.writes.get(name)
    if write is None:
        return "which nobody wrote"
    if write.is_delete:
        return "which is a delete"
    if write.outcome is Outcome.NOT_APPLIED:
        return f"whose put by {write.client} was not applied"
    if write.began_s > by_s:
        return f"whose put by {write.client} began only at {write.began_s:.3f} s"
    return None
