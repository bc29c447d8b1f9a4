"""Simulated hosts, and the connections between them as their kernels give them.

A host boots, and its boot owns the sockets that are opened through it. When the boot is cut
off they are silent for ever: sends vanish, receives and connects wait until cancelled, and
nothing raises, so that what a crashed node still does in a ``finally`` touches nobody.

What the kernel does needs none of the process's tasks: connections are established (as
`dynamo_py.testing.transports` says), and bytes are taken in up to the window. Window updates
take no time. As in Linux, a side that closes with unread bytes resets, and bytes that came
before a reset are still read.

Knows nothing of faults: `dynamo_py.testing.pipes` holds up, `dynamo_py.testing.network` cuts.

Invariant: bytes under way and unread of one direction are at most `WINDOW_BYTES`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol
from zlib import crc32

import trio

from dynamo_py.errors import NodeUnavailable
from dynamo_py.net.signal import Signal
from dynamo_py.testing.pipes import Control, Pipe, Route
from dynamo_py.testing.timetable import Timetable

WINDOW_BYTES = 1024 * 1024
EPHEMERAL_FIRST, EPHEMERAL_LAST = 32_768, 60_999


class Trace(Protocol):
    """The record of all that happens, in which two runs of one seed agree."""

    def note(self, kind: str, *facts: str | int | float | bytes) -> None:
        """This happened now."""
        ...


@dataclass(slots=True)
class Counters:
    """What has happened so far."""

    segments: int = 0
    bytes_delivered: int = 0
    connected: int = 0
    refused: int = 0
    lost: int = 0
    """Ends of connections that were lost: by a reset, or by giving up."""
    after_crash: int = 0
    """Calls on a boot that had been cut off."""


class Wires(Protocol):
    """The network as sockets see it."""

    timetable: Timetable
    trace: Trace
    counters: Counters

    def host(self, name: str) -> Host:
        """The host of this name, which may never have booted."""
        ...

    def route(self, source: str, target: str) -> Route:
        """The way from one host to another."""
        ...


class Accepting(Protocol):
    """A bound listener as the network sees it."""

    @property
    def is_full(self) -> bool:
        """Whether its backlog takes no more."""
        ...

    def take(self, connection: SimulatedConnection) -> bool:
        """Let ``connection`` wait to be accepted; False where it cannot be."""
        ...


@dataclass(slots=True, eq=False)
class Host:
    """A machine with its kernel."""

    name: str
    boot: Boot | None = None
    """The last one; None where there was none yet."""
    is_up: bool = False
    """Whether its kernel answers: a boot lives, or ended while the machine went on."""
    last_port: int = EPHEMERAL_LAST

    def new_address(self) -> str:
        """An address with a free port."""
        taken = self.boot.listenings if self.boot is not None else {}
        while True:
            self.last_port += 1
            if self.last_port > EPHEMERAL_LAST:
                self.last_port = EPHEMERAL_FIRST
            address = f"{self.name}:{self.last_port}"
            if address not in taken:
                return address


@dataclass(slots=True, eq=False)
class Boot:
    """One life of a host's process, and what it has open."""

    host: Host
    is_alive: bool = True
    connections: dict[SimulatedConnection, None] = field(default_factory=dict)
    listenings: dict[str, Accepting] = field(default_factory=dict)


async def silence(wires: Wires) -> None:
    """For a boot that is cut off: wait until cancelled."""
    wires.counters.after_crash += 1
    await trio.sleep_forever()


class SimulatedConnection:
    """One end of a connection."""

    def __init__(self, wires: Wires, boot: Boot, route: Route, *, local: str, remote: str) -> None:
        self._wires = wires
        self._boot = boot
        self._local = local
        self._remote = remote
        self._peer = self  # Until `join`.
        self._accepting: Accepting | None = None
        self.pipe = Pipe(route, wires.timetable, deliver=self._deliver, give_up=self.lose)
        self._inbox = bytearray()
        self._unread_bytes = 0
        self._is_open = True
        self._is_closed = False
        self._has_ended = False
        self._arrived = Signal()
        self._has_room = Signal()

    def join(self, peer: SimulatedConnection, accepting: Accepting) -> None:
        """Be the client's end, whose other end is ``peer``; it is told to ``accepting``."""
        self._peer, peer._peer = peer, self
        peer._accepting = accepting
        self._boot.connections[self] = None
        self.pipe.put(Control.ESTABLISHED)

    @property
    def remote(self) -> str:
        """The other side's ``host:port``."""
        return self._remote

    @property
    def peer_host(self) -> str:
        """The name of the other side's host."""
        return self._peer._boot.host.name

    # --- for the process -----------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data`` as one segment; waits, and cuts it up, only where the window is full."""
        size = len(data)
        if not (self._is_open and self._unread_bytes + size <= WINDOW_BYTES):
            await self._send_in_pieces(memoryview(data))
        elif size:
            self._unread_bytes += size
            self.pipe.put(bytes(data))

    async def _send_in_pieces(self, rest: memoryview) -> None:
        while rest:
            if not self._boot.is_alive:
                self._wires.counters.after_crash += 1
                await trio.lowlevel.checkpoint()
                return
            if not self._is_open:
                raise self._loss()
            room = WINDOW_BYTES - self._unread_bytes
            if room:
                piece, rest = bytes(rest[:room]), rest[room:]
                self._unread_bytes += len(piece)
                self.pipe.put(piece)
            else:
                await self._has_room.wait()

    def _probe(self) -> None:
        """Find out that nobody reads any more, as the probes of a full window do."""
        is_full = self._is_open and self._unread_bytes == WINDOW_BYTES
        if is_full and not (self._peer._is_open or self.pipe.under_way):
            self.pipe.put(b"")

    async def receive_some(self, max_bytes: int) -> bytes:
        """Some bytes, or ``b""`` at the end. Always a checkpoint."""
        if self._inbox or self._has_ended or not self._is_open:
            await trio.lowlevel.checkpoint()
        while not (self._inbox or self._has_ended) and self._is_open:
            await self._arrived.wait()
        if not self._boot.is_alive:
            await silence(self._wires)
        if self._is_closed or not (self._inbox or self._has_ended):
            raise self._loss()
        inbox = self._inbox
        if len(inbox) <= max_bytes:
            data = bytes(inbox)
            inbox.clear()
        else:
            data = bytes(inbox[:max_bytes])
            del inbox[:max_bytes]
        self._peer._was_read(len(data))
        return data

    async def aclose(self) -> None:
        """Close at once; what was sent still arrives, and the end after it."""
        if not self._boot.is_alive:
            self._wires.counters.after_crash += 1
        elif not self._is_closed:
            self._is_closed = True
            if self._is_open:
                self.pipe.put(Control.RESET if self._inbox else Control.END)
            self._shut()

    # --- the kernel ------------------------------------------------------------------------------

    def reset(self) -> None:
        """End it from this side, which is as a lost one then; the other learns by and by."""
        self.lose()
        self._refuse()

    def lose(self) -> None:
        """It is no more, on this side. What has come in can still be read."""
        self.pipe.keep(0)
        if self._is_open:
            self._wires.counters.lost += 1
            self._wires.trace.note("connection lost", self._local, self._remote)
            self._shut()

    def cut_off(self, *, survivors: int, silently: bool) -> None:
        """The boot is dead: only so many segments have left, and perhaps a reset after them."""
        self._is_open = False
        self.pipe.keep(survivors)
        if silently:
            self._peer._probe()
        else:
            self._refuse()

    def _shut(self) -> None:
        self._is_open = False
        if self._is_closed:
            self._inbox.clear()
        self._boot.connections.pop(self, None)
        self._arrived.set()
        self._has_room.set()

    def _deliver(self, what: bytes | Control) -> None:
        """A segment of ours has arrived at the other side."""
        self._peer._take_in(what)

    def _take_in(self, what: bytes | Control) -> None:
        trace = self._wires.trace
        if isinstance(what, Control):
            trace.note(what.value, self._remote, self._local)
            self._take_in_control(what)
            return
        size = len(what)
        counters = self._wires.counters
        counters.segments += 1
        counters.bytes_delivered += size
        trace.note("segment", self._remote, self._local, crc32(what), size)
        if self._is_open:
            self._inbox += what
            self._arrived.set()
        else:
            self._refuse()

    def _take_in_control(self, what: Control) -> None:
        if what is Control.RESET:
            self.lose()
        elif what is Control.END:
            self._has_ended = True
            self._arrived.set()
        else:
            self._establish()

    def _establish(self) -> None:
        """The client's side is known to exist: the connection may be accepted."""
        assert self._accepting is not None
        if not self._boot.is_alive:
            self._is_open = False
            self._refuse()
        elif self._accepting.take(self):
            self._boot.connections[self] = None
        else:
            self.reset()

    def _refuse(self) -> None:
        """Tell the other side that there is no connection any more."""
        under_way = self.pipe.under_way
        if not (under_way and under_way[-1].what is Control.RESET):
            self.pipe.put(Control.RESET)

    def _was_read(self, size: int) -> None:
        if self._unread_bytes == WINDOW_BYTES:
            self._has_room.set()
        self._unread_bytes -= size

    def _loss(self) -> NodeUnavailable:
        return NodeUnavailable(f"the connection to {self._remote} was lost")

    def _check(self) -> None:
        self.pipe._check()
        assert not (self._is_open and self._is_closed)
        assert 0 <= self._unread_bytes <= WINDOW_BYTES
        if self._is_open and self._peer._is_open:
            pieces = [s.what for s in self.pipe.under_way if isinstance(s.what, bytes)]
            assert self._unread_bytes == sum(map(len, pieces)) + len(self._peer._inbox)
