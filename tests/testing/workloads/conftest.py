"""A store on one real node without a disk to wait for, its clients, and ways to spoil it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import trio

import dynamo_py
from dynamo_py.client.bucket import Store
from dynamo_py.embedded import EmbeddedRequests
from dynamo_py.testing.workloads import Client, Workload
from dynamo_py.wire import messages as wire
from dynamo_py.wire.buckets import BucketProperties


class Spoiled:
    """Requests to the node, but for what ``spoil`` answers in its place: None asks the node."""

    def __init__(self, honest: EmbeddedRequests) -> None:
        self._honest = honest
        self.spoil: Callable[[wire.Message], wire.Message | None] = lambda message: None
        self.after: Callable[[wire.Message, wire.Message], list[wire.Message]] = (
            lambda message, reply: []
        )
        """Requests of its own that follow one which has been answered."""
        self.before_reply: Callable[[wire.Message], None] = lambda message: None
        """Called when all is done, and the client is yet to be told."""

    @property
    def partitions(self) -> int:
        return self._honest.partitions

    @property
    def ring_digest(self) -> int:
        return self._honest.ring_digest

    def properties_of(self, bucket: str) -> BucketProperties:
        return self._honest.properties_of(bucket)

    def write_id(self) -> bytes:
        return self._honest.write_id()

    async def ask(self, message: wire.Message, *, timeout_s: float) -> wire.Message:
        spoiled = self.spoil(message)
        if spoiled is not None:
            await trio.lowlevel.checkpoint()
            return spoiled
        reply = await self._honest.ask(message, timeout_s=timeout_s)
        for further in self.after(message, reply):
            await self._honest.ask(further, timeout_s=timeout_s)
        self.before_reply(message)
        await trio.lowlevel.checkpoint()
        return reply


class World:
    """Clients of one store; what is read in the end is read past `spoiled`."""

    def __init__(self, node: dynamo_py.EmbeddedNode) -> None:
        self.spoiled = Spoiled(EmbeddedRequests(node.node))
        self.store = Store(self.spoiled)
        self._honest = node.store

    def client(self, name: str) -> Client:
        return Client(name, self.store, random.Random(name), trio.current_time)

    def clients(self, count: int = 4) -> list[Client]:
        return [self.client(f"c{number}") for number in range(count)]

    async def read(self, bucket: str, key: str) -> dynamo_py.Fetched:
        return await self._honest.bucket(bucket).get(key, r="all")

    async def run_in_turns(self, workload: Workload, *, rounds: int) -> None:
        """One step at a time, so that each run is the same; then read what is there."""
        clients = self.clients()
        for _ in range(rounds):
            for client in clients:
                await workload.step(client)
        await workload.read_final(self.read)

    async def run_at_once(self, workload: Workload, *, rounds: int) -> None:
        """The clients' steps overlap; then read what is there."""

        async def take_steps(client: Client) -> None:
            for _ in range(rounds):
                await workload.step(client)

        async with trio.open_nursery() as nursery:
            for client in self.clients():
                nursery.start_soon(take_steps, client)
        await workload.read_final(self.read)


@pytest.fixture
async def world(tmp_path):
    async with dynamo_py.open_node(
        data_dir=tmp_path / "data", partitions=4, durability="none"
    ) as node:
        yield World(node)
