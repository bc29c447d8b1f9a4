"""No acknowledged write is lost, and no value comes from nowhere.

An acknowledged write is kept if its value is there in the end, or if a write that had seen it
is kept in its turn: one that was acknowledged, or that may have happened. That is what the
store promises (a value goes only when it is superseded by one whose context covered it).
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_py.testing.history import History, Outcome, Write


def check_nothing_lost(history: History) -> list[str]:
    """What is wrong with ``history``, a line each; empty if nothing is. O(writes)."""
    violations = []
    for key, writes in _by_key(history).items():
        final = history.final.get(key, frozenset())
        written = {w.value for w in writes if w.outcome is not Outcome.NOT_APPLIED}
        violations += [
            f"{key}: {value!r} is there, and nobody wrote it" for value in final - written
        ]
        kept = _kept(writes, final)
        violations += [
            f"{key}: {write.value!r} was acknowledged, and is lost"
            for write in writes
            if write.outcome is Outcome.ACKNOWLEDGED and write.value not in kept
        ]
    return sorted(violations)


def _kept(writes: list[Write], final: frozenset[bytes]) -> set[bytes]:
    """The values in ``final``, and all that were superseded on the way to them."""
    saw = {w.value: w.saw for w in writes if w.outcome is not Outcome.NOT_APPLIED}
    kept: set[bytes] = set()
    waiting = list(final)
    while waiting:
        value = waiting.pop()
        if value not in kept:
            kept.add(value)
            waiting += saw.get(value, ())
    return kept


def _by_key(history: History) -> dict[str, list[Write]]:
    by_key: dict[str, list[Write]] = {}
    for write in history.writes:
        by_key.setdefault(write.key, []).append(write)
    for key in _keys_without_writes(history, by_key):
        by_key[key] = []
    return by_key


def _keys_without_writes(history: History, by_key: dict[str, list[Write]]) -> Iterator[str]:
    return (key for key in history.final if key not in by_key)
