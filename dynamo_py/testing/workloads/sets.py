"""Sets that only grow: unique elements in a list, merged by the ready-made union."""

from __future__ import annotations

from collections.abc import Iterable

from dynamo_py.client.resolve import union
from dynamo_py.testing.checkers import Checker
from dynamo_py.testing.history import Outcome
from dynamo_py.testing.workloads.elements import Elements
from dynamo_py.testing.workloads.keys import numbered, uniform
from dynamo_py.testing.workloads.merging import Merging
from dynamo_py.testing.workloads.workload import Client, FinalReader

ADDITIONS_SHARE = 0.75


class Sets(Merging):
    """Additions, and gets. Sets with removal are carts (`dynamo_py.testing.workloads.cart`)."""

    def __init__(self, name: str = "sets", *, keys_count: int = 2) -> None:
        super().__init__(name, union)
        places = numbered("set", keys_count)
        self._choose = uniform(places)
        self._elements = Elements(places)
        self._final: dict[str, list[str]] = {}

    async def step(self, client: Client) -> None:
        """One addition or get."""
        place = self._choose(client.random)
        if client.random.random() >= ADDITIONS_SHARE:
            await self.get(client, self._elements.key(place))
            return
        key, number = self._elements.use(place)
        element = f"{client.name}-{number}"

        def add(elements: list[str] | None) -> list[str]:
            merged: list[str] = union([elements or [], [element]])
            return merged

        def settle(outcome: Outcome) -> None:
            self._elements.note_added(key, element, outcome)

        await self.update(client, key, add, settle=settle)

    async def read_final(self, read: FinalReader) -> None:
        """Note the elements of each set."""
        self._final = await self.final_values(read, self._elements.keys)

    def violations(self, checkers: Iterable[Checker], *, is_lossless: bool) -> list[str]:
        """Elements that are missing, or that nobody has added."""
        return self.judged(self._elements.violations(self._final, is_lossless=is_lossless))
