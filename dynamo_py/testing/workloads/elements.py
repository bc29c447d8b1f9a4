"""A ledger of unique elements: which were added to which key, and removed from it, how surely.

Pure: knows nothing of how a key's value holds its elements.

A key's value grows with each element, even after a removal. So a key is used for a bounded
number of them, and after that another one takes its place, under the next number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dynamo_py.testing.checkers.sets import Element, check_sets
from dynamo_py.testing.history import Outcome

ELEMENTS_MAX = 150
"""How many are added to one key."""

_SUREST_FIRST = (Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.NOT_APPLIED)


class Elements:
    """What was done to each element of each key."""

    def __init__(self, places: Iterable[str]) -> None:
        """``places`` are the beginnings of the keys: one key of each is in use at a time."""
        self._used = dict.fromkeys(places, 0)
        self._added: dict[tuple[str, str], Outcome] = {}
        self._removed: dict[tuple[str, str], Outcome] = {}

    def key(self, place: str) -> str:
        """The key that is in use for ``place`` now."""
        return _key(place, self._used[place] // ELEMENTS_MAX)

    @property
    def keys(self) -> list[str]:
        """Every key that is or was in use."""
        return [
            _key(place, number)
            for place, used in self._used.items()
            for number in range(used // ELEMENTS_MAX + 1)
        ]

    def use(self, place: str) -> tuple[str, int]:
        """The key for one more element, and the number of this element at ``place``."""
        key, number = self.key(place), self._used[place]
        self._used[place] += 1
        return key, number

    def note_added(self, key: str, element: str, outcome: Outcome) -> None:
        """The one attempt to add ``element`` has ended so."""
        assert (key, element) not in self._added, "an element is added once"
        self._added[key, element] = outcome

    def note_removed(self, key: str, elements: Iterable[str], outcome: Outcome) -> None:
        """An attempt to remove these has ended so; of several the surest one counts."""
        for element in elements:
            before = self._removed.get((key, element), outcome)
            self._removed[key, element] = min(before, outcome, key=_SUREST_FIRST.index)

    def violations(self, final: Mapping[str, Iterable[str]], *, is_lossless: bool) -> list[str]:
        """What is wrong with the elements that each key holds in the end."""
        elements = [
            Element(
                key=key,
                element=element,
                added=_as_sure(added, is_lossless=is_lossless),
                removed=self._removal(key, element, is_lossless=is_lossless),
            )
            for (key, element), added in self._added.items()
        ]
        return check_sets(elements, {key: frozenset(final.get(key, ())) for key in self.keys})

    def _removal(self, key: str, element: str, *, is_lossless: bool) -> Outcome | None:
        removed = self._removed.get((key, element))
        return None if removed is None else _as_sure(removed, is_lossless=is_lossless)


def _key(place: str, number: int) -> str:
    return f"{place}/{number}"


def _as_sure(outcome: Outcome, *, is_lossless: bool) -> Outcome:
    """Where data may be lost, an acknowledgement says no more than that it was tried."""
    if outcome is Outcome.ACKNOWLEDGED and not is_lossless:
        return Outcome.UNKNOWN
    return outcome
