"""Frames from clients: admitted, decoded, and carried out in a task each.

Knows nothing of replicas. A node sheds load at the door: past ``client_requests_max`` requests
under way a request is refused before its body is decoded. Work whose deadline has passed
before it could begin is dropped, since nobody waits for its answer.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import trio

from dynamo_py.coordinator.coordinator import Coordinator
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DynamoError, InvalidRequest, Overloaded
from dynamo_py.net.link import Link
from dynamo_py.server.replica_requests import in_doubt
from dynamo_py.server.workers import Workers
from dynamo_py.wire.bucket_messages import GetBuckets, SetBucket
from dynamo_py.wire.change_messages import ChangeMember, ClearChanges, CommitChanges, GetPlan
from dynamo_py.wire.codec import decode_body
from dynamo_py.wire.failures import to_message
from dynamo_py.wire.frames import STALE_RING, Frame
from dynamo_py.wire.handover_messages import GetTransfers
from dynamo_py.wire.messages import Explain, Get, GetHints, GetRing, GetStatus, Message, Put, Scan
from dynamo_py.wire.sync_messages import GetSync

WAIT_UNSAID_S = 5.0
"""How long a request may take whose client did not say how long it waits."""

_DEMANDING = Get | Put | Scan | ChangeMember | CommitChanges | ClearChanges
"""What a node is not asked for before its directory is known to be no old one."""

Answer = Callable[[Message, float], Awaitable[Message]]


class _Job(NamedTuple):
    """One request under way, and where its answer goes."""

    link: Link
    frame: Frame
    message: Message
    began_s: float
    deadline: float
    is_forwarded: bool
    ticket: int
    """It is under way from its frame on: a task may begin later."""


class ClientRequests:
    """What arrives on links from clients, and what peers forward. Lives while `run` runs."""

    def __init__(
        self,
        coordinator: Coordinator,
        *,
        monotonic: Callable[[], float],
        ring_digest: Callable[[], int],
        administration: Answer,
        requests_max: int,
        on_latency: Callable[[float], object] = lambda latency_s: None,
        under_way: UnderWay | None = None,
        is_serving: Callable[[], bool] = lambda: True,
    ) -> None:
        """``administration`` answers what is not about one key's value.

        ``on_latency`` is told how many seconds each get and put took: every one pays for it.
        ``is_serving`` says whether this node may answer for keys yet.
        """
        self._is_serving = is_serving
        self._coordinator = coordinator
        self._monotonic = monotonic
        self._ring_digest = ring_digest
        self._administration = administration
        self._requests_max = requests_max
        self._on_latency = on_latency
        self._all_work = under_way or UnderWay()
        self._under_way = 0
        self._draining: str | None = None
        self._idle = trio.Event()
        self._workers = Workers(self._serve)
        self.shed = 0

    @property
    def run(self) -> Callable[..., Awaitable[None]]:
        """Carries out requests until cancelled; for `trio.Nursery.start`."""
        return self._workers.run

    async def drain(self) -> None:
        """Refuse new requests from now on, and wait until those under way are answered."""
        self._draining = "this node is stopping: ask another one"
        while self._under_way:
            self._idle = trio.Event()
            await self._idle.wait()

    def handle(self, link: Link, frame: Frame) -> None:
        """A request's frame from a client. A broken one ends the link: `ProtocolError`."""
        refusal = self._refusal()
        if refusal is not None:
            self.shed += 1
            link.fail(frame, refusal)
            return
        self._start(link, frame, decode_body(frame.number, frame.body), is_forwarded=False)

    def handle_forwarded(self, link: Link, frame: Frame, message: Message) -> None:
        """A client's request that another node has sent on."""
        refusal = self._refusal()
        if refusal is not None:
            self.shed += 1
            link.fail(frame, refusal)
            return
        self._start(link, frame, message, is_forwarded=True)

    async def ask(self, message: Message, *, timeout_s: float) -> Message:
        """Carry out a request of this process itself; raises its error."""
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        self._under_way += 1
        began_s = self._monotonic()
        ticket = self._all_work.begin(None)
        try:
            return await self._carry_out(message, began_s + timeout_s, 0, is_forwarded=False)
        finally:
            self._note_latency(message, began_s)
            self._finished(ticket)

    def _refusal(self) -> DynamoError | None:
        if self._draining is not None or not self._workers.is_running:
            return Overloaded(self._draining or "this node is starting: ask another one")
        if self._under_way >= self._requests_max:
            return Overloaded(f"{self._under_way} requests are under way: try again")
        return None

    def _start(self, link: Link, frame: Frame, message: Message, *, is_forwarded: bool) -> None:
        self._under_way += 1
        wait_s = frame.wait_ms / 1000 if frame.wait_ms else WAIT_UNSAID_S
        now_s = self._monotonic()
        ticket = self._all_work.begin(None)
        self._workers.start(_Job(link, frame, message, now_s, now_s + wait_s, is_forwarded, ticket))

    async def _serve(self, job: _Job) -> None:
        try:
            if self._monotonic() >= job.deadline:
                return
            try:
                message = self._aged(job)
                reply = await self._carry_out(
                    message, job.deadline, job.frame.trace_id, job.is_forwarded
                )
            except DynamoError as error:
                reply = to_message(error)
            job.link.reply(job.frame, reply, flags=self._flags(job.message))
            self._note_latency(job.message, job.began_s)
        finally:
            self._finished(job.ticket)

    def _aged(self, job: _Job) -> Message:
        """A repeated put is older by the time on its way and until its task began."""
        message = job.message
        if isinstance(message, Put) and message.attempt:
            waited_ms = math.ceil((self._monotonic() - job.began_s) * 1000)
            age_ms = message.age_ms + job.frame.held_ms + waited_ms
            return msgspec.structs.replace(message, age_ms=age_ms)
        return message

    def _note_latency(self, message: Message, began_s: float) -> None:
        if isinstance(message, Get | Put):  # Nobody waits for the others as for these.
            self._on_latency(self._monotonic() - began_s)

    def _finished(self, ticket: int) -> None:
        self._all_work.end(ticket)
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    async def _carry_out(
        self, message: Message, deadline: float, trace_id: int, is_forwarded: bool
    ) -> Message:
        if isinstance(message, _DEMANDING) and not self._is_serving():
            raise in_doubt()
        match message:
            case Get():
                return await self._coordinator.get(message, deadline=deadline, trace_id=trace_id)
            case Put():
                return await self._coordinator.put(
                    message, deadline=deadline, trace_id=trace_id, is_forwarded=is_forwarded
                )
            case Scan():
                return await self._coordinator.scan(message, deadline=deadline)
            case GetRing() | GetStatus() | GetHints() | GetSync() | Explain():
                return await self._administration(message, deadline)
            case GetBuckets() | SetBucket() | GetPlan() | GetTransfers():
                return await self._administration(message, deadline)
            case ChangeMember() | CommitChanges() | ClearChanges():
                return await self._administration(message, deadline)
            case _:
                raise InvalidRequest(f"{type(message).__name__} is no request of a client's")

    def _flags(self, message: Message) -> int:
        """Whether the client routed by an outdated ring: it fetches the new one then."""
        if isinstance(message, Get | Put | Scan) and message.ring != self._ring_digest():
            return STALE_RING
        return 0

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return {
            "requests_under_way": self._under_way,
            "requests_shed_total": self.shed,
            **self._coordinator.figures(),
        }

    def statistics(self) -> dict[str, int]:
        """Requests under way, and refused at the door so far."""
        return {"under_way": self._under_way, "shed": self.shed}

    def _check(self) -> None:
        assert 0 <= self._under_way <= self._requests_max
        self._coordinator._check()
