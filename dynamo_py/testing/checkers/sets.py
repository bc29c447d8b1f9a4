"""Sets keep what was added until it is removed, and show nothing else.

Each element is added once, under a name that is never used again, so that a removed one has no
way back.

Pure: knows nothing of how a workload stores its sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dynamo_py.testing.history import Outcome


@dataclass(frozen=True, slots=True)
class Element:
    """One element of one set, and what its clients know of it."""

    key: str
    element: str
    added: Outcome
    removed: Outcome | None
    """The strongest outcome of the removals that had seen it; None: nobody tried to remove it.

    Acknowledged is stronger than unknown, and that than not applied.
    """


def check_sets(elements: Iterable[Element], final: Mapping[str, frozenset[str]]) -> list[str]:
    """Each element that is lost, is back, or was never added, a line each, sorted.

    ``final``: what each set had in the end; a set that is missing there was empty. O(elements).
    `ValueError` if an element of a set is told twice.
    """
    told: dict[tuple[str, str], Element] = {}
    for each in elements:
        if (each.key, each.element) in told:
            raise ValueError(f"{each.key}: {each.element} is told twice")
        told[each.key, each.element] = each
    there = [(key, element) for key in sorted(final) for element in sorted(final[key])]
    lines = [
        f"{key}: {element} is there in the end, and nobody added it"
        for key, element in there
        if (key, element) not in told
    ]
    for (key, element), each in told.items():
        is_there = element in final.get(key, frozenset())
        if reason := _why_wrong(each, is_there=is_there):
            lines.append(f"{key}: {element} {reason}")
    return sorted(lines)


def _why_wrong(element: Element, *, is_there: bool) -> str | None:
    """What is wrong with the element's being there, or not; None if nothing is."""
    if is_there:
        if element.added is Outcome.NOT_APPLIED:
            return "is there in the end, and adding it was not applied"
        if element.removed is Outcome.ACKNOWLEDGED:
            return "was removed, acknowledged so, and is back"
        return None
    may_be_removed = element.removed in (Outcome.ACKNOWLEDGED, Outcome.UNKNOWN)
    if element.added is Outcome.ACKNOWLEDGED and not may_be_removed:
        return "was added, acknowledged so, and is lost"
    return None
