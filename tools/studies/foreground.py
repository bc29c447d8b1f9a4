"""Foreground load: what clients of a running application ask, half gets and half puts.

A put replaces what an earlier get has seen, with its context, as an application does. Knows
nothing of when requests are made, or of how long they take (`bench.load` does).
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from dynamo_py.client.bucket import Bucket
from dynamo_py.client.results import Fetched
from studies.stored_keys import key_of

SEEN_MAX = 1000
"""Gets that a put may follow; of more, the oldest are forgotten."""


@dataclass(slots=True)
class Foreground:
    """Requests for random keys among ``keys`` that are all there."""

    bucket: Bucket
    keys: int
    value_bytes: int
    random: random.Random
    missing: list[str] = field(default_factory=list)
    """Keys that a get did not find."""
    _seen: deque[tuple[str, Fetched]] = field(default_factory=lambda: deque(maxlen=SEEN_MAX))

    async def ask(self, number: int) -> None:
        """The request of that number: even ones are gets; odd ones puts, if anything was seen."""
        if number % 2 and self._seen:
            key, found = self._seen.popleft()
            value = self.random.randbytes(self.value_bytes)
            await self.bucket.put(key, value, context=found)
            return
        key = key_of(self.random.randrange(self.keys))
        found = await self.bucket.get(key)
        if not found.exists:
            self.missing.append(key)
        self._seen.append((key, found))
