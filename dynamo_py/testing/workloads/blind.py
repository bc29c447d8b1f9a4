"""Blind puts: without a context, so that siblings pile up until somebody merges them."""

from __future__ import annotations

from dynamo_py.testing.workloads.keys import numbered, uniform
from dynamo_py.testing.workloads.recording import Recording
from dynamo_py.testing.workloads.workload import Client

SIBLINGS_TOLERATED = 10
"""Whoever sees more of them puts one value in place of all."""
PUTS_SHARE = 0.6


class Blind(Recording):
    """Puts that have seen nothing, and gets."""

    def __init__(self, name: str = "blind", *, keys_count: int = 2) -> None:
        super().__init__(name, numbered("blind", keys_count))
        self._choose = uniform(self.keys)

    async def step(self, client: Client) -> None:
        """One put or get; and a merge, where there are too many siblings."""
        key = self._choose(client.random)
        if client.random.random() < PUTS_SHARE:
            stored = await self.put(client, key, context=None)
            if stored is None or stored.siblings_count <= SIBLINGS_TOLERATED:
                return
        # Also where every put is refused, because there are too many, a get finds the way out.
        found = await self.get(client, key)
        if found is not None and found.siblings_count > SIBLINGS_TOLERATED:
            await self.put(client, key, context=found)
