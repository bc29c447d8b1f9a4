"""Which puts are owed: they were acknowledged, and nobody has yet tried to supersede them.

What is owed must be there at every moment, whatever else goes on. A write that has begun may
have taken effect, so from then on nothing that it covers is owed any more, whether it is ever
acknowledged or not; `dynamo_py.testing.checkers.superseding` says what a write covers.

Pure: knows nothing of nodes, and nothing of what is right or wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Key:
    covered: set[str] = field(default_factory=set)
    owed: dict[str, bool] = field(default_factory=dict)


class Owed:
    """Of each key the puts that are owed now. Is told each write as it begins and ends."""

    def __init__(self) -> None:
        self._keys: dict[str, _Key] = {}

    def begun(self, key: str, saw: Collection[str]) -> None:
        """A put or delete is about to be sent, with a context for what it ``saw``.

        What those had covered in their turn is covered already: they had begun before they
        could be seen. O(what it saw).
        """
        found = self._keys.setdefault(key, _Key())
        found.covered.update(saw)
        for covered in saw:
            found.owed.pop(covered, None)

    def acknowledged(self, key: str, put: str, *, degraded: bool) -> None:
        """A put that had begun was acknowledged; not to be told of deletes."""
        found = self._keys[key]
        if put not in found.covered:
            found.owed[put] = degraded

    def of(self, key: str) -> Mapping[str, bool]:
        """The puts of ``key`` that are owed, each with whether it was degraded, oldest first."""
        found = self._keys.get(key)
        return {} if found is None else found.owed
