"""Tasks that read, modify and put without end, and a judgement of all that they were told.

Each task has keys that no other task writes, and some keys are shared. Every value is put once,
so that the checkers of the simulator can say whether anything acknowledged was missed by a read
that was not degraded, or is lost in the end. Knows nothing of what is done to the nodes.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from bench.load import closed_loop
from dynamo_py.client.bucket import Store
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import background
from dynamo_py.testing.checkers import WITHIN_BOUNDS
from dynamo_py.testing.workloads.recording import Recording, writes_shown
from dynamo_py.testing.workloads.workload import Client
from studies.bars import StudyFailed

SHARED_PROBABILITY = 0.2
"""How often a task turns to a key that others write as well."""
FINAL_S = 20.0
FINAL_IN_FLIGHT = 16


@dataclass(frozen=True, slots=True)
class Rewriters:
    """How many tasks there are, and what each does."""

    tasks: int = 64
    own_keys: int = 32
    """Few writes on many keys: what the checkers take grows with the square of them."""
    shared_keys: int = 128
    think_s: float = 0.5
    """How long a task waits between two of its steps, on the average."""


class Rewriting(Recording):
    """Reads, each followed by a put in the place of what it has found."""

    def __init__(self, size: Rewriters, name: str = "rewriting") -> None:
        self.size = size
        self._shared = [f"shared-{number}" for number in range(size.shared_keys)]
        self._own = [
            [f"own-{task}-{number}" for number in range(size.own_keys)]
            for task in range(size.tasks)
        ]
        super().__init__(name, (*self._shared, *(key for keys in self._own for key in keys)))
        self._is_over = trio.Event()
        self._ended = trio.Event()
        self._working = 0

    @asynccontextmanager
    async def under_way(self, store: Store) -> AsyncIterator[None]:
        """Go on while the body runs, and end with what was begun."""
        async with background() as nursery:
            for task in range(self.size.tasks):
                nursery.start_soon(self._work, task, store)
            yield
            self._is_over.set()
            await self._ended.wait()

    async def _work(self, task: int, store: Store) -> None:
        self._working += 1
        client = Client(f"task-{task}", store, random.Random(task), trio.current_time)
        while not self._is_over.is_set():
            await self.step(client, self._own[task])
            with trio.move_on_after(client.random.uniform(0, 2 * self.size.think_s)):
                await self._is_over.wait()
        self._working -= 1
        if not self._working:
            self._ended.set()

    async def step(self, client: Client, own: Sequence[str]) -> None:
        """One read and one put."""
        is_shared = client.random.random() < SHARED_PROBABILITY
        key = client.random.choice(self._shared if is_shared else own)
        found = await self.get(client, key)
        if found is not None:
            await self.put(client, key, context=found)

    @property
    def failed(self) -> int:
        """Operations that were not acknowledged."""
        done = self.statistics()
        return done.unknown + done.not_applied

    async def judge(self, store: Store) -> list[str]:
        """Read all keys from all replicas; what was lost or missed, a line each.

        Raises `StudyFailed` where a key cannot be read.
        """
        bucket = store.bucket(self.name)

        async def read(number: int) -> None:
            found = await bucket.get(self.keys[number], r="all", timeout=FINAL_S)
            self.history.final[self.keys[number]] = writes_shown(found)

        try:
            await closed_loop("read", read, operations=len(self.keys), in_flight=FINAL_IN_FLIGHT)
        except DynamoError as error:
            raise StudyFailed(f"a key cannot be read in the end: {error.message}") from None
        return self.violations(WITHIN_BOUNDS, is_lossless=True)
