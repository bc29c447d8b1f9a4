"""Some members of a cluster, in memory, that let tombstones be forgotten among them.

For tests of forgetting: each member is the production code from its committer to its answers.
Between them is a network that hands messages over at once, or keeps them unread, in their
order, until it is told to read them, or a flush comes behind them. Knows nothing of sockets,
of gossip or of clients.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any, TypeVar, cast

import trio

from dynamo_py.causality import NOTHING_SEEN, Context, HybridClock, Minter, Record
from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import DOWN, UP, ClusterView, NodeView, Placement
from dynamo_py.coordinator.peers import Peers
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DeadlineExceeded, DynamoError, NodeUnavailable
from dynamo_py.net.link import OnReply
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.forgettable import Forgettable
from dynamo_py.replica.promises import Promises
from dynamo_py.replica.proofs import Proofs
from dynamo_py.replica.replica import Replica, Write, Written
from dynamo_py.server.forgetting_requests import ForgettingRequests
from dynamo_py.server.replica_requests import ReplicaRequests
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.testing.replica_pair import Unthrottled
from dynamo_py.upkeep.barriers import Barriers
from dynamo_py.upkeep.forgetting import Forgetting
from dynamo_py.wire.codec import decode_body, encode_body
from dynamo_py.wire.forgetting_messages import Flush
from dynamo_py.wire.messages import Done, MemberEntry, Message, ReplicaPut, TableEntry
from ring import Ring

T = TypeVar("T")

PARTITION = 0
KEY = b"bucket\0key"
MEMBERS = 4
"""Nodes 0 to 2 are the primaries of the partition, node 0 walks; node 3 is a fallback."""
AFTER_S = 10.0
"""How old a tombstone has to be."""


def node(k: int) -> bytes:
    """The id of node ``k``."""
    return bytes([k + 1]) * 16


def _ignore(error: object) -> None:
    """Nobody waits."""


async def _at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()


class WallClock:
    """trio's clock, also for the wall, which shows a year in this century."""

    def monotonic(self) -> float:
        """Seconds of this run."""
        return trio.current_time()

    def wall_ms(self) -> int:
        """Milliseconds since 1970."""
        return 1_700_000_000_000 + int(trio.current_time() * 1000)


class _Links:
    """A member's links to the others."""

    def __init__(self, sender: int, net: MemberNet) -> None:
        self._sender = sender
        self._net = net

    def request(
        self, address: str, message: Message, *, wait_s: float, on_reply: OnReply, trace_id: int
    ) -> None:
        assert wait_s > 0
        number, body = encode_body(message)
        self._net.send(self._sender, int(address), decode_body(number, body), on_reply)


class MemberNet:
    """All members, and what is on its way between them."""

    def __init__(self) -> None:
        self.members = [ForgettingMember(k, self) for k in range(MEMBERS)]
        self.down: set[int] = set()
        """Those to which nobody has a connection."""
        self.held: set[tuple[int, int]] = set()
        """Sender and receiver between which nothing is read but a flush and what is before it."""
        self.unread: dict[tuple[int, int], list[tuple[Message, OnReply]]] = {}
        self.asked: list[tuple[int, Message]] = []
        """Each message that was handled, with its receiver."""
        self.before: Callable[[int, Message], object] = lambda receiver, message: None
        """Called with each message as it is handled, before that."""

    def send(self, sender: int, receiver: int, message: Message, on_reply: OnReply) -> None:
        """Put a message on its way."""
        if receiver in self.down:
            on_reply(NodeUnavailable("no connection", outcome="not_applied"))
            return
        self.unread.setdefault((sender, receiver), []).append((message, on_reply))
        if (sender, receiver) not in self.held or isinstance(message, Flush):
            self.read(sender, receiver)

    def read(self, sender: int, receiver: int) -> None:
        """Let the receiver handle all that the sender sent, in its order."""
        for message, on_reply in self.unread.pop((sender, receiver), []):
            if isinstance(message, Flush):
                self.note(receiver, message)
                on_reply(Done())
            else:
                self.members[receiver].handle(message, on_reply)

    def note(self, receiver: int, message: Message) -> None:
        """A message is about to be handled."""
        self.asked.append((receiver, message))
        self.before(receiver, message)

    def give_up(self, sender: int, receiver: int) -> None:
        """The sender waits no longer for its answers; what it has sent is unread still."""
        waiting = self.unread[sender, receiver]
        self.unread[sender, receiver] = [(message, _ignore) for message, _ in waiting]
        for _, on_reply in waiting:
            on_reply(DeadlineExceeded("it did not answer in time"))

    def see(self, *, down: Collection[int] = ()) -> None:
        """Let all know who is up."""
        self.down = set(down)
        for member in self.members:
            member.view = view_of(member.number, down)

    def kinds(self) -> list[tuple[int, type[Message]]]:
        """What was handled by whom, by kind."""
        return [(receiver, type(message)) for receiver, message in self.asked]

    @asynccontextmanager
    async def running(self, *, walkers: tuple[int, ...] = (0,)) -> AsyncIterator[None]:
        """Run all committers, and the loops of some members, while the body runs."""
        async with trio.open_nursery() as nursery:
            for member in self.members:
                nursery.start_soon(member.committer.run)
            for number in walkers:
                nursery.start_soon(self.members[number].forgetting.run)
            yield
            for member in self.members:
                member._check()
            nursery.cancel_scope.cancel()


def view_of(me: int, down: Collection[int] = (), *, known: int = MEMBERS) -> ClusterView:
    """What node ``me`` believes that knows the first ``known`` members."""
    table = OwnershipTable([TableEntry(t, 0, 1, node(t)) for t in range(MEMBERS)])
    placement = Placement(table, Ring(table.owners, 3))
    entries = [MemberEntry(node(k), 1, MEMBER, f"n{k}", 1, "") for k in range(known)]
    nodes = {
        node(k): NodeView(node(k), f"n{k}", "", 1, MEMBER, DOWN if k in down else UP, str(k))
        for k in range(known)
    }
    up = frozenset(n for n, seen in nodes.items() if seen.state == UP)
    members = MemberMap(entries)
    return ClusterView(node(me), "c", b"c" * 16, placement, members, nodes, up)


class ForgettingMember:
    """One member."""

    def __init__(self, number: int, net: MemberNet) -> None:
        clock = WallClock()
        self.net = net
        self.number = number
        self.view = view_of(number)
        self.committer = Committer(MemoryEngine(), _at_once)
        self.forgettable = Forgettable(wall_ms=clock.wall_ms, after_ms=int(AFTER_S * 1000))
        self.replica = Replica(
            self.committer,
            Minter(random.Random(number)),
            HybridClock(clock.wall_ms),
            wall_ms=clock.wall_ms,
            on_damage=_ignore,
            on_record=self._on_record,
        )
        self.proofs = Proofs(
            self.committer,
            self.replica.hints,
            self.committer.engine.get,
            wall_ms=clock.wall_ms,
        )
        self.under_way = UnderWay()
        links = cast(Any, _Links(number, net))
        self.peers = Peers(links, cast(Any, None), self.handle, under_way=self.under_way)
        self.sequence = 100 + number
        self.is_trusted = True
        self.requests = self._requests()
        self._write_ids = random.Random(f"write ids {number}")
        self.forgetting = Forgetting(
            self.replica,
            self.forgettable,
            self.peers,
            lambda: self.view,
            Unthrottled(),
            clock=clock,
            random_=random.Random(number),
            after_s=AFTER_S,
        )

    def _requests(self) -> ReplicaRequests:
        return ReplicaRequests(
            self.replica,
            Completeness(self.committer, MEMBERS),
            lambda: self.view,
            is_durable=True,
            forgetting=ForgettingRequests(
                self.replica,
                self.proofs,
                Promises(self.committer),
                Barriers(self.under_way, self.peers, lambda: self.view),
                lambda: self.view,
                sequence=lambda: self.sequence,
                is_trusted=lambda: self.is_trusted,
            ),
        )

    def _on_record(self, partition: int, key: bytes, record: Record | None) -> None:
        self.forgettable.note(partition, key, record)
        self.proofs.note(partition, key)

    def handle(self, message: Message, on_reply: OnReply) -> None:
        """A message comes in, from another member or from this one."""
        self.net.note(self.number, message)
        self.requests.answer(message, on_reply)

    def put(
        self,
        value: bytes | None,
        context: Context = NOTHING_SEEN,
        *,
        key: bytes = KEY,
        expires_ms: int = 0,
    ) -> Written:
        """Mint a write here, and send it nowhere."""
        write = Write(context, value, self._write_ids.randbytes(16), False, expires_ms)
        return self.replica.write(PARTITION, key, write, hinted_for=None, on_commit=_ignore)

    def take(self, encoded: bytes, *, hinted_for: int | None = None, key: bytes = KEY) -> None:
        """Merge a record into the copy, or keep it as a hint."""
        target = None if hinted_for is None else node(hinted_for)
        self.replica.merge(PARTITION, key, encoded, hinted_for=target, on_commit=_ignore)

    def send(
        self, receiver: int, encoded: bytes, *, hinted_for: int | None = None
    ) -> list[Message | DynamoError]:
        """Send a record as a coordinator does; what it is answered with, now and later."""
        answers: list[Message | DynamoError] = []
        walk = self.view.route(PARTITION).walk
        target = None if hinted_for is None else node(hinted_for)
        message = ReplicaPut(PARTITION, KEY, walk, encoded, target)
        self.peers.ask(self.view, node(receiver), message, wait_s=5.0, on_reply=answers.append)
        return answers

    def held(self, key: bytes = KEY) -> bytes | None:
        """The copy, pending changes included."""
        return self.replica.get(PARTITION, key)

    def _check(self) -> None:
        self.proofs._check()
        self.under_way._check()
        self.forgetting._check()
