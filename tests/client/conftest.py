"""Two stand-ins for a cluster: scripted nodes behind real listeners, and a store in memory."""

from __future__ import annotations

import bisect
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
import trio

from dynamo_py.causality import (
    EMPTY,
    Dot,
    Record,
    Sibling,
    decode_context,
    encode_context,
    encode_record,
)
from dynamo_py.causality.hlc import COUNTER_BITS
from dynamo_py.errors import DynamoError
from dynamo_py.net.link import Link, Untimed
from dynamo_py.net.listener import Listener
from dynamo_py.net.world import TcpTransport
from dynamo_py.wire import messages as wire
from dynamo_py.wire.buckets import BucketProperties
from dynamo_py.wire.codec import decode_body
from dynamo_py.wire.failures import to_message
from dynamo_py.wire.frames import STALE_RING, Frame
from dynamo_py.wire.handshake import CLIENT, Identity
from ring import partition_of, position_of

CLUSTER_ID = b"c" * 16
PARTITIONS = 8
STORED = wire.Stored(b"", ["n1"], [], False, 1, 1)

Script = Callable[[wire.Message], wire.Message | DynamoError | None]


class FakeNode:
    """A node's client port. ``script`` answers; None says nothing at all."""

    def __init__(self, number: int, cluster: FakeCluster) -> None:
        self.name = f"n{number}"
        self.node = bytes([number]) * 16
        self.address = ""
        self.cluster = cluster
        self.script: Script = lambda message: STORED
        self.asked: list[wire.Message] = []
        self.frames: list[Frame] = []
        self.links: list[Link] = []
        self.ring_fetches = 0
        self._scope = trio.CancelScope()

    async def start(self, nursery: trio.Nursery, address: str = "127.0.0.1:0") -> None:
        listening = await TcpTransport().listen(address)
        self.address = listening.address
        listener = Listener(
            listening,
            role=CLIENT,
            identity=lambda: Identity(self.node, self.name, "dynamo", CLUSTER_ID),
            monotonic=trio.current_time,
            timestamps=Untimed(),
            handle=self._handle,
        )
        self._scope = trio.CancelScope()
        nursery.start_soon(self._run, listener, self._scope)

    async def _run(self, listener: Listener, scope: trio.CancelScope) -> None:
        with scope:
            await listener.run()

    def stop(self) -> None:
        self._scope.cancel()

    def _handle(self, link: Link, frame: Frame) -> None:
        message = decode_body(frame.number, frame.body)
        self.links.append(link)
        if isinstance(message, wire.GetRing):
            self.ring_fetches += 1
            self.cluster.changed()
            link.reply(frame, self.cluster.ring)
            return
        self.asked.append(message)
        self.frames.append(frame)
        self.cluster.changed()
        reply = self.script(message)
        if isinstance(reply, DynamoError):
            reply = to_message(reply)
        if reply is not None:
            known = getattr(message, "ring", self.cluster.ring.digest)
            flags = STALE_RING if known != self.cluster.ring.digest else 0
            link.reply(frame, reply, flags=flags)


class FakeCluster:
    """Some `FakeNode`s, and the ring that they tell of."""

    def __init__(self, count: int) -> None:
        self.nodes = [FakeNode(number, self) for number in range(1, count + 1)]
        self.ring: wire.Ring
        self._changed = trio.Event()

    def tell_ring(self, *, digest: int = 1, down: tuple[FakeNode, ...] = ()) -> None:
        """From now on tell this ring: tokens dealt out in turn."""
        self.ring = wire.Ring(
            "dynamo",
            CLUSTER_ID,
            3,
            digest,
            [
                wire.RingNode(n.node, n.name, n.address, "", "down" if n in down else "up")
                for n in self.nodes
            ],
            [token % len(self.nodes) for token in range(PARTITIONS)],
        )

    def changed(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self, is_so: Callable[[], bool]) -> None:
        """Wait until a request makes it so."""
        while not is_so():
            await self._changed.wait()

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(node.address for node in self.nodes)

    def by_address(self, address: str) -> FakeNode:
        return next(node for node in self.nodes if node.address == address)

    def answer_all(self, script: Script) -> None:
        for node in self.nodes:
            node.script = script

    @property
    def asked(self) -> list[wire.Message]:
        return [message for node in self.nodes for message in node.asked]


@pytest.fixture
def running_cluster():
    """``async with running_cluster(3) as cluster``: its nodes listen on loopback."""

    @asynccontextmanager
    async def running_cluster(count: int):
        cluster = FakeCluster(count)
        async with trio.open_nursery() as nursery:
            for node in cluster.nodes:
                await node.start(nursery)
            cluster.tell_ring()
            yield cluster
            nursery.cancel_scope.cancel()

    return running_cluster


class MemoryRequests:
    """A whole store as one dictionary of records: what a cluster does when nothing fails."""

    def __init__(self) -> None:
        self.partitions = PARTITIONS
        self.ring_digest = 1
        self.records: dict[bytes, Record] = {}
        self.properties: dict[str, BucketProperties] = {}
        self.asked: list[wire.Message] = []
        self.before: Callable[[wire.Message], None] = lambda message: None
        """Called with each message before it is carried out: another client's chance."""
        self._writes = 0

    def properties_of(self, bucket: str) -> BucketProperties:
        return self.properties.get(bucket, BucketProperties())

    def write_id(self) -> bytes:
        self._writes += 1
        return self._writes.to_bytes(16, "big")

    async def ask(self, message: wire.Message, *, timeout_s: float) -> wire.Message:
        await trio.lowlevel.checkpoint()
        self.asked.append(message)
        self.before(message)
        match message:
            case wire.Get():
                record = self.records.get(message.key)
                found = None if record is None else encode_record(record)
                return wire.Fetched(found, 0, ["n1", "n2"], False, 2)
            case wire.Put():
                return self.put(message.key, message.value, message.context, message.write_id)
            case wire.Scan():
                return self._scan(message)
        return wire.Done()

    def put(
        self, key: bytes, value: bytes | None, context: bytes = b"", write_id: bytes = b""
    ) -> wire.Stored:
        """A write, by the client under test or by another one."""
        seen = decode_context(context)
        before = self.records.get(key, EMPTY)
        dot = Dot(1, 1, len(self.asked) * 1000 + self._writes * 10 + len(before.siblings) + 1)
        stamp = (1_700_000_000_000 + dot.counter) << COUNTER_BITS
        write = Sibling(dot, value, stamp, write_id or b"other %d" % dot.counter)
        after = self.records[key] = before.update(seen, write)
        covered = encode_context(Record(seen.vector.with_dot(dot), (write,)).context())
        return wire.Stored(covered, ["n1", "n2"], [], False, after.writes(), 2)

    def _scan(self, scan: wire.Scan) -> wire.ScanPage:
        keys = sorted(
            key
            for key, record in self.records.items()
            if partition_of(position_of(key), self.partitions) == scan.partition
            and key.startswith(scan.prefix)
            and record.values(0)
        )
        page = keys[bisect.bisect_right(keys, scan.start) :][: scan.limit]
        more = bool(page) and page[-1] != keys[-1]
        return wire.ScanPage(page, page[-1] if more else None)


@pytest.fixture
def memory() -> MemoryRequests:
    return MemoryRequests()


@pytest.fixture
def new_memory() -> type[MemoryRequests]:
    return MemoryRequests
