"""The shell around the core: it keeps the timer, decodes, encodes, and tells subscribers.

The only module of this package that knows trio. Knows nothing of sockets: the owner hands in
``send`` and brings incoming bytes to `Agent.receive`. All its methods but `run`, `leave` and
`wait_alive` are plain functions, to be called from the thread of trio's run.

What waits here is bounded: actions are carried out within the call that caused them. A
``send`` that comes back into this agent (as in a program where agents call each other) has
its actions carried out by the outermost call, in order.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import trio

from gossip.config import GossipConfig
from gossip.errors import GossipError
from gossip.events import (
    Action,
    Change,
    Event,
    Leave,
    LinkLost,
    Received,
    Send,
    SetPayload,
    Tick,
)
from gossip.members import Member, State
from gossip.messages import decode, encode
from gossip.statistics import SwimStatistics
from gossip.swim import Swim

SendFunction = Callable[[str, bytes], None]
Subscriber = Callable[[Change], None]


@dataclass(frozen=True, slots=True)
class AgentStatistics:
    """Traffic of this agent since its start, and the protocol's own figures."""

    bytes_sent: int
    bytes_received: int
    malformed: int
    subscribers: int
    swim: SwimStatistics


class Agent:
    """One node's membership agent.

    ``me`` is the own member: id, name and the address under which others reach it; its
    incarnation is 0 in each life. ``send`` must not block and may drop; an exception of it is
    a bug, and comes out of whatever method caused it. ``clock`` gives monotonic seconds.
    Raises `GossipError` when the cluster id is too long, or ``me`` out of the bounds of `Member`.
    """

    def __init__(
        self,
        *,
        cluster: bytes,
        me: Member,
        seeds: Sequence[str] = (),
        send: SendFunction,
        clock: Callable[[], float],
        generator: random.Random,
        config: GossipConfig | None = None,
    ) -> None:
        self._config = GossipConfig() if config is None else config
        self._send = send
        self._clock = clock
        self._core = Swim(
            config=self._config,
            cluster=cluster,
            me=me,
            seeds=seeds,
            generator=generator,
            now=clock(),
        )
        self._actions: deque[Action] = deque()
        self._is_performing = False
        self._subscribers: list[Subscriber] = []
        self._stepped = trio.Event()
        self._bytes_sent = 0
        self._bytes_received = 0
        self._malformed = 0

    # --- the timer ----------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the protocol going, until cancelled."""
        while True:
            stepped = self._stepped
            # Whatever happens meanwhile may bring the deadline forward: then look again.
            with trio.move_on_after(max(0.0, self._core.deadline - self._clock())):
                await stepped.wait()
            if self._core.deadline <= self._clock():
                self._step(Tick())

    # --- the transport's side -----------------------------------------------------------

    def receive(self, payload: bytes) -> None:
        """Take in a message's bytes. What is no message of ours is dropped and counted."""
        self._bytes_received += len(payload)
        try:
            message = decode(payload)
        except GossipError:
            self._malformed += 1
            return
        self._step(Received(message))

    def link_lost(self, address: str) -> None:
        """The transport's hint that a link to this address was refused or lost."""
        self._step(LinkLost(address))

    # --- the owner's side ---------------------------------------------------------------

    @property
    def me(self) -> Member:
        """The own member as others are told of it."""
        return self._core.me

    def members(self) -> tuple[Member, ...]:
        """All known members, the own one included, ordered by node id."""
        return self._core.members()

    def member(self, node: bytes) -> Member | None:
        """The member with this id, or None when it is unknown. O(1)."""
        return self._core.member(node)

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call back at each change from now on, in order; returns what ends it.

        The callback is a plain function and must not raise. It may call this agent.
        """
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    def set_payload(self, topic: int, version: int, data: bytes) -> None:
        """Tell all others something about this node; it spreads within a few rounds.

        ``topic`` is 0 to 15, ``data`` at most 3 KiB. ``version`` must be above the last one,
        also above those of earlier lives of this node: a wall clock in ms does. Raises
        `GossipError` otherwise, and nothing has changed. A version from an earlier life that
        is learned only later comes to the subscribers as a `PayloadChanged` of the own node.
        ``me.payloads`` has the last version: the greater of the clock and one more than that
        is always right.
        """
        self._step(SetPayload(topic, version, data))

    async def leave(self) -> None:
        """Tell the others that this node goes; wait until it is told, or ``leave_s`` is up.

        `run` must be running still; afterwards it may be cancelled. The agent answers on, but
        probes nobody.
        """
        self._step(Leave())
        with trio.move_on_after(self._config.leave_s):
            while not self._core.is_leaving_told:
                await self._stepped.wait()

    async def wait_alive(self, count: int) -> None:
        """Wait until so many members, the own one included, are alive."""
        while sum(member.state is State.ALIVE for member in self.members()) < count:
            await self._stepped.wait()

    def statistics(self) -> AgentStatistics:
        """How the agent stands."""
        return AgentStatistics(
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
            malformed=self._malformed,
            subscribers=len(self._subscribers),
            swim=self._core.statistics(),
        )

    # --- carrying out -------------------------------------------------------------------

    def _step(self, event: Event) -> None:
        self._actions.extend(self._core.step(self._clock(), event))
        self._stepped.set()
        self._stepped = trio.Event()
        if self._is_performing:
            return
        self._is_performing = True
        try:
            while self._actions:
                self._perform(self._actions.popleft())
        finally:
            self._is_performing = False

    def _perform(self, action: Action) -> None:
        if isinstance(action, Send):
            payload = encode(action.message)
            self._bytes_sent += len(payload)
            self._send(action.address, payload)
            return
        for callback in tuple(self._subscribers):
            callback(action)

    def _check(self) -> None:
        self._core._check()
