"""Keys that are deleted and made again, over and over, by one owner each; others watch.

With one writer a key, what may be read is known at each moment: after a delete the old value
must never come back, and what is put after the delete must never be taken for deleted.

The owner of a key goes round: put, look, delete, look. It puts without a context or with that
of the get that found nothing, in turns drawn at random; both are lawful ways to make a key
again. Some of the deleted keys may be left alone for a while first, so that the store forgets
them: no delete may come undone by that, and what is put after may not be taken for older.
A client becomes an owner with its first step, as long as there are keys without one.
"""

from __future__ import annotations

from dynamo_py.testing.workloads.keys import numbered, uniform
from dynamo_py.testing.workloads.recording import Recording, Seen
from dynamo_py.testing.workloads.workload import Client

OWNERS_WATCH_SHARE = 0.25
"""How often an owner looks at any key, rather than going on with its own."""
LEFT_ALONE_SHARE = 0.5
"""How many of the deleted keys are left alone, where any are."""


class Recreate(Recording):
    """Cycles of delete and re-creation."""

    def __init__(
        self, name: str = "recreate", *, keys_count: int = 3, left_alone_s_max: float = 0.0
    ) -> None:
        """``left_alone_s_max``: how long, in virtual seconds, a key may be left deleted."""
        super().__init__(name, numbered("recreate", keys_count))
        self._choose = uniform(self.keys)
        self._left_alone_s_max = left_alone_s_max
        self._owned: dict[str, str] = {}
        self._found: dict[str, Seen] = {}
        """By key, what its owner has seen by a look that no write of its has followed yet."""
        self._left_alone_until_s: dict[str, float] = {}
        """By key, after a delete."""

    async def step(self, client: Client) -> None:
        """The owner's next action on its key; a get of any key for all others."""
        key = self._own_key(client)
        if key is None or self._only_watches(client, key):
            await self.get(client, self._choose(client.random))
            return
        found = self._found.pop(key, None)
        if found is None:
            seen = await self.get(client, key)
            if seen is not None:
                self._found[key] = seen
        elif found.is_empty:
            context = found if client.random.random() < 0.5 else None
            await self.put(client, key, context=context)
        else:
            await self.delete(client, key, context=found)
            self._leave_alone(client, key)

    def _only_watches(self, client: Client, key: str) -> bool:
        is_left_alone = client.now() < self._left_alone_until_s.get(key, 0.0)
        return is_left_alone or client.random.random() < OWNERS_WATCH_SHARE

    def _leave_alone(self, client: Client, key: str) -> None:
        # Nothing is drawn where no key is left alone: such runs stay as they were.
        if self._left_alone_s_max and client.random.random() < LEFT_ALONE_SHARE:
            for_s = client.random.uniform(0.0, self._left_alone_s_max)
            self._left_alone_until_s[key] = client.now() + for_s

    def _own_key(self, client: Client) -> str | None:
        if client.name not in self._owned and len(self._owned) < len(self.keys):
            self._owned[client.name] = self.keys[len(self._owned)]
        return self._owned.get(client.name)
