"""A bucket that is played: records in memory, with contexts that tell what they cover."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from dynamo_py.client.results import Context, Fetched, Sibling, Stored
from dynamo_py.errors import DynamoError


class PlayedBucket:
    """Keeps siblings as the store does: a put supersedes what its context has seen."""

    name = "bench-100"

    def __init__(self) -> None:
        self.siblings: dict[bytes, dict[int, bytes]] = {}
        """Key to the writes that nothing has superseded, by their number."""
        self.writes = 0
        self.errors: list[DynamoError | None] = []
        """What the next puts raise, one each."""
        self.asked: list[str] = []

    async def get(self, key: bytes, **named: Any) -> Fetched:
        await trio.lowlevel.checkpoint()
        self.asked.append("get")
        values = self.siblings.get(key, {})
        siblings = tuple(Sibling(value, 0.0, str(write)) for write, value in values.items())
        return Fetched(key, siblings, Context(self._covering(values)), False, ("n1", "n2"), 2)

    async def put(self, key: bytes, value: bytes, *, context: Any = None, **named: Any) -> Stored:
        data = context.context.data if isinstance(context, Fetched) else context or b""
        covered = {int(number) for number in data.split()}
        await trio.sleep(0.01)
        self.asked.append("put")
        error = self.errors.pop(0) if self.errors else None
        if error is not None and error.outcome == "not_applied":
            raise error
        self.writes += 1
        left = {n: v for n, v in self.siblings.get(key, {}).items() if n not in covered}
        self.siblings[key] = {**left, self.writes: value}
        if error is not None:  # It has happened, and nobody is told.
            raise error
        context_after = Context(self._covering({*covered, self.writes}))
        return Stored(context_after, ("n1", "n2"), (), False, len(left) + 1, 2)

    async def overwrite(self, key: bytes, value: bytes, **named: Any) -> Stored:
        found = await self.get(key)
        return await self.put(key, value, context=found)

    async def get_many(self, keys: list[bytes], **named: Any) -> dict[bytes, Any]:
        return {key: await self.get(key) for key in keys}

    def scan(self, *, cursor: str | None = None, **named: Any) -> PlayedScan:
        self.asked.append(f"scan {cursor}")
        return PlayedScan(sorted(self.siblings), 0 if cursor is None else int(cursor))

    def _covering(self, numbers: Any) -> bytes:
        return b" ".join(b"%d" % number for number in sorted(numbers))


class PlayedScan:
    """Keys in order, with a cursor that is the place of the next one."""

    def __init__(self, keys: list[bytes], place: int) -> None:
        self._keys = keys
        self._place = place

    @property
    def cursor(self) -> str | None:
        return str(self._place) if self._place < len(self._keys) else None

    def __aiter__(self) -> PlayedScan:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._place == len(self._keys):
            raise StopAsyncIteration
        self._place += 1
        return self._keys[self._place - 1]


@pytest.fixture
def bucket() -> PlayedBucket:
    """An empty one."""
    return PlayedBucket()


@pytest.fixture
def unused_address() -> Iterator[str]:
    """Where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
