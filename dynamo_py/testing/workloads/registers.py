"""Registers: read, overwritten, deleted and made again, with contexts fresh and stale.

A client remembers the last few contexts that it got for a key. An old one is as lawful as a
new one: it supersedes less, and what it does not cover becomes a sibling.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from dynamo_py.testing.workloads.keys import KeyChooser, numbered, zipf
from dynamo_py.testing.workloads.recording import Recording, Seen
from dynamo_py.testing.workloads.workload import Client

REMEMBERED_MAX = 3
"""Contexts that a client keeps for a key: the last one, and older ones."""


class Registers(Recording):
    """Puts of unique values under a few keys, some of which are hot."""

    def __init__(
        self,
        name: str = "registers",
        *,
        keys_count: int = 8,
        chooser: Callable[[tuple[str, ...]], KeyChooser] = zipf,
    ) -> None:
        super().__init__(name, numbered("register", keys_count))
        self._choose = chooser(self.keys)
        self._remembered: dict[tuple[str, str], deque[Seen]] = {}
        self._actions: dict[Callable[[Client, str], Awaitable[None]], int] = {
            self._look: 40,
            self._overwrite: 28,
            self._put_remembered: 10,
            self._delete_remembered: 4,
            self._delete_or_create: 18,
        }

    async def step(self, client: Client) -> None:
        """One action on one key."""
        key = self._choose(client.random)
        actions, weights = list(self._actions), list(self._actions.values())
        await client.random.choices(actions, weights)[0](client, key)

    async def _look(self, client: Client, key: str) -> None:
        self._remember(client, key, await self.get(client, key))

    async def _overwrite(self, client: Client, key: str) -> None:
        """Read, then put in place of all that was read."""
        found = await self.get(client, key)
        if found is not None:
            self._remember(client, key, await self.put(client, key, context=found))

    async def _put_remembered(self, client: Client, key: str) -> None:
        context = self._recall(client, key)
        self._remember(client, key, await self.put(client, key, context=context))

    async def _delete_remembered(self, client: Client, key: str) -> None:
        context = self._recall(client, key)
        if context is not None:
            self._remember(client, key, await self.delete(client, key, context=context))

    async def _delete_or_create(self, client: Client, key: str) -> None:
        """Delete what is there; where nothing is, put: with the context of the nothing, or not."""
        found = await self.get(client, key)
        if found is None:
            return
        if found.is_empty:
            context = found if client.random.random() < 0.5 else None
            done = await self.put(client, key, context=context)
        else:
            done = await self.delete(client, key, context=found)
        self._remember(client, key, done)

    def _remember(self, client: Client, key: str, seen: Seen | None) -> None:
        if seen is not None:
            place = (client.name, key)
            self._remembered.setdefault(place, deque(maxlen=REMEMBERED_MAX)).append(seen)

    def _recall(self, client: Client, key: str) -> Seen | None:
        """Any of the contexts that the client remembers; None if it has none yet."""
        remembered = self._remembered.get((client.name, key))
        return None if remembered is None else client.random.choice(remembered)
