"""The contexts that a client saw last, of so many keys at most.

An application that overwrites passes on what it has read. So does a load, or each of its
overwrites would leave a sibling more.
"""

from __future__ import annotations

from collections import OrderedDict

CONTEXTS_MAX = 200_000
"""About 200 bytes each."""


class Contexts:
    """Record to context; the one that was not used for longest goes first."""

    def __init__(self, bound: int = CONTEXTS_MAX) -> None:
        assert bound > 0
        self._bound = bound
        self._by_number: OrderedDict[int, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_number)

    def get(self, number: int) -> bytes | None:
        """What was last seen of a record; None: not known."""
        context = self._by_number.get(number)
        if context is not None:
            self._by_number.move_to_end(number)
        return context

    def remember(self, number: int, context: bytes) -> None:
        """This is what was last seen of it."""
        self._by_number[number] = context
        self._by_number.move_to_end(number)
        if len(self._by_number) > self._bound:
            self._by_number.popitem(last=False)

    def forget(self, number: int) -> None:
        """What was seen does not cover all that is there: the next overwrite reads first."""
        self._by_number.pop(number, None)
