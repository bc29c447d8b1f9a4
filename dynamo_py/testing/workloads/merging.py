"""Read-modify-writes of JSON values that can be merged, so that nothing is ever in conflict.

Such a value says by itself, in the end, which updates it holds: no history is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from dynamo_py.client.resolve import Resolver
from dynamo_py.errors import DynamoError
from dynamo_py.testing.history import Outcome
from dynamo_py.testing.workloads.workload import (
    TIMEOUT_S,
    Client,
    FinalReader,
    Statistics,
    Tally,
    outcome_of,
)

UPDATE_OPERATIONS = 2
"""A get and a put at least; further rounds, where siblings have come up, are not counted."""


class Merging:
    """The part that workloads on mergeable values have in common."""

    def __init__(self, name: str, resolve: Resolver) -> None:
        """``name`` is the bucket's too; ``resolve`` merges values, oldest first."""
        self.name = name
        self._resolve = resolve
        self._tally = Tally()
        self._damaged: list[str] = []

    async def get(self, client: Client, key: str) -> None:
        """Read, as users do between updates; what is read is judged in the end alone."""
        try:
            found = await client.store.bucket(self.name, codec="json").get(key, timeout=TIMEOUT_S)
        except DynamoError:
            self._tally.count(Outcome.NOT_APPLIED)
        else:
            self._tally.count(Outcome.ACKNOWLEDGED, degraded=found.degraded)

    async def update(
        self,
        client: Client,
        key: str,
        change: Callable[[Any], Any],
        *,
        settle: Callable[[Outcome], None],
    ) -> None:
        """Put ``change(value or None)``; ``settle`` is told the outcome, even if cancelled."""
        bucket = client.store.bucket(self.name, codec="json")
        outcome, degraded = Outcome.UNKNOWN, True
        try:
            done = await bucket.update(key, change, self._resolve, timeout=TIMEOUT_S)
            outcome, degraded = Outcome.ACKNOWLEDGED, done.degraded
        except DynamoError as error:
            outcome = outcome_of(error)
        finally:
            # One that was not applied may have come no further than its get.
            operations = 1 if outcome is Outcome.NOT_APPLIED else UPDATE_OPERATIONS
            self._tally.count(outcome, operations=operations, degraded=degraded)
            settle(outcome)

    async def final_values(self, read: FinalReader, keys: Iterable[str]) -> dict[str, Any]:
        """What each key holds in the end, its siblings merged; a key that is missing is not in it.

        A value that is no JSON is noted for `damages`.
        """
        final: dict[str, Any] = {}
        for key in keys:
            found = await read(self.name, key)
            try:
                values = [json.loads(value) for value in found.values]
            except ValueError:
                self._damaged.append(f"{key}: a value is no JSON: {found.values!r}")
                continue
            if values:
                final[key] = self._resolve(values)
        return final

    def judged(self, lines: Iterable[str]) -> list[str]:
        """These violations and all damages, with the name of the workload, sorted."""
        return sorted(f"{self.name}: {line}" for line in (*self._damaged, *lines))

    def statistics(self) -> Statistics:
        """What has been done up to now."""
        return self._tally.statistics()
