"""Siblings are concurrent: no value is found beside one that has superseded it.

This is what "no false conflicts" comes to. Whoever has a write knows what its context covered,
so this holds whatever fails, for what each read finds and for what is there in the end.

Pure: knows nothing but the history.
"""

from __future__ import annotations

from collections.abc import Iterator

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key, described
from dynamo_py.testing.history import History


def check_siblings_are_concurrent(history: History) -> list[str]:
    """Each value found beside one that superseded it, a line each.

    O(writes + what they saw) for each read that found siblings.
    """
    return sorted(line for each in by_key(history) for line in _false_conflicts(each))


def _false_conflicts(history: KeyHistory) -> Iterator[str]:
    found = [(f"{described(read)} found", read.found) for read in history.reads]
    found.append(("in the end there is", history.final))
    for who, names in found:
        for older, newer in _ordered_pairs(history, names):
            yield f"{history.key}: {who} {older} beside {newer}, which superseded it"


def _ordered_pairs(history: KeyHistory, found: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each value of ``found`` that another one superseded, and that other."""
    if len(found) > 1:
        superseded = history.superseded_by(sorted(found))
        yield from ((name, superseded[name]) for name in found if name in superseded)
