"""The real world for a node: trio's clock, TCP, threads, the operating system's randomness.

The one place where operating system errors of the network become `NodeUnavailable`. Knows
nothing of frames. The simulator has another world behind the same Protocols.
"""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import trio

from dynamo_py.environment import Connection, Environment, Listening
from dynamo_py.errors import InvalidRequest, NodeUnavailable, WrongState

T = TypeVar("T")

CONNECT_S = 3.0
"""How long opening a TCP connection may take: a lost SYN is repeated after 1 s."""
BACKLOG = 1024
OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def real_environment() -> Environment:
    """The environment of a process that runs for real; its generator is seeded by the OS."""
    seed = random.SystemRandom().getrandbits(128)
    return Environment(RealClock(), random.Random(seed), TcpTransport(), in_thread)


class RealClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.perf_counter)
    """Seconds since some moment. For spans alone; trio counts from another one."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000


async def in_thread(work: Callable[[], T]) -> T:
    """``work()`` in a thread of trio's. A cancellation waits for it to end."""
    return await trio.to_thread.run_sync(work, abandon_on_cancel=False)


class TcpConnection:
    """A TCP connection, its errors translated.

    On the socket itself, below trio's streams: those yield to the scheduler after each call
    and try to receive before they wait, which costs a request more than its own work does.
    Here `receive_some` always waits (and so yields), and `send_all` only where it must.
    """

    def __init__(self, stream: trio.SocketStream, remote: str) -> None:
        """Takes ``stream`` over; it must not be used any more."""
        self._socket = socket.socket(fileno=stream.socket.detach())
        self._socket.setblocking(False)
        self._remote = remote

    @property
    def remote(self) -> str:
        """The other side's ``host:port``."""
        return self._remote

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of ``data``; one call at a time."""
        try:
            sent = self._send_some(data)
            if sent == len(data):
                return
            rest = memoryview(data)[sent:]
            while rest:
                await trio.lowlevel.wait_writable(self._socket)
                rest = rest[self._send_some(rest) :]
        except (OSError, trio.ClosedResourceError) as error:
            raise self._lost() from error

    async def receive_some(self, max_bytes: int) -> bytes:
        """Some bytes, or ``b""`` at the end; one call at a time."""
        try:
            while True:
                await trio.lowlevel.wait_readable(self._socket)
                with suppress(BlockingIOError):
                    return self._socket.recv(max_bytes)
        except (OSError, ValueError, trio.ClosedResourceError) as error:
            # ValueError: closed on our side, and a number no more.
            raise self._lost() from error

    async def aclose(self) -> None:
        """Close at once."""
        if self._socket.fileno() != -1:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()

    def _send_some(self, data: bytes | bytearray | memoryview) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0

    def _lost(self) -> NodeUnavailable:
        return NodeUnavailable(f"the connection to {self._remote} was lost")


class TcpListening:
    """A bound TCP socket."""

    def __init__(self, listener: trio.SocketListener) -> None:
        self._listener = listener
        self._address = _text(listener.socket.getsockname())

    @property
    def address(self) -> str:
        """The address in fact bound."""
        return self._address

    async def accept(self) -> Connection:
        """The next connection. Where the process has run out of file descriptors, waits."""
        while True:
            try:
                stream = await self._listener.accept()
                return TcpConnection(stream, _text(stream.socket.getpeername()))
            except OSError as error:
                if error.errno not in (*OUT_OF_RESOURCES, errno.ENOTCONN, errno.ECONNABORTED):
                    raise
                is_exhausted = error.errno in OUT_OF_RESOURCES
            await trio.sleep(0.1 if is_exhausted else 0.0)

    async def aclose(self) -> None:
        """Stop listening."""
        await self._listener.aclose()


class TcpTransport:
    """Connections over TCP."""

    async def connect(self, address: str) -> Connection:
        """A connection to ``host:port``."""
        host, port = split_address(address)
        try:
            with trio.fail_after(CONNECT_S):
                stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise NodeUnavailable(_reason(error)) from error
        except UnicodeError as error:
            raise NodeUnavailable(f"{host!r} is no host's name") from error
        except trio.TooSlowError:
            raise NodeUnavailable(f"no answer within {CONNECT_S:g} s") from None
        return TcpConnection(stream, address)

    async def listen(self, address: str) -> Listening:
        """Listen on ``host:port`` (port 0: any free one)."""
        host, port = split_address(address)
        try:
            listeners = await trio.open_tcp_listeners(port, host=host, backlog=BACKLOG)
        except OSError as error:
            raise WrongState(f"cannot listen on {address}: {_reason(error)}") from error
        except UnicodeError as error:
            raise WrongState(f"cannot listen on {address}: this is no host's name") from error
        for extra in listeners[1:]:
            await extra.aclose()
        return TcpListening(listeners[0])


def split_address(address: str) -> tuple[str, int]:
    """``host:port`` (``[v6]:port`` too) as its parts; raises `InvalidRequest`."""
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise InvalidRequest(f"{address!r} is not an address: write HOST:PORT")
    return host, int(port)


def _text(sockname: tuple[object, ...]) -> str:
    host, port = str(sockname[0]), sockname[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _reason(error: OSError) -> str:
    """The operating system's reason in words; trio hides the errno in a cause at times."""
    cause: BaseException | None = error
    while isinstance(cause, OSError | ExceptionGroup):
        if isinstance(cause, socket.gaierror):
            return str(cause.strerror).lower()  # Its numbers are not the operating system's.
        if isinstance(cause, OSError) and cause.errno is not None:
            return os.strerror(cause.errno).lower()
        cause = cause.exceptions[0] if isinstance(cause, ExceptionGroup) else cause.__cause__
    return str(error).lower()
