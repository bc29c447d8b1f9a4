"""A network in memory: connections whose sends are seen, held up, and cut by a test."""

from __future__ import annotations

import random
from collections import deque
from contextlib import asynccontextmanager

import pytest
import trio

from dynamo_py.environment import Connection, Environment, Listening
from dynamo_py.errors import DynamoError, NodeUnavailable, WrongState
from dynamo_py.net.link import Link, Timestamps, Untimed
from dynamo_py.wire.frames import FRAME_BYTES_MAX, Frame, FrameDecoder
from dynamo_py.wire.handshake import Identity
from dynamo_py.wire.messages import GetTable, Message


class Pipe:
    """Bytes on their way from one side to the other."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.is_cut = False
        self.changed = trio.Event()

    def notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()


class MemoryConnection:
    """One end of a connection in memory."""

    def __init__(self, incoming: Pipe, outgoing: Pipe, remote: str) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self.remote = remote
        self.sends: list[bytes] = []
        """What each call of `send_all` was given."""
        self.is_closed = False
        self._may_send = trio.Event()
        self._may_send.set()

    def hold(self) -> None:
        """Let sends wait, as a full socket buffer does, until `release`."""
        self._may_send = trio.Event()

    def release(self) -> None:
        self._may_send.set()

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        while not (self._may_send.is_set() or self._outgoing.is_cut):
            with trio.move_on_after(0.01):
                await self._may_send.wait()
        if self._outgoing.is_cut:
            raise NodeUnavailable(f"the connection to {self.remote} was lost")
        self.sends.append(bytes(data))
        self._outgoing.data += data
        self._outgoing.notify()

    async def receive_some(self, max_bytes: int) -> bytes:
        await trio.lowlevel.checkpoint()
        while not self._incoming.data:
            if self.is_closed:
                raise NodeUnavailable(f"the connection to {self.remote} was lost")
            if self._incoming.is_cut:
                return b""
            await self._incoming.changed.wait()
        data = bytes(self._incoming.data[:max_bytes])
        del self._incoming.data[:max_bytes]
        return data

    async def aclose(self) -> None:
        self.cut()
        await trio.lowlevel.checkpoint()

    def cut(self) -> None:
        """Lose the connection, for both sides."""
        self.is_closed = True
        for pipe in (self._incoming, self._outgoing):
            pipe.is_cut = True
            pipe.notify()


def connection_pair() -> tuple[MemoryConnection, MemoryConnection]:
    """Two ends of one connection."""
    there, back = Pipe(), Pipe()
    return (
        MemoryConnection(back, there, "server:1"),
        MemoryConnection(there, back, "client:1"),
    )


class MemoryListening:
    """A listening address of a `MemoryNetwork`."""

    def __init__(self, network: MemoryNetwork, address: str) -> None:
        self._network = network
        self.address = address
        self.accepted: list[MemoryConnection] = []
        self._waiting: deque[MemoryConnection] = deque()
        self._arrived = trio.Event()

    def arrive(self, connection: MemoryConnection) -> None:
        self._waiting.append(connection)
        self._arrived.set()

    async def accept(self) -> Connection:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._arrived = trio.Event()
            await self._arrived.wait()
        self.accepted.append(self._waiting.popleft())
        return self.accepted[-1]

    async def aclose(self) -> None:
        self._network.listening.pop(self.address, None)
        await trio.lowlevel.checkpoint()


class MemoryNetwork:
    """A transport within this process."""

    def __init__(self) -> None:
        self.listening: dict[str, MemoryListening] = {}
        self.dialled: list[tuple[float, str]] = []
        """When each address was dialled, in the clock's seconds."""
        self.connections: list[MemoryConnection] = []

    async def connect(self, address: str) -> Connection:
        await trio.lowlevel.checkpoint()
        self.dialled.append((trio.current_time(), address))
        listening = self.listening.get(address)
        if listening is None:
            raise NodeUnavailable("connection refused")
        ours, theirs = connection_pair()
        ours.remote = address
        self.connections.append(ours)
        listening.arrive(theirs)
        return ours

    async def listen(self, address: str) -> Listening:
        await trio.lowlevel.checkpoint()
        if address in self.listening:
            raise WrongState(f"cannot listen on {address}: address already in use")
        self.listening[address] = MemoryListening(self, address)
        return self.listening[address]


class TrioClock:
    """trio's clock, a mocked one too."""

    def monotonic(self) -> float:
        return trio.current_time()

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(trio.current_time() * 1000)


async def inline(work):
    return work()


class Side:
    """One side of a link: the link, its connection, and what has come in."""

    def __init__(self, connection, timestamps) -> None:
        self.connection = connection
        self.asked: list[Frame] = []
        self.arrived = trio.Event()
        self.link = Link(
            connection,
            FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX),
            monotonic=trio.current_time,
            timestamps=timestamps,
            handle=self._handle,
        )

    def _handle(self, link: Link, frame: Frame) -> None:
        assert link is self.link
        self.asked.append(frame)
        self.arrived.set()

    def ask(self, answers: Answers, name: object, message: Message | None = None, wait_s=10.0):
        """Send a request; its answer is known by ``name``."""
        self.link.request(message or GetTable(), wait_s=wait_s, on_reply=answers.of(name))

    async def wait_asked(self, count: int) -> None:
        while len(self.asked) < count:
            self.arrived = trio.Event()
            await self.arrived.wait()


class Answers:
    """What callbacks were given, by the name of the request."""

    def __init__(self) -> None:
        self.given: dict[object, Message | DynamoError] = {}
        self._changed = trio.Event()

    def of(self, name: object):
        """A callback, which must be called once at most."""

        def on_reply(reply: Message | DynamoError) -> None:
            assert name not in self.given, "a callback was called twice"
            self.given[name] = reply
            self._changed.set()

        return on_reply

    async def wait(self, count: int) -> None:
        while len(self.given) < count:
            self._changed = trio.Event()
            await self._changed.wait()


@asynccontextmanager
async def two_sides(*, timestamps: Timestamps | None = None):
    """Two sides of one link, both running while the body runs, checked at its end."""
    timed = timestamps or Untimed()
    ours, theirs = (Side(connection, timed) for connection in connection_pair())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.link.run)
        nursery.start_soon(theirs.link.run)
        yield ours, theirs
        nursery.cancel_scope.cancel()
    for side in (ours, theirs):
        side.link._check()
        assert side.connection.is_closed
        assert side.link.statistics()["pending"] == 0


@pytest.fixture
def network() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def environment(network) -> Environment:
    return Environment(TrioClock(), random.Random(1), network, inline)


@pytest.fixture
def new_pair():
    """Makes connections: ``ours, theirs = new_pair()``."""
    return connection_pair


@pytest.fixture
def linked():
    """``async with linked() as (ours, theirs)``."""
    return two_sides


@pytest.fixture
def new_answers() -> type[Answers]:
    return Answers


@pytest.fixture
def identity() -> Identity:
    return Identity(b"n" * 16, "n1", "dynamo", b"c" * 16)
