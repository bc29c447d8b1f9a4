"""A simulated network of two hosts, for the tests of its parts."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager

import pytest
import trio

from dynamo_py.testing.network import Network
from dynamo_py.testing.pipes import Latency


class Notes:
    """A trace that can be read."""

    def __init__(self) -> None:
        self.noted: list[tuple] = []

    def note(self, kind: str, *facts: str | int | float | bytes) -> None:
        self.noted.append((round(trio.current_time(), 6), kind, *facts))

    def of(self, kind: str) -> list[tuple]:
        return [note for note in self.noted if note[1] == kind]


class World:
    """A network with the hosts n1, which dials, and n2, which listens."""

    def __init__(self, seed: int, latency: Latency | None) -> None:
        self.notes = Notes()
        self.network = Network(random.Random(seed), self.notes, latency=latency)
        self.n1 = self.network.transport("n1")
        self.n2 = self.network.transport("n2")

    async def listen(self):
        self.listening = await self.n2.listen("n2:7701")

    async def connected(self):
        """The ends of a new connection, of n1 and of n2."""
        ours = await self.n1.connect("n2:7701")
        return ours, await self.listening.accept()

    @staticmethod
    async def waits_for_ever(call, *arguments) -> bool:
        with trio.move_on_after(1000) as scope:
            await call(*arguments)
        return scope.cancelled_caught

    @staticmethod
    async def receive_exactly(connection, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = await connection.receive_some(size - len(data))
            assert piece, "ended early"
            data += piece
        return data

    async def wait_for_ever(self, call, *arguments) -> None:
        assert await self.waits_for_ever(call, *arguments)


@asynccontextmanager
async def running_world(*, seed: int = 1, latency: Latency | None = None):
    world = World(seed, latency)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.network.run)
        await world.listen()
        yield world
        world.network._check()
        nursery.cancel_scope.cancel()


@pytest.fixture
def running():
    """``async with running(seed=1, latency=None) as world``, under a mocked clock."""
    return running_world
