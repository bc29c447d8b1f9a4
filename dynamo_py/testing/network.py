"""The simulated network: all hosts, the routes between them, and what can go wrong with them.

The front of `sockets`, `transports` and `pipes` of this package: it hands each boot of a host
its `Transport`, and causes faults. Everything follows from the generator that is passed in and
from the order of calls. Knows nothing of nodes, nor when a fault is due.

Faults are plain calls, from trio's thread, and may be repeated: the second one changes nothing.

Invariants: a host has at most one boot that lives. A route is open just when it is not blocked
and its target's kernel answers.
"""

from __future__ import annotations

import random
from dataclasses import asdict

import trio

from dynamo_py.environment import Transport
from dynamo_py.testing.pipes import Latency, Route
from dynamo_py.testing.sockets import Boot, Counters, Host, SimulatedConnection, Trace
from dynamo_py.testing.timetable import Timetable
from dynamo_py.testing.transports import SimulatedTransport


class Network:
    """Hosts by name, such as ``n1`` in the address ``n1:7700``. Delivers while `run` runs."""

    def __init__(
        self, random_: random.Random, trace: Trace, *, latency: Latency | None = None
    ) -> None:
        """All chance comes from ``random_``; what happens is told to ``trace``."""
        self.trace = trace
        self.timetable = Timetable()
        self.counters = Counters()
        self._random = random_
        self._latency = latency or Latency()
        self._hosts: dict[str, Host] = {}
        self._routes: dict[tuple[str, str], Route] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Deliver what is due, until cancelled."""
        task_status.started()
        await self.timetable.run()

    def transport(self, host: str) -> Transport:
        """For a new boot of ``host``. One that lives still is cut off first, as a crashed one."""
        self.cut_off(host, silently=False)
        machine = self.host(host)
        machine.boot = Boot(machine)
        self.trace.note("boot", host)
        self._set_up(machine, is_up=True)
        return SimulatedTransport(self, machine.boot)

    # --- faults --------------------------------------------------------------------------------

    def block(self, source: str, target: str) -> None:
        """Let nothing from ``source`` reach ``target``; the other way is as before."""
        self._set_blocked(self.route(source, target), is_blocked=True)

    def unblock(self, source: str, target: str) -> None:
        """End a block; what waited arrives after a retransmission delay of 0.2 to 1.2 s."""
        self._set_blocked(self.route(source, target), is_blocked=False)

    def unblock_all(self) -> None:
        """End all blocks."""
        for route in list(self._routes.values()):
            self._set_blocked(route, is_blocked=False)

    def heal(self) -> None:
        """End all blocks, delays and losses. Crashed hosts stay so."""
        for source, target in list(self._routes):
            self.slow(source, target, delay_s=0.0)
            self.lose(source, target, share=0.0)
        self.unblock_all()

    def slow(self, source: str, target: str, *, delay_s: float) -> None:
        """Add ``delay_s`` seconds to each delivery of what is sent from now on; 0 ends it."""
        assert delay_s >= 0
        route = self.route(source, target)
        if route.delay_s != delay_s:
            self.trace.note("slow", source, target, delay_s)
            route.delay_s = delay_s

    def lose(self, source: str, target: str, *, share: float) -> None:
        """Lose this share (0 to below 1) of the segments: each is sent again; 0 ends it."""
        assert 0 <= share < 1
        route = self.route(source, target)
        if route.lost_share != share:
            self.trace.note("lose", source, target, share)
            route.lost_share = share

    def cut_off(self, host: str, *, silently: bool) -> None:
        """The process of ``host`` is gone, and all its connections; its `Transport` is dead.

        Of what it had sent, by chance only the first part has left. ``silently``: the whole
        machine is gone, and answers nobody until it boots again. Otherwise its kernel goes on:
        the other sides' connections are reset, and connects to it are refused.
        """
        machine = self.host(host)
        boot = machine.boot
        if boot is not None and boot.is_alive:
            self.trace.note("cut off", host, int(silently))
            boot.is_alive = False
            connections = list(boot.connections)
            boot.connections.clear()
            boot.listenings.clear()
        else:
            connections = []
        if silently and machine.is_up:
            self._forget_stopped(machine)
            self._set_up(machine, is_up=False)
        for connection in connections:
            survivors = self._random.randint(0, len(connection.pipe.under_way))
            connection.cut_off(survivors=survivors, silently=silently)

    def reset_connections(self, host_a: str, host_b: str) -> None:
        """Both sides of each connection between them lose it at once."""
        self.trace.note("reset connections", host_a, host_b)
        for connection in self._connections(host_a):
            if connection.peer_host == host_b:
                connection.lose()
        for connection in self._connections(host_b):
            if connection.peer_host == host_a:
                connection.lose()

    # --- what sockets need of it ---------------------------------------------------------------

    def host(self, name: str) -> Host:
        """The host of this name, which may never have booted."""
        found = self._hosts.get(name)
        if found is None:
            found = self._hosts[name] = Host(name)
        return found

    def route(self, source: str, target: str) -> Route:
        """The way from ``source`` to ``target``."""
        found = self._routes.get((source, target))
        if found is None:
            found = self._routes[source, target] = Route(
                self.host(source), self.host(target), latency=self._latency, random_=self._random
            )
        return found

    def _set_blocked(self, route: Route, *, is_blocked: bool) -> None:
        if route.is_blocked != is_blocked:
            kind = "block" if is_blocked else "unblock"
            self.trace.note(kind, route.source.name, route.target.name)
            route.is_blocked = is_blocked
            route.refresh()

    def _set_up(self, machine: Host, *, is_up: bool) -> None:
        machine.is_up = is_up
        for route in list(self._routes.values()):
            if route.target is machine:
                route.refresh()

    def _forget_stopped(self, machine: Host) -> None:
        """What the kernel of ``machine`` still had to send is gone with it."""
        for route in self._routes.values():
            if route.source is machine:
                for pipe in list(route.stopped):
                    pipe.keep(0)

    def _connections(self, host: str) -> list[SimulatedConnection]:
        boot = self.host(host).boot
        return [] if boot is None else list(boot.connections)

    def statistics(self) -> dict[str, int]:
        """What has happened so far (see `Counters`), and what is there now."""
        connections = [each for name in self._hosts for each in self._connections(name)]
        return asdict(self.counters) | {
            "connection_ends": len(connections),
            "under_way": sum(len(each.pipe.under_way) for each in connections),
            "blocked": sum(route.is_blocked for route in self._routes.values()),
            "scheduled": len(self.timetable),
        }

    def _check(self) -> None:
        self.timetable._check()
        for route in self._routes.values():
            assert route.is_open == (route.target.is_up and not route.is_blocked)
            assert not (route.is_open and (route.stopped or route.held))
            for pipe in route.stopped:
                pipe._check()
        for machine in self._hosts.values():
            boot = machine.boot
            if boot is not None:
                assert machine.is_up or not boot.is_alive
                assert boot.is_alive or not (boot.connections or boot.listenings)
                for connection in boot.connections:
                    connection._check()
