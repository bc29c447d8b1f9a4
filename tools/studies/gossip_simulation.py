"""Many cores of `gossip` in virtual time: no trio, no sockets, all of it from one seed.

The network between them encodes every message, counts its bytes, loses and delays it, and
decodes what arrives. Nodes may be killed, paused, started again and split from each other.
The tests of `gossip` play with it, and `studies.gossip_study` measures with it.

Knows nothing of what is measured or asserted; of a core it knows what `gossip` shows, but for
`_check`, and for `settled`, which fills the tables of a cluster that could come together by
itself, but not quickly where there are many.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gossip import (
    Action,
    Change,
    Event,
    GossipConfig,
    LinkLost,
    Member,
    MemberChanged,
    Received,
    Send,
    State,
    Swim,
    Tick,
    decode,
    encode,
)
from gossip.updates import CORE

BUFFERED_MESSAGES_MAX = 1000
LOOK_EVERY_S = 0.005
CLUSTER = b"cluster"
NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Node:
    """One simulated process, with what it saw change."""

    number: int
    address: str
    core: Swim
    is_running: bool = True
    is_paused: bool = False
    tick_at: float = NEVER
    bytes_sent: int = 0
    buffered: deque[bytes] = field(
        default_factory=lambda: deque[bytes](maxlen=BUFFERED_MESSAGES_MAX)
    )
    changes: list[tuple[float, Change]] = field(default_factory=list)


Observer = Callable[[float, Node, Change], None]


class Simulation:
    """Cores that exchange messages with loss and delay, and may be killed, paused, split.

    Nodes are numbered from 0, which is the seed of all others. ``loss`` is the part of the
    messages that is lost; ``delay_s`` the least and the longest time that one travels. With
    ``is_settled`` all know each other from the start, and no rumour waits; else they find each
    other. ``observer`` gets the changes, with the time and the node that saw them; without
    one, each node keeps its own in ``changes``.
    """

    def __init__(
        self,
        *,
        seed: int,
        nodes: int,
        config: GossipConfig | None = None,
        loss: float = 0.0,
        delay_s: tuple[float, float] = (0.0005, 0.005),
        with_hints: bool = False,
        is_settled: bool = False,
        observer: Observer | None = None,
    ) -> None:
        self.now = 0.0
        self.config = GossipConfig() if config is None else config
        self.loss = loss
        self.nodes: dict[int, Node] = {}
        self.messages_sent = 0
        self.bytes_sent = 0
        self._at_address: dict[str, Node] = {}
        self._delay_s = delay_s
        self._with_hints = with_hints
        self.observer = observer
        self._random = random.Random(seed)
        self._counter = itertools.count()
        # When, in which order at one moment, and either a node's tick or a message's bytes
        # with its sender and address.
        self._queue: list[tuple[float, int, Node, str, bytes | None]] = []
        self._sides: dict[int, int] = {}
        for number in range(nodes):
            self.start(number, seeds=() if is_settled else (0,))
        if is_settled:
            self._settle()

    # --- what may be done ---------------------------------------------------------------

    def start(
        self, number: int, *, address: str | None = None, seeds: tuple[int, ...] = (0,)
    ) -> Node:
        """A new process with this node's id, knowing nothing but its seeds' addresses."""
        address = _address(number) if address is None else address
        before = self.nodes.get(number)
        core = Swim(
            config=self.config,
            cluster=CLUSTER,
            me=Member(node_id(number), f"node-{number}", address),
            seeds=[self.nodes[k].address if k in self.nodes else _address(k) for k in seeds],
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
        """The process ends without a word; with hints, its peers' links to it break."""
        node = self.nodes[number]
        node.is_running = False
        if self._with_hints:
            for other in self.running():
                self.step(other.number, LinkLost(node.address))

    def pause(self, number: int) -> None:
        """The process stands still; what is sent to it waits."""
        self.nodes[number].is_paused = True

    def resume(self, number: int) -> None:
        """It goes on, and finds what was sent to it meanwhile."""
        node = self.nodes[number]
        node.is_paused = False
        while node.buffered:
            self._take_in(node, node.buffered.popleft())
        self._schedule(node)

    def split(self, *sides: range) -> None:
        """Only nodes of one side hear each other from now on."""
        self._sides = {number: side for side, numbers in enumerate(sides) for number in numbers}

    def heal(self) -> None:
        """All hear each other again."""
        self._sides = {}

    def step(self, number: int, event: Event) -> None:
        """Hand an event to one node, now."""
        node = self.nodes[number]
        self._perform(node, node.core.step(self.now, event))

    def run_for(self, seconds: float) -> None:
        """Let so much virtual time pass."""
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            self._next()
        self.now = end

    def run_until(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Run until the condition holds, or the time is up; how long it took, or infinity.

        Looks every few milliseconds.
        """
        begin = self.now
        while not condition():
            if self.now >= begin + within_s:
                return NEVER
            self.run_for(LOOK_EVERY_S)
        return self.now - begin

    def run_while(self, condition: Callable[[], bool], *, within_s: float) -> float:
        """Run while the condition holds; how long that was, or infinity when the time is up.

        Looks after each event, so the condition must be cheap.
        """
        begin = self.now
        while condition():
            if not self._queue or self._queue[0][0] > begin + within_s:
                self.now = begin + within_s
                return NEVER
            self._next()
        return self.now - begin

    # --- what may be asked --------------------------------------------------------------

    def running(self) -> list[Node]:
        """The processes that run, and do not stand still."""
        return [node for node in self.nodes.values() if node.is_running and not node.is_paused]

    def seen(self, by: int, of: int) -> Member | None:
        """The one as the other knows it, if it does."""
        return self.nodes[by].core.member(node_id(of))

    def state(self, by: int, of: int) -> State | None:
        """The one's state as the other sees it."""
        member = self.seen(by, of)
        return None if member is None else member.state

    def is_seen(self, of: int, state: State) -> bool:
        """Whether all other running nodes see it so."""
        return all(
            self.state(node.number, of) is state for node in self.running() if node.number != of
        )

    def is_whole(self) -> bool:
        """Whether all running nodes know the same, and that all of these are alive."""
        running = self.running()
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
        """Whether the invariants of all cores hold."""
        for node in self.nodes.values():
            node.core._check()

    # --- inside -------------------------------------------------------------------------

    def _settle(self) -> None:
        """As if all had found each other long ago."""
        members = [node.core.me for node in self.nodes.values()]
        for node in self.nodes.values():
            beliefs = node.core._beliefs
            for member in members:
                beliefs.table.put(member, now=self.now)
            beliefs.queue.discard((beliefs.me.node, CORE))
            # So that it looks anew when its next deadline is.
            self._perform(node, node.core.step(self.now, Tick()))

    def _next(self) -> None:
        self.now, _, node, address, payload = heapq.heappop(self._queue)
        if payload is None:
            self._tick(node)
        else:
            self._deliver(node, address, payload)

    def _schedule(self, node: Node) -> None:
        deadline = max(self.now, node.core.deadline)
        if deadline < node.tick_at:
            node.tick_at = deadline
            heapq.heappush(self._queue, (deadline, next(self._counter), node, "", None))

    def _tick(self, node: Node) -> None:
        if self.now != node.tick_at:
            return
        node.tick_at = NEVER
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
            elif self.observer is not None:
                self.observer(self.now, node, action)
            else:
                node.changes.append((self.now, action))
        self._schedule(node)

    def _send(self, sender: Node, action: Send) -> None:
        payload = encode(action.message)
        self.messages_sent += 1
        self.bytes_sent += len(payload)
        sender.bytes_sent += len(payload)
        if self._random.random() < self.loss:
            return
        arrives = self.now + self._random.uniform(*self._delay_s)
        heapq.heappush(self._queue, (arrives, next(self._counter), sender, action.address, payload))

    def _deliver(self, sender: Node, address: str, payload: bytes) -> None:
        node = self._at_address.get(address)
        if node is None or not node.is_running:
            return
        if self._sides and self._sides[sender.number] != self._sides[node.number]:
            return
        if node.is_paused:
            node.buffered.append(payload)
        else:
            self._take_in(node, payload)

    def _take_in(self, node: Node, payload: bytes) -> None:
        self._perform(node, node.core.step(self.now, Received(decode(payload))))


def node_id(number: int) -> bytes:
    """The id of a numbered node."""
    return number.to_bytes(16, "big")


def _address(number: int) -> str:
    return f"node-{number}:1"
