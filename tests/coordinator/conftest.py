"""A coordinator among scripted replicas: no sockets, and a clock that jumps.

`World` is a cluster of which only one node is real. Every other answers as its `Behaviour`
says. Node k owns every token t with t mod nodes = k, and `KEY` lies in partition 0, so that
its primaries are nodes 0, 1, 2 … and its fallbacks the nodes after them, in order.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, cast

import pytest
import trio

from dynamo_py.causality import (
    EMPTY,
    Dot,
    HybridClock,
    Minter,
    Record,
    Sibling,
    decode_record,
    encode_record,
    vector_of,
)
from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import DOWN, UP, ClusterView, NodeView, Placement
from dynamo_py.config import CoordinatorConfig
from dynamo_py.coordinator.coordinator import Coordinator
from dynamo_py.coordinator.read import Reader
from dynamo_py.coordinator.scan import Scanner
from dynamo_py.coordinator.slow import SlowRequests
from dynamo_py.coordinator.write import Writer
from dynamo_py.errors import DeadlineExceeded, DynamoError, NodeUnavailable, StorageError
from dynamo_py.net.alarms import Alarms
from dynamo_py.replica.replica import Replica
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.wire.messages import (
    Get,
    Message,
    Page,
    Put,
    Quorum,
    ReplicaAck,
    ReplicaGet,
    ReplicaPut,
    ReplicaRecord,
    TableEntry,
)
from ring import Ring, partition_of, position_of

T = TypeVar("T")

PARTITIONS = 16
KEY = next(k for n in range(1000) if not partition_of(position_of(k := b"b\0%d" % n), PARTITIONS))
NOBODY_ANSWERS = NodeUnavailable("no connection", outcome="not_applied")
NOW_MS = 1_700_000_000_000


def node(k: int) -> bytes:
    """The id of node k."""
    return bytes([k + 1]) * 16


@dataclass(slots=True)
class Behaviour:
    """How one replica answers. A silent one leaves the request to its deadline."""

    delay_s: float = 0.001
    is_silent: bool = False
    error: DynamoError | None = None
    complete: bool = True
    record: bytes | None = None
    page: Page | None = None
    other_walks: list[Message] = field(default_factory=list)
    """What to answer first, to whatever is asked."""

    def answer(self, message: Message) -> Message | DynamoError:
        if self.error is not None:
            return self.error
        if self.other_walks:
            return self.other_walks.pop()
        match message:
            case ReplicaPut():
                held = EMPTY if self.record is None else decode_record(self.record)
                self.record = encode_record(held.merge(decode_record(message.record)))
                return ReplicaAck(True)
            case ReplicaGet():
                return ReplicaRecord(self.record, self.complete, [])
            case _:
                return self.page or Page([], None, [])


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it left the coordinator."""

    at_s: float
    node: int
    message: Message
    wait_s: float

    @property
    def hinted_for(self) -> int | None:
        """The node that the asked one is to stand in for."""
        assert isinstance(self.message, ReplicaPut)
        target = self.message.hinted_for
        return None if target is None else target[0] - 1


@dataclass(slots=True)
class ScriptedPeers:
    """The face of `Peers`, with replicas that do as they are told."""

    nursery: trio.Nursery
    behaviours: list[Behaviour]
    asked: list[Asked] = field(default_factory=list)
    began_s: float = field(default_factory=trio.current_time)

    def ask(
        self,
        view: ClusterView,
        node: bytes,
        message: Message,
        *,
        wait_s: float,
        on_reply: Callable[[Message | DynamoError], None],
        trace_id: int = 0,
    ) -> None:
        k = node[0] - 1
        self.asked.append(Asked(self.now_s, k, message, wait_s))
        behaviour = self.behaviours[k]
        if behaviour.is_silent:
            late = DeadlineExceeded("no answer in time")
            self.nursery.start_soon(self._later, wait_s, lambda: late, on_reply)
        elif behaviour.delay_s:
            answer = partial(behaviour.answer, message)
            self.nursery.start_soon(self._later, behaviour.delay_s, answer, on_reply)
        else:
            on_reply(behaviour.answer(message))

    async def _later(
        self,
        delay_s: float,
        answer: Callable[[], Message | DynamoError],
        on_reply: Callable[[Message | DynamoError], None],
    ) -> None:
        await trio.sleep(max(0.0, delay_s))
        on_reply(answer())

    @property
    def now_s(self) -> float:
        """Since the start of the test."""
        return round(trio.current_time() - self.began_s, 3)

    def of(self, kind: type[Message]) -> list[Asked]:
        """The requests of one kind."""
        return [asked for asked in self.asked if isinstance(asked.message, kind)]


@dataclass(slots=True)
class ScriptedLinks:
    """The face of `Links` for forwarding: an answer for each node, None for silence."""

    answers: dict[int, Message | DynamoError | None] = field(default_factory=dict)
    asked: list[tuple[int, Message]] = field(default_factory=list)

    async def ask(
        self, address: str, message: Message, *, wait_s: float, trace_id: int = 0
    ) -> Message:
        k = int(address.removeprefix("n"))
        self.asked.append((k, message))
        answer = self.answers.get(k, NOBODY_ANSWERS)
        if answer is None:
            await trio.sleep(wait_s)
            raise DeadlineExceeded("no answer in time")
        await trio.sleep(0.001)
        if isinstance(answer, DynamoError):
            raise answer
        return answer


class World:
    """One coordinator, and replicas that do as they are told."""

    def __init__(
        self, nursery: trio.Nursery, *, nodes: int, n: int = 3, me: int = 0, downs: Iterable[int]
    ) -> None:
        self.nodes = nodes
        self.n = n
        self.me = me
        self.peers = ScriptedPeers(nursery, [Behaviour() for _ in range(nodes)])
        self.peers.behaviours[me].delay_s = 0
        self.links = ScriptedLinks()
        owners = [node(token % nodes) for token in range(PARTITIONS)]
        self.view = self.view_of(owners, downs=downs)
        self.engine = MemoryEngine()
        self.committer = Committer(self.engine, self._offload)
        self.commit_error: StorageError | None = None
        self.replica = Replica(
            self.committer,
            Minter(random.Random(1)),
            HybridClock(lambda: NOW_MS),
            wall_ms=lambda: NOW_MS,
            on_damage=lambda partition: None,
        )
        self.slow = SlowRequests()
        self.alarms = Alarms(trio.current_time)
        self._assemble()

    def _assemble(self) -> None:
        clocks: dict[str, Any] = {"monotonic": trio.current_time, "wall_ms": lambda: NOW_MS}
        config = CoordinatorConfig()
        peers, links = cast(Any, self.peers), cast(Any, self.links)
        more: dict[str, Any] = {**clocks, "alarms": self.alarms, "slow": self.slow}
        self.reader = Reader(peers, config, **more)
        self.writer = Writer(self.replica, peers, config, is_durable=True, **more)
        self.coordinator = Coordinator(
            self.reader,
            self.writer,
            Scanner(peers, hedge_s=config.hedge_s, **clocks),
            links,
            lambda: self.view,
            **clocks,
        )

    async def _offload(self, work: Callable[[], T], /) -> T:
        await trio.lowlevel.checkpoint()
        if self.commit_error is not None:
            raise self.commit_error
        return work()

    def view_of(self, owners: list[bytes], *, downs: Iterable[int] = ()) -> ClusterView:
        """The cluster with these owners of tokens, each entry in its first version."""
        table = OwnershipTable([TableEntry(t, 0, 1, owner) for t, owner in enumerate(owners)])
        away = set(downs)
        seen = {
            node(k): NodeView(
                node(k), f"n{k}", "", 1, MEMBER, DOWN if k in away else UP, f"n{k}", "", ""
            )
            for k in range(self.nodes)
        }
        up = frozenset(node(k) for k in range(self.nodes) if k not in away)
        placement = Placement(table, Ring(tuple(owners), self.n))
        return ClusterView(node(self.me), "c", b"c" * 16, placement, MemberMap(), seen, up)

    def __getitem__(self, k: int) -> Behaviour:
        return self.peers.behaviours[k]

    # --- what clients do --------------------------------------------------------------------

    async def put(self, value: bytes | None = b"v", *, timeout_s: float = 5.0, **fields) -> Message:
        """Put `KEY` through the coordinator."""
        quorum = Quorum(fields.pop("w", 0), fields.pop("dw", 0), fields.pop("pw", 0))
        is_forwarded = fields.pop("is_forwarded", False)
        write_id, attempt = fields.pop("write_id", bytes(16)), fields.pop("attempt", 0)
        put = Put(KEY, value, b"", write_id, attempt, quorum, 0, **fields)
        deadline = trio.current_time() + timeout_s
        return await self.coordinator.put(put, deadline=deadline, is_forwarded=is_forwarded)

    async def get(self, *, r: int = 0, pr: int = 0, timeout_s: float = 5.0, only=None) -> Message:
        """Get `KEY` through the coordinator."""
        get = Get(KEY, Quorum(r, 0, pr), 0, only)
        return await self.coordinator.get(get, deadline=trio.current_time() + timeout_s)

    async def settle(self) -> None:
        """Wait until every request has been answered, late ones too."""
        await trio.sleep(10)

    # --- what replicas hold -----------------------------------------------------------------

    def record(self, value: bytes | None, number: int) -> bytes:
        """A record with one value, concurrent to those with another number."""
        dot = Dot(number + 1, 1, 1)
        sibling = Sibling(dot, value, number, number.to_bytes(16, "big"))
        return encode_record(Record(vector_of([dot]), (sibling,)))

    def merged(self, *records: bytes) -> bytes:
        """The join of records."""
        found = EMPTY
        for record in records:
            found = found.merge(decode_record(record))
        return encode_record(found)

    def values_of(self, record: bytes | None) -> list[bytes | None]:
        """The values in a record, oldest first."""
        return [] if record is None else [s.value for s in decode_record(record).values(NOW_MS)]


@pytest.fixture(name="key")
def _key() -> bytes:
    return KEY


@pytest.fixture
async def make_world(nursery, autojump_clock):
    """Makes worlds. The test itself must ask for `autojump_clock` too, or time is real."""
    assert trio.lowlevel.current_clock() is autojump_clock

    def make(*, nodes: int = 5, n: int = 3, me: int = 0, downs: Iterable[int] = ()) -> World:
        world = World(nursery, nodes=nodes, n=n, me=me, downs=downs)
        nursery.start_soon(world.committer.run)
        nursery.start_soon(world.alarms.run)
        return world

    return make


@pytest.fixture
def world(make_world) -> World:
    """Five nodes, N = 3: nodes 0, 1 and 2 are the key's primaries, 0 is the coordinator."""
    return make_world()
