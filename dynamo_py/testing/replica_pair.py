"""Two replicas of one partition, in memory, that compare copies over encoded messages.

For tests and measurements of exchanges: the production code on both sides, and between them
nothing but the bytes of messages. Knows nothing of sockets, of a ring with more than two
nodes, or of when exchanges are made.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
import trio.testing

from dynamo_py.causality import (
    NOTHING_SEEN,
    Context,
    HybridClock,
    Minter,
    Record,
    decode_record,
)
from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import UP, ClusterView, NodeView, Placement
from dynamo_py.errors import DynamoError, StorageError
from dynamo_py.net.link import OnReply
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.replica import Replica, Write, Written
from dynamo_py.replica.trees import Trees
from dynamo_py.server.exchange_requests import ExchangeRequests
from dynamo_py.server.replica_requests import ReplicaRequests
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Space
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.upkeep.building import Building
from dynamo_py.upkeep.compared import Compared
from dynamo_py.upkeep.exchange import Exchanges
from dynamo_py.upkeep.listing import Listings
from dynamo_py.wire.codec import decode_body, encode_body
from dynamo_py.wire.messages import Message, TableEntry
from ring import Ring

T = TypeVar("T")

PARTITION = 0
NODES = (b"\1" * 16, b"\2" * 16)


class Ticking:
    """trio's clock, also for the wall."""

    def monotonic(self) -> float:
        """Seconds of this run."""
        return trio.current_time()

    def wall_ms(self) -> int:
        """Milliseconds of this run."""
        return int(trio.current_time() * 1000)


class Unthrottled:
    """A throttle that grants every slice, and lets the others have a turn."""

    def __init__(self) -> None:
        self.slices = 0

    async def slice(self) -> None:
        """Go on."""
        self.slices += 1
        await trio.lowlevel.checkpoint()


async def _at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()


class Side:
    """One of the two nodes."""

    def __init__(self, number: int, pair: ReplicaPair) -> None:
        self.node = NODES[number]
        clock = Ticking()
        self.damaged: list[int] = []
        self.committer = Committer(MemoryEngine(), _at_once)
        self.trees = Trees(self.committer, on_damage=self.damaged.append)
        self.replica = Replica(
            self.committer,
            Minter(random.Random(number)),
            HybridClock(clock.wall_ms),
            wall_ms=clock.wall_ms,
            on_damage=self._on_damage,
            on_change=self.trees.note,
        )
        self.throttle = Unthrottled()
        self.building = Building(self.trees, self.throttle)
        self.listings = Listings(self.replica, self.throttle)
        self.view = _view(self.node)
        self.requests = ReplicaRequests(
            self.replica,
            Completeness(self.committer, 1),
            lambda: self.view,
            is_durable=True,
            exchanges=ExchangeRequests(self.replica, self.trees, self.listings),
        )
        self.exchanges = Exchanges(
            self.replica, self.building, pair, lambda: self.view, self.throttle, clock=clock
        )
        self.loops: tuple[Callable[[], Awaitable[None]], ...] = (
            self.committer.run,
            self.building.run,
            self.listings.run,
        )

    def _on_damage(self, partition: int) -> None:
        self.damaged.append(partition)
        self.trees.damage_met(partition)

    def write(
        self,
        key: bytes,
        value: bytes | None,
        write_id: bytes,
        *,
        context: Context = NOTHING_SEEN,
        retried: bool = False,
    ) -> Written:
        """A client's write, taken by this node alone."""
        write = Write(context, value, write_id, retried, 0)
        return self.replica.write(PARTITION, key, write, hinted_for=None, on_commit=_ignore)

    def merge(self, key: bytes, encoded: bytes) -> None:
        """A record from elsewhere, as a coordinator sends it."""
        self.replica.merge(PARTITION, key, encoded, hinted_for=None, on_commit=_ignore)

    def copy(self, key: bytes) -> Record | None:
        """This node's copy of a key."""
        encoded = self.replica.get(PARTITION, key)
        return None if encoded is None else decode_record(encoded)

    def rows(self) -> dict[bytes, bytes]:
        """All that this node holds."""
        start: bytes | None = b""
        found: dict[bytes, bytes] = {}
        while start is not None:
            page = self.committer.scan(Space.RECORDS, PARTITION, start, 1000)
            found.update(page.rows)
            start = page.next_start
        return found


class ReplicaPair:
    """The two nodes, and the wire between them."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[Message], None] = lambda message: None
        """Called as each request arrives: what happens while an exchange goes on."""
        self.failing: Callable[[Message], DynamoError | None] = lambda message: None
        """What a request is answered with in place of its answer, if anything."""
        self.asked: list[Message] = []
        self.sides = (Side(0, self), Side(1, self))

    def ask(
        self,
        view: ClusterView,
        node: bytes,
        message: Message,
        *,
        wait_s: float,
        on_reply: OnReply,
        trace_id: int = 0,
    ) -> None:
        """As `dynamo_py.coordinator.peers.Peers.ask`."""
        self.asked.append(message)
        self.meanwhile(message)
        error = self.failing(message)
        if error is not None:
            on_reply(error)
            return

        def on_answer(answer: Message | DynamoError) -> None:
            on_reply(answer if isinstance(answer, DynamoError) else _sent(answer))

        self.sides[NODES.index(node)].requests.answer(_sent(message), on_answer)

    async def exchange(self, begins: int = 0, *, is_patient: bool = True) -> Compared:
        """An exchange that one of the two begins."""
        exchanges = self.sides[begins].exchanges
        return await exchanges.exchange(PARTITION, NODES[1 - begins], is_patient=is_patient)

    def both_write(self, count: int, *, bytes_each: int = 10) -> None:
        """A first write to each of ``count`` keys, which both take."""
        for number in range(count):
            written = self.sides[0].write(key_of(number), bytes(bytes_each), b"%016d" % number)
            self.sides[1].merge(key_of(number), written.encoded)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run both nodes' loops until cancelled."""
        async with trio.open_nursery() as nursery:
            for side in self.sides:
                for loop in side.loops:
                    nursery.start_soon(loop)
            task_status.started()


def key_of(number: int) -> bytes:
    """The routing key of that number."""
    return b"b\0%d" % number


def play(test: Callable[[ReplicaPair], Awaitable[None]]) -> None:
    """Run ``test`` with a pair whose loops run, on a clock that jumps; then check both."""

    async def main() -> None:
        pair = ReplicaPair()
        async with trio.open_nursery() as nursery:
            await nursery.start(pair.run)
            await test(pair)
            for side in pair.sides:
                side.trees._check()
                side.committer._check()
            nursery.cancel_scope.cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def _sent(message: Message) -> Message:
    """What arrives."""
    return decode_body(*encode_body(message))


def _view(me: bytes) -> ClusterView:
    table = OwnershipTable([TableEntry(PARTITION, 0, 1, NODES[0]), TableEntry(1, 0, 1, NODES[1])])
    nodes = {n: NodeView(n, f"n{n[0]}", "", 1, MEMBER, UP, f"n{n[0]}:1") for n in NODES}
    placement = Placement(table, Ring(table.owners, 2))
    return ClusterView(me, "c", b"c" * 16, placement, MemberMap(), nodes, frozenset(NODES))


def _ignore(error: StorageError | None) -> None:
    """Whoever compares waits for commits; whoever wrote does not."""
