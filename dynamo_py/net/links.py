"""Outgoing links, one to an address: dialled, kept, and dialled again with backoff.

Serves nodes towards their peers and clients towards nodes alike. Knows nothing of membership:
it dials the addresses it is told to `keep`, or is asked to reach.

A request to an address without a live link fails at once, with ``outcome="not_applied"``,
so that the caller turns to another node without losing time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import trio

from dynamo_py.environment import Environment
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.net.greeting import greet
from dynamo_py.net.link import Link, OnReply, Timestamps
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.messages import Hello, Message

BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 1.0
SWEEP_S = 0.02
SWEEP_S_MAX = 0.1
"""How soon overdue requests are looked for while any is open: so late may one be ended."""
LINKS_MAX = 1024


@dataclass(slots=True)
class _Destination:
    """What is known of one address."""

    address: str
    link: Link | None = None
    reason: str = "not connected yet"
    refusal: DynamoError | None = None
    changed: trio.Event = field(default_factory=trio.Event)
    hurry: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    def note(self, link: Link | None, reason: str = "") -> None:
        self.link, self.reason = link, reason
        self.changed.set()
        self.changed = trio.Event()


class Links:
    """All outgoing links of one node or client. Lives while `run` runs."""

    def __init__(
        self,
        environment: Environment,
        *,
        hello: Callable[[], Hello],
        timestamps: Timestamps,
        handle: Callable[[Link, Frame], None],
        on_lost: Callable[[str], None] = lambda address: None,
        on_refused: Callable[[str, DynamoError], None] = lambda address, error: None,
        on_stale_ring: Callable[[], None] | None = None,
    ) -> None:
        """``on_lost`` is told an address when its link is lost or cannot be made.

        ``on_refused`` is told, besides, why whoever answers at an address turned us away.
        """
        self._environment = environment
        self._random = random.Random(environment.random.getrandbits(64))
        self._hello = hello
        self._timestamps = timestamps
        self._handle = handle
        self._on_lost = on_lost
        self._on_refused = on_refused
        self._on_stale_ring = on_stale_ring
        self._destinations: dict[str, _Destination] = {}
        self._unstarted: list[_Destination] = []
        self._work = trio.Event()
        self._asked = trio.Event()

    # --- asking ----------------------------------------------------------------------------

    def request(
        self,
        address: str,
        message: Message,
        *,
        wait_s: float,
        on_reply: OnReply,
        trace_id: int = 0,
    ) -> None:
        """As `Link.request`; without a live link ``on_reply`` is called before this returns."""
        link = self._link(address)
        if link is None:
            reason = self._destinations[address].reason
            on_reply(
                NodeUnavailable(
                    f"no connection to {address}: {reason}",
                    reasons={address: reason},
                    outcome="not_applied",
                )
            )
            return
        self._asked.set()
        link.request(message, wait_s=wait_s, on_reply=on_reply, trace_id=trace_id)

    async def ask(
        self, address: str, message: Message, *, wait_s: float, trace_id: int = 0
    ) -> Message:
        """Send ``message`` and wait for the answer; raises what went wrong."""
        reply = AwaitedReply()
        self.request(address, message, wait_s=wait_s, on_reply=reply, trace_id=trace_id)
        return await reply.wait()

    def tell(self, address: str, message: Message) -> None:
        """As `Link.tell`; dropped where there is no live link."""
        link = self._link(address)
        if link is not None:
            link.tell(message)

    # --- which addresses ---------------------------------------------------------------------

    def keep(self, addresses: Iterable[str]) -> None:
        """Hold links to just these addresses: dial the new ones, close the others."""
        wanted = list(dict.fromkeys(addresses))
        for address in wanted:
            self._destination(address)
        for address in [a for a in self._destinations if a not in wanted]:
            gone = self._destinations.pop(address)
            gone.scope.cancel()
            if gone.link is not None:
                # Now: whoever it was, nothing more of it is to be read.
                gone.link.close(NodeUnavailable("not wanted any more"))
            gone.note(None, "not wanted any more")  # or `wait_connected` would wait for ever

    def hurry(self, address: str) -> None:
        """Dial again now: there is reason to believe that it answers."""
        self._destination(address).hurry.set()

    def is_connected(self, address: str) -> bool:
        """Whether there is a live link."""
        found = self._destinations.get(address)
        return found is not None and found.link is not None

    async def wait_connected(self, address: str) -> None:
        """Wait for a live link, or for the next failure to make one, which is raised."""
        destination = self._destination(address)
        if destination.link is None:
            await destination.changed.wait()
        if destination.link is None:
            reason = destination.reason
            raise NodeUnavailable(reason, reasons={address: reason}, outcome="not_applied")

    def refusal(self, address: str) -> DynamoError | None:
        """The error with which whoever answers at ``address`` turned us away last, if any did."""
        found = self._destinations.get(address)
        return None if found is None else found.refusal

    def reasons(self) -> dict[str, str]:
        """Why there is no link, for each address without one."""
        return {a: d.reason for a, d in self._destinations.items() if d.link is None}

    # --- lifetimes -----------------------------------------------------------------------------

    async def run(self) -> None:
        """Dial and keep the links until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sweep)
            while True:
                for destination in self._unstarted:
                    nursery.start_soon(self._keep_one, destination)
                self._unstarted.clear()
                self._work = trio.Event()
                await self._work.wait()

    def _destination(self, address: str) -> _Destination:
        found = self._destinations.get(address)
        if found is None:
            if len(self._destinations) >= LINKS_MAX:
                raise NodeUnavailable(f"more than {LINKS_MAX} links", outcome="not_applied")
            found = self._destinations[address] = _Destination(address)
            self._unstarted.append(found)
            self._work.set()
        return found

    def _link(self, address: str) -> Link | None:
        found = self._destinations.get(address)
        return self._destination(address).link if found is None else found.link

    async def _keep_one(self, destination: _Destination) -> None:
        backoff_s = BACKOFF_FIRST_S
        with destination.scope:
            while True:
                was_up = await self._connect_once(destination)
                backoff_s = BACKOFF_FIRST_S if was_up else min(backoff_s * 2, BACKOFF_MAX_S)
                with trio.move_on_after(backoff_s * self._random.uniform(0.5, 1.0)):
                    await destination.hurry.wait()
                destination.hurry = trio.Event()

    async def _connect_once(self, destination: _Destination) -> bool:
        """Dial, and serve the link until it is lost; whether there was one."""
        address, monotonic = destination.address, self._environment.clock.monotonic
        try:
            connection = await self._environment.transport.connect(address)
            try:
                _, incoming = await greet(connection, self._hello(), monotonic=monotonic)
            except BaseException:
                with trio.CancelScope(shield=True):
                    await connection.aclose()
                raise
        except DynamoError as error:
            destination.refusal = None if isinstance(error, NodeUnavailable) else error
            destination.note(None, error.message)
            self._on_lost(address)
            if destination.refusal is not None:
                self._on_refused(address, destination.refusal)
            return False
        link = Link(
            connection,
            incoming.decoder,
            monotonic=monotonic,
            timestamps=self._timestamps,
            handle=self._handle,
            lateness=incoming.lateness,
        )
        link.on_stale_ring = self._on_stale_ring
        destination.refusal = None
        destination.note(link)
        try:
            await link.run()
        finally:
            destination.note(None, link.lost.message if link.lost else "closed")
        self._on_lost(address)
        return True

    async def _sweep(self) -> None:
        """Ends overdue requests. Sleeps while none is open, so that an idle node is idle."""
        while True:
            self._asked = trio.Event()
            deadlines = self._sweep_once()
            if not deadlines:
                await self._asked.wait()
            else:
                left_s = min(deadlines) - self._environment.clock.monotonic()
                await trio.sleep(min(max(left_s, SWEEP_S), SWEEP_S_MAX))

    def _sweep_once(self) -> list[float]:
        now = self._environment.clock.monotonic()
        links = [d.link for d in self._destinations.values() if d.link is not None]
        return [deadline for link in links if (deadline := link.sweep(now)) is not None]

    def statistics(self) -> dict[str, dict[str, int]]:
        """What waits on each live link."""
        return {a: d.link.statistics() for a, d in self._destinations.items() if d.link}

    def _check(self) -> None:
        for address, destination in self._destinations.items():
            assert address == destination.address
            if destination.link is not None:
                destination.link._check()
