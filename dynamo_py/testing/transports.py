"""Opening and accepting simulated connections: `Transport` and `Listening` of one boot.

A connect is a segment there and one back; either waits where the route is closed, and goes on
when it opens. A backlog fills without the accepting task; when it is full, a connect is tried
again each second, as a SYN is, until its 3 s are over.

Knows nothing of what travels over a connection. Errors are those of `dynamo_py.net.world`.

Invariant: a boot that is cut off neither gets nor is refused a connection.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from errno import EADDRINUSE, EADDRNOTAVAIL, ECONNREFUSED

import trio

from dynamo_py.environment import Connection, Listening
from dynamo_py.errors import NodeUnavailable, WrongState
from dynamo_py.net.signal import Latch, Signal
from dynamo_py.net.world import CONNECT_S, split_address
from dynamo_py.testing.pipes import Route
from dynamo_py.testing.sockets import Accepting, Boot, SimulatedConnection, Wires, silence

BACKLOG = 128
SYN_AGAIN_S = 1.0
"""A connect that meets a full backlog is tried again after so long."""


class SimulatedTransport:
    """Opens and accepts connections for one boot of a host."""

    def __init__(self, wires: Wires, boot: Boot) -> None:
        self._wires = wires
        self._boot = boot

    async def connect(self, address: str) -> Connection:
        """A connection to ``host:port``; raises `NodeUnavailable`."""
        if not self._boot.is_alive:
            await silence(self._wires)
        return await Attempt(self._wires, self._boot, address).wait()

    async def listen(self, address: str) -> Listening:
        """Listen on ``host:port`` (port 0: any free one); raises `WrongState`."""
        if not self._boot.is_alive:
            await silence(self._wires)
        name, port = split_address(address)
        own = self._boot.host
        await trio.lowlevel.checkpoint()
        bound = f"{name}:{port}" if port else own.new_address()
        if name != own.name:
            raise WrongState(f"cannot listen on {address}: {_text(EADDRNOTAVAIL)}")
        if bound in self._boot.listenings:
            raise WrongState(f"cannot listen on {address}: {_text(EADDRINUSE)}")
        listening = SimulatedListening(self._wires, self._boot, bound)
        self._boot.listenings[bound] = listening
        return listening


class SimulatedListening:
    """A bound listener."""

    def __init__(self, wires: Wires, boot: Boot, address: str) -> None:
        self._wires = wires
        self._boot = boot
        self._address = address
        self._backlog: deque[SimulatedConnection] = deque()
        self._arrived = Signal()
        self._is_closed = False

    @property
    def address(self) -> str:
        """The address in fact bound."""
        return self._address

    async def accept(self) -> Connection:
        """The next connection. Raises `trio.ClosedResourceError` once this is closed."""
        if self._backlog or self._is_closed:
            await trio.lowlevel.checkpoint()
        while self._boot.is_alive and not (self._backlog or self._is_closed):
            await self._arrived.wait()
        if not self._boot.is_alive:
            await silence(self._wires)
        if self._is_closed:
            raise trio.ClosedResourceError("this listener was closed")
        return self._backlog.popleft()

    async def aclose(self) -> None:
        """Stop listening; connections that nobody has accepted are reset."""
        if not self._boot.is_alive:
            self._wires.counters.after_crash += 1
        elif not self._is_closed:
            self._is_closed = True
            del self._boot.listenings[self._address]
            self._arrived.set()
            while self._backlog:
                self._backlog.popleft().reset()

    # --- the kernel ------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        """Whether the backlog takes no more."""
        return len(self._backlog) >= BACKLOG

    def take(self, connection: SimulatedConnection) -> bool:
        """Let ``connection`` wait to be accepted; False where it cannot be."""
        if self._is_closed or self.is_full:
            return False
        self._backlog.append(connection)
        self._arrived.set()
        return True


class Attempt:
    """One connect under way."""

    def __init__(self, wires: Wires, boot: Boot, address: str) -> None:
        name, port = split_address(address)
        self._wires = wires
        self._boot = boot
        self._dialled = address
        self._target_address = f"{name}:{port}"
        self._target = wires.host(name)
        self._there = wires.route(boot.host.name, name)
        self._back = wires.route(name, boot.host.name)
        self._local = boot.host.new_address()
        self._settled = Latch()
        self._connection: SimulatedConnection | None = None
        self._reason = ""

    async def wait(self) -> Connection:
        """Connect; raises `NodeUnavailable`."""
        too_late = f"no answer within {CONNECT_S:g} s"
        self._wires.timetable.add(trio.current_time() + CONNECT_S, self._fail, too_late)
        self._knock(None)
        try:
            await self._settled.wait()
        finally:
            self._settled.set()  # Cancelled: whatever comes now comes too late.
            self._there.held.pop(self, None)
            self._back.held.pop(self, None)
        if not self._boot.is_alive:
            await silence(self._wires)
        if self._connection is None:
            raise NodeUnavailable(self._reason)
        return self._connection

    def _knock(self, _: None) -> None:
        self._travel(self._there, self._reach_target)

    def _travel(self, route: Route, arrive: Callable[[], None]) -> None:
        """Call ``arrive`` at the end of ``route``, when it is open."""

        def reach_end(_: None) -> None:
            if self._settled.is_set or not self._boot.is_alive:
                return
            if route.is_open:
                arrive()
            else:
                route.held[self] = lambda: self._travel(route, arrive)

        self._wires.timetable.add(route.arrival(trio.current_time()), reach_end, None)

    def _reach_target(self) -> None:
        boot = self._target.boot
        listening = boot.listenings.get(self._target_address) if boot is not None else None
        if boot is None or listening is None:
            self._travel(self._back, lambda: self._fail(_text(ECONNREFUSED)))
        elif listening.is_full:
            self._wires.timetable.add(trio.current_time() + SYN_AGAIN_S, self._knock, None)
        else:
            accepting, owner = listening, boot  # They may be gone when the answer arrives.
            self._travel(self._back, lambda: self._establish(owner, accepting))

    def _establish(self, owner: Boot, accepting: Accepting) -> None:
        ours = SimulatedConnection(
            self._wires, self._boot, self._there, local=self._local, remote=self._dialled
        )
        theirs = SimulatedConnection(
            self._wires, owner, self._back, local=self._target_address, remote=self._local
        )
        ours.join(theirs, accepting)
        self._connection = ours
        self._wires.counters.connected += 1
        self._wires.trace.note("connected", self._local, self._target_address)
        self._settled.set()

    def _fail(self, reason: str) -> None:
        if not self._settled.is_set and self._boot.is_alive:
            self._reason = reason
            self._wires.counters.refused += 1
            self._wires.trace.note("not connected", self._local, self._target_address, reason)
            self._settled.set()


def _text(number: int) -> str:
    """An errno in words, as `dynamo_py.net.world` says it."""
    return os.strerror(number).lower()
