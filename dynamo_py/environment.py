"""The world as it is passed in: clock, random generator, network, threads.

Every part that touches the world takes it as one of these Protocols, so that the simulator
runs the production code on a clock, a network and a disk of its own. Knows no
implementation: those for real processes are in `dynamo_py.net.world`.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Two clocks: one for spans of time, one for people and hybrid timestamps."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 as this machine believes; may jump either way."""
        ...


class Connection(Protocol):
    """A reliable, ordered stream of bytes, such as a TCP connection."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; raises `NodeUnavailable` when the connection is lost."""
        ...

    async def receive_some(self, max_bytes: int) -> bytes:
        """Some bytes, at least one; ``b""`` at the end of the stream."""
        ...

    async def aclose(self) -> None:
        """Close at once, without waiting for the other side."""
        ...

    @property
    def remote(self) -> str:
        """The other side's ``host:port``, for messages."""
        ...


class Listening(Protocol):
    """A listener that is bound already, and hands out connections."""

    @property
    def address(self) -> str:
        """The ``host:port`` in fact bound."""
        ...

    async def accept(self) -> Connection:
        """The next connection."""
        ...

    async def aclose(self) -> None:
        """Stop listening."""
        ...


class Transport(Protocol):
    """Opens and accepts connections."""

    async def connect(self, address: str) -> Connection:
        """A connection to ``host:port``; raises `NodeUnavailable`."""
        ...

    async def listen(self, address: str) -> Listening:
        """Listen on ``host:port``; raises `WrongState` when the port is in use."""
        ...


class Offload(Protocol):
    """Runs blocking work away from the event loop."""

    def __call__(self, work: Callable[[], T], /) -> Awaitable[T]:
        """The result of ``work()``, or its exception. Not cancelled half-way."""
        ...


@dataclass(frozen=True, slots=True)
class Environment:
    """What a node needs of the world.

    Each part draws from a generator of its own, seeded from ``random``, so that a change of
    one part's draws does not move another's.
    """

    clock: Clock
    random: random.Random
    transport: Transport
    offload: Offload
