"""Carries out a client's request on whichever node it reached: here, or by one forwarding.

Knows nothing of links from clients or of admission. A write is coordinated by a primary of
its key; a node that is none forwards it, once, and coordinates it itself only where no
primary answers, since the store is to stay writable. A request whose view of the ring turns
out to be outdated is planned again by the newer one.

A put that is not the first attempt of its write is minted only after a quorum was asked what
it knows of the others: nobody mints a write a second time that a quorum could tell of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress

import msgspec

from dynamo_py.causality import decode_record
from dynamo_py.cluster.buckets import is_last_write_wins, put_by, read_by
from dynamo_py.cluster.view import ClusterView
from dynamo_py.config import VALUE_BYTES_MAX
from dynamo_py.coordinator.peers import WalkChanged
from dynamo_py.coordinator.plan import read_before_repeating
from dynamo_py.coordinator.read import Reader
from dynamo_py.coordinator.scan import Scanner
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.coordinator.write import Writer
from dynamo_py.errors import (
    DeadlineExceeded,
    DynamoError,
    InvalidRequest,
    NodeUnavailable,
    ProtocolError,
    QuorumNotMet,
    WrongState,
)
from dynamo_py.net.links import Links
from dynamo_py.wire.keys import split_routing_key
from dynamo_py.wire.messages import Fetched, Get, Put, Quorum, Scan, ScanPage, Stored

PLANS_MAX = 5
"""How often a request is planned anew while the ring moves under it."""
FORWARD_S = 1.0
"""How long one primary may take with a forwarded write before the next one is asked."""
READ_SHARE = 0.5
"""The part of a repeated put's time that finding out about its earlier attempts may take."""


class Coordinator:
    """The entry to reads, writes and scans on one node."""

    def __init__(
        self,
        reader: Reader,
        writer: Writer,
        scanner: Scanner,
        links: Links,
        view: Callable[[], ClusterView],
        *,
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
        under_way: UnderWay | None = None,
    ) -> None:
        self._under_way = under_way or UnderWay()
        self._reader = reader
        self._writer = writer
        self._scanner = scanner
        self._links = links
        self._view = view
        self._monotonic = monotonic
        self._wall_ms = wall_ms

    async def get(self, get: Get, *, deadline: float, trace_id: int = 0) -> Fetched:
        """Read a key."""
        split_routing_key(get.key)
        if get.only is not None:
            view = self._view()
            node = view.named(get.only)
            if node is None:
                raise InvalidRequest(f"the cluster has no node {get.only!r}")
            return await self._reader.read_one(view, get, node.node, deadline=deadline)
        quorum = read_by(self._view().buckets.of_key(get.key), get.quorum)
        if quorum is not get.quorum:
            get = msgspec.structs.replace(get, quorum=quorum)
        for _ in range(PLANS_MAX):
            with suppress(WalkChanged):
                return await self._reader.read(
                    self._view(), get, deadline=deadline, trace_id=trace_id
                )
        raise _ring_is_changing()

    async def put(
        self, put: Put, *, deadline: float, trace_id: int = 0, is_forwarded: bool = False
    ) -> Stored:
        """Write a key; ``is_forwarded`` says that another node sent it on."""
        split_routing_key(put.key)
        if put.value is not None and len(put.value) > VALUE_BYTES_MAX:
            raise InvalidRequest(
                f"a value has at most {VALUE_BYTES_MAX} bytes; this one has {len(put.value)}"
            )
        put = put_by(self._view().buckets.of_key(put.key), put)
        if put.if_absent:
            await self._check_absent(put, deadline, trace_id)

        partition = self._view().partition_of(put.key)
        arrived_s = self._monotonic()
        for plans in range(PLANS_MAX):
            # The plan before may have left its record somewhere.
            planned = self._repeated(put, put.attempt + plans, arrived_s) if plans else put
            try:
                return await self._put_by(
                    self._view(), partition, planned, deadline, trace_id, is_forwarded
                )
            except WalkChanged:
                continue
            except DynamoError as error:
                if plans:
                    error.outcome = "unknown"
                raise
        raise _ring_is_changing()

    async def scan(self, scan: Scan, *, deadline: float) -> ScanPage:
        """A page of keys."""
        said = self._view().buckets.of_key(scan.prefix)
        scan = msgspec.structs.replace(scan, quorum=read_by(said, scan.quorum))
        for _ in range(PLANS_MAX):
            with suppress(WalkChanged):
                return await self._scanner.scan(self._view(), scan, deadline=deadline)
        raise _ring_is_changing()

    async def _put_by(
        self,
        view: ClusterView,
        partition: int,
        put: Put,
        deadline: float,
        trace_id: int,
        is_forwarded: bool,
    ) -> Stored:
        if view.me in view.route(partition).primaries:
            return await self._coordinate(view, partition, put, deadline, trace_id)
        if is_forwarded:
            raise NodeUnavailable(
                f"node {view.name_of(view.me)} is no primary of this key any more, or not yet",
                outcome="not_applied",
            )
        return await self._forward(view, partition, put, deadline, trace_id)

    async def _forward(
        self, view: ClusterView, partition: int, put: Put, deadline: float, trace_id: int
    ) -> Stored:
        """Let a primary coordinate; where none answers, do it here."""
        arrived_s, attempt = self._monotonic(), put.attempt
        unreached: list[bytes] = []
        silent: list[bytes] = []
        for node in view.route(partition).primaries:
            wait_s = min(FORWARD_S, deadline - self._monotonic())
            if not view.is_up(node) or wait_s <= 0:
                continue
            try:
                reply = await self._links.ask(
                    view.address_of(node),
                    self._repeated(put, attempt, arrived_s) if attempt else put,
                    wait_s=wait_s,
                    trace_id=trace_id,
                )
            except (NodeUnavailable, DeadlineExceeded) as error:
                attempt += error.outcome == "unknown"
                self._under_way.note_failure(node, error)
                (silent if error.outcome == "unknown" else unreached).append(node)
                continue
            if not isinstance(reply, Stored):
                kind = type(reply).__name__
                raise ProtocolError(f"a put was answered by a {kind}", outcome="unknown")
            return reply
        here = self._repeated(put, attempt, arrived_s) if attempt else put
        try:
            return await self._coordinate(
                view, partition, here, deadline, trace_id, (*unreached, *silent)
            )
        except DynamoError as error:
            if silent:  # What it is refused with here says nothing of what those have done.
                error.outcome = "unknown"
            raise

    async def _coordinate(
        self,
        view: ClusterView,
        partition: int,
        put: Put,
        deadline: float,
        trace_id: int,
        unanswered: tuple[bytes, ...] = (),
    ) -> Stored:
        """Mint here, or store and send once more what an earlier attempt has made."""
        found = None
        if put.attempt and not self._writer.knows(partition, put):
            arrived_s = self._monotonic()
            found = await self._find_earlier(view, partition, put, deadline, trace_id)
            put = self._repeated(put, put.attempt, arrived_s)
        return await self._writer.write(
            view,
            partition,
            put,
            deadline=deadline,
            trace_id=trace_id,
            unanswered=unanswered,
            found=found,
        )

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return self._reader.hedging.figures()

    def _check(self) -> None:
        self._reader.hedging._check()

    def _repeated(self, put: Put, attempt: int, arrived_s: float) -> Put:
        """``put``, which arrived at ``arrived_s``, as it is now: an attempt after others."""
        age_ms = put.age_ms + math.ceil((self._monotonic() - arrived_s) * 1000)
        return msgspec.structs.replace(put, attempt=attempt, age_ms=age_ms)

    async def _find_earlier(
        self, view: ClusterView, partition: int, put: Put, deadline: float, trace_id: int
    ) -> bytes | None:
        """What a quorum knows of the key. Half of the time is left to the write itself.

        Raises `QuorumNotMet`, since nothing may be minted then: the earlier attempt may have
        been carried out, and superseded. Raises `WalkChanged` too.
        """
        quorum = read_before_repeating(put.quorum, len(view.route(partition).primaries))
        now_s = self._monotonic()
        try:
            fetched = await self._reader.read(
                view,
                Get(put.key, quorum, put.ring),
                deadline=now_s + (deadline - now_s) * READ_SHARE,
                trace_id=trace_id,
            )
        except QuorumNotMet as error:
            raise QuorumNotMet(
                f"{len(error.acked)} of the {error.required} replicas needed have said whether"
                " they know this write, so it was not repeated; it may still have happened:"
                " read the key before you write again",
                required=error.required,
            ) from error
        return fetched.record

    async def _check_absent(self, put: Put, deadline: float, trace_id: int) -> None:
        """Best effort: another client may put the key between this read and the write."""
        get = Get(put.key, Quorum(), put.ring)
        fetched = await self.get(get, deadline=deadline, trace_id=trace_id)
        is_last_alone = is_last_write_wins(self._view().buckets.of_key(put.key))
        if _has_other_value(fetched, put.write_id, is_last_alone=is_last_alone):
            raise WrongState("the key exists already")


def _ring_is_changing() -> NodeUnavailable:
    """Each plan of a request was outdated before it could be carried out."""
    return NodeUnavailable("the ring is changing: try again")


def _has_other_value(fetched: Fetched, write_id: bytes, *, is_last_alone: bool) -> bool:
    if fetched.record is None:
        return False
    record = decode_record(fetched.record)
    if record.has_write(write_id):  # It was absent, and is there or was: by this very put.
        return False
    if is_last_alone:
        return record.winner(fetched.now_ms) is not None
    return bool(record.values(fetched.now_ms))
