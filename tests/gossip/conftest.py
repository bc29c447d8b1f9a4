"""A cluster of pure cores in virtual time: no trio, no sockets, all of it from one seed.

Pytest does not let test files import each other, so the class comes as the fixture
``simulation``: ``simulation(seed=1, nodes=3)`` makes one.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from gossip import (
    Action,
    Change,
    Event,
    GossipConfig,
    LinkLost,
    Member,
    MemberChanged,
    Message,
    Received,
    Send,
    State,
    Swim,
    Tick,
    decode,
    encode,
)

BUFFERED_MESSAGES_MAX = 1000
LOOK_EVERY_S = 0.005


@dataclass
class Node:
    """One simulated process, with what it saw change."""

    number: int
    address: str
    core: Swim
    is_running: bool = True
    is_paused: bool = False
    tick_at: float = float("inf")
    buffered: deque[Message] = field(
        default_factory=lambda: deque[Message](maxlen=BUFFERED_MESSAGES_MAX)
    )
    changes: list[tuple[float, Change]] = field(default_factory=list)


class Simulation:
    """Cores that exchange messages with loss and delay, and may be killed, paused, split."""

    def __init__(
        self,
        *,
        seed: int,
        nodes: int,
        config: GossipConfig | None = None,
        loss: float = 0.0,
        delay_s: tuple[float, float] = (0.0005, 0.005),
        through_codec: bool = True,
        with_hints: bool = False,
    ) -> None:
        self.now = 0.0
        self.config = GossipConfig() if config is None else config
        self.loss = loss
        self.nodes: dict[int, Node] = {}
        self._at_address: dict[str, Node] = {}
        self.messages_sent = 0
        self.bytes_sent = 0
        self._delay_s = delay_s
        self._through_codec = through_codec
        self._with_hints = with_hints
        self._random = random.Random(seed)
        self._counter = itertools.count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sides: dict[int, int] = {}
        for number in range(nodes):
            self.start(number)

    # --- what a test does ---------------------------------------------------------------

    def start(self, number: int, *, address: str | None = None, seeds: tuple[int, ...] = (0,)):
        """A new process with this node's id, knowing nothing but its seeds' addresses."""
        address = f"node-{number}:1" if address is None else address
        before = self.nodes.get(number)
        core = Swim(
            config=self.config,
            cluster=b"cluster",
            me=Member(node_id(number), f"node-{number}", address),
            seeds=[self.nodes[k].address if k in self.nodes else f"node-{k}:1" for k in seeds],
            generator=random.Random(self._random.getrandbits(64)),
            now=self.now,
        )
        node = Node(number, address, core)
        if before is not None:
            node.changes = before.changes
            self._at_address.pop(before.address, None)
        self.nodes[number] = node
        self._at_address[address] = node
        self._schedule(node)
        return node

    def kill(self, number: int) -> None:
        node = self.nodes[number]
        node.is_running = False
        if self._with_hints:
            for other in self._running():
                self.step(other.number, LinkLost(node.address))

    def pause(self, number: int) -> None:
        self.nodes[number].is_paused = True

    def resume(self, number: int) -> None:
        node = self.nodes[number]
        node.is_paused = False
        while node.buffered:
            self._perform(node, node.core.step(self.now, Received(node.buffered.popleft())))
        self._schedule(node)

    def split(self, *sides: range) -> None:
        self._sides = {number: side for side, numbers in enumerate(sides) for number in numbers}

    def heal(self) -> None:
        self._sides = {}

    def step(self, number: int, event: Event) -> None:
        """Hand an event to one node, now."""
        node = self.nodes[number]
        self._perform(node, node.core.step(self.now, event))

    def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            self.now, _, action = heapq.heappop(self._queue)
            action()
        self.now = end

    def run_until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Run until the condition holds, or the time is up; how long it took, or infinity.

        Looks every few milliseconds.
        """
        begin = self.now
        while not condition():
            if self.now >= begin + within_s:
                return float("inf")
            self.run_for(LOOK_EVERY_S)
        return self.now - begin

    # --- what a test asks ---------------------------------------------------------------

    def seen(self, by: int, of: int) -> Member | None:
        return self.nodes[by].core.member(node_id(of))

    def state(self, by: int, of: int) -> State | None:
        member = self.seen(by, of)
        return None if member is None else member.state

    def is_seen(self, of: int, state: State) -> bool:
        """Whether all other running nodes see it so."""
        return all(
            self.state(node.number, of) is state for node in self._running() if node.number != of
        )

    def is_whole(self) -> bool:
        """Whether all running nodes know the same, and that all of these are alive."""
        running = self._running()
        if any(node.core.statistics().alive != len(running) for node in running):
            return False
        views = [node.core.members() for node in running]
        if any(view != views[0] for view in views):
            return False
        alive = {member.node for member in views[0] if member.state is State.ALIVE}
        return alive == {node_id(node.number) for node in running}

    def transitions(self, to: State) -> list[tuple[float, int, Member]]:
        """When and where a member came into this state: (time, seen by, member)."""
        return [
            (when, node.number, change.after)
            for node in self.nodes.values()
            for when, change in node.changes
            if isinstance(change, MemberChanged)
            and change.after is not None
            and change.after.state is to
            and (change.before is None or change.before.state is not to)
        ]

    def check(self) -> None:
        for node in self.nodes.values():
            node.core._check()

    # --- inside -------------------------------------------------------------------------

    def _running(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.is_running and not node.is_paused]

    def _at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._counter), action))

    def _schedule(self, node: Node) -> None:
        deadline = max(self.now, node.core.deadline)
        if deadline < node.tick_at:
            node.tick_at = deadline
            self._at(deadline, lambda: self._tick(node, deadline))

    def _tick(self, node: Node, when: float) -> None:
        if when != node.tick_at:
            return
        node.tick_at = float("inf")
        if not node.is_running or node.is_paused:
            return
        if node.core.deadline <= self.now:
            self._perform(node, node.core.step(self.now, Tick()))
        else:
            self._schedule(node)

    def _perform(self, node: Node, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Send):
                self._send(node, action)
            else:
                node.changes.append((self.now, action))
        self._schedule(node)

    def _send(self, sender: Node, action: Send) -> None:
        self.messages_sent += 1
        message = action.message
        if self._through_codec:
            payload = encode(message)
            self.bytes_sent += len(payload)
            message = decode(payload)
        if self._random.random() < self.loss:
            return
        delay = self._random.uniform(*self._delay_s)
        self._at(self.now + delay, lambda: self._deliver(sender.number, action.address, message))

    def _deliver(self, sender: int, address: str, message: Message) -> None:
        node = self._at_address.get(address)
        if node is None or not node.is_running:
            return
        if self._sides and self._sides[sender] != self._sides[node.number]:
            return
        if node.is_paused:
            node.buffered.append(message)
        else:
            self._perform(node, node.core.step(self.now, Received(message)))


def node_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def simulation() -> type[Simulation]:
    return Simulation
