"""Counters that only grow: a cell for each client, merged by the larger number in each cell.

Theory. A client's cell holds how many increments that client has tried, which only grows; so
an update that went unanswered and surfaces later changes nothing that a later one has not
counted already. In the end a cell must lie between the number at the client's last
acknowledged update and the number that it has tried (the G-counter of Shapiro et al. 2011).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dynamo_py.testing.checkers import Checker
from dynamo_py.testing.checkers.counters import Counted, check_counters
from dynamo_py.testing.history import Outcome
from dynamo_py.testing.workloads.keys import numbered, uniform
from dynamo_py.testing.workloads.merging import Merging
from dynamo_py.testing.workloads.workload import Client, FinalReader

INCREMENTS_SHARE = 0.75

Cells = dict[str, int]


def larger_cells(values: Sequence[Cells]) -> Cells:
    """Of each cell the largest number that any value has for it."""
    merged: Cells = {}
    for cells in values:
        for client, number in cells.items():
            merged[client] = max(number, merged.get(client, 0))
    return dict(sorted(merged.items()))


class Counters(Merging):
    """Increments, and gets."""

    def __init__(self, name: str = "counters", *, keys_count: int = 2) -> None:
        super().__init__(name, larger_cells)
        self.keys = numbered("counter", keys_count)
        self._choose = uniform(self.keys)
        self._attempted: dict[tuple[str, str], int] = {}
        self._acknowledged: dict[tuple[str, str], int] = {}
        self._final: dict[str, Cells] = {}

    async def step(self, client: Client) -> None:
        """One increment or get."""
        key = self._choose(client.random)
        if client.random.random() >= INCREMENTS_SHARE:
            await self.get(client, key)
            return
        cell = (key, client.name)
        number = self._attempted[cell] = self._attempted.get(cell, 0) + 1

        def increment(cells: Cells | None) -> Cells:
            # Not "one more than was read": that would count again where it runs again.
            return larger_cells([cells or {}, {client.name: number}])

        def settle(outcome: Outcome) -> None:
            if outcome is Outcome.ACKNOWLEDGED:
                self._acknowledged[cell] = max(number, self._acknowledged.get(cell, 0))

        await self.update(client, key, increment, settle=settle)

    async def read_final(self, read: FinalReader) -> None:
        """Note the cells of each counter."""
        self._final = await self.final_values(read, self.keys)

    def violations(self, checkers: Iterable[Checker], *, is_lossless: bool) -> list[str]:
        """Cells that hold less than was acknowledged, or more than was tried."""
        return self.judged(check_counters(self._counted(is_lossless=is_lossless)))

    def _counted(self, *, is_lossless: bool) -> list[Counted]:
        found: dict[tuple[str, str], Any] = {
            (key, client): number
            for key, cells in self._final.items()
            for client, number in cells.items()
        }
        return [
            Counted(
                key=cell[0],
                client=cell[1],
                acknowledged=self._acknowledged.get(cell, 0) if is_lossless else 0,
                attempted=self._attempted.get(cell, 0),
                final=found.get(cell, 0),
            )
            for cell in sorted({**self._attempted, **found})
        ]
