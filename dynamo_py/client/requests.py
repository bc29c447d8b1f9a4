"""Requests to a cluster, with retries: the client's waiting half.

What a request is to mean for its user is in `dynamo_py.client.bucket`; which node to ask in
`dynamo_py.client.routing`. A request that failed and may be repeated is, on another node,
within its deadline; a write keeps its write id, so that it stays one write. A node that is
slow is passed over, and asked now and then what nobody waits for, to learn whether it still is.
"""

from __future__ import annotations

import math
from typing import Protocol, TypeVar

import msgspec
import trio

from dynamo_py.client.routing import Router
from dynamo_py.environment import Environment
from dynamo_py.errors import (
    DeadlineExceeded,
    DynamoError,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
    QuorumNotMet,
    StorageError,
)
from dynamo_py.net.latencies import Latencies
from dynamo_py.net.link import Link, Untimed
from dynamo_py.net.links import Links
from dynamo_py.wire.bucket_messages import SetBucket
from dynamo_py.wire.buckets import BucketProperties
from dynamo_py.wire.change_messages import ChangeMember, ClearChanges, CommitChanges
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.handshake import hello_from_client
from dynamo_py.wire.messages import Explain, Get, GetRing, Message, Put, Ring, Scan

ATTEMPT_S_MIN = 1.0
ATTEMPT_SHARE = 0.4
"""One attempt takes at most this share of the whole time, so that a node that accepts the
request and then says nothing leaves time for another."""
PAUSE_S = 0.05
REFRESH_S = 0.25
"""The ring is fetched at most this often."""
REFRESH_DOWN_S = 2.0
"""It is fetched this often while it says that a node is down: nothing else tells the return."""
PROBE_S = 1.0
"""How long a slow node may take with a get that only tries whether it still is slow."""
RING_S = 5.0
"""How long fetching it may take."""

M = TypeVar("M", bound=Message)


class Requests(Protocol):
    """Where messages of a store's face go: a cluster, or a node in this process."""

    @property
    def partitions(self) -> int:
        """How many partitions the ring has."""
        ...

    @property
    def ring_digest(self) -> int:
        """The digest of the ring by which requests are routed."""
        ...

    def properties_of(self, bucket: str) -> BucketProperties:
        """The properties of a bucket, as far as they are known here."""
        ...

    def write_id(self) -> bytes:
        """A new write id, 16 random bytes."""
        ...

    async def ask(self, message: Message, *, timeout_s: float) -> Message:
        """The answer to ``message``; raises the `DynamoError` that it ended with."""
        ...


async def ask_for(requests: Requests, message: Message, kind: type[M], *, timeout_s: float) -> M:
    """The answer to ``message``, which is to be a ``kind``; else `ProtocolError`."""
    reply = await requests.ask(message, timeout_s=timeout_s)
    if not isinstance(reply, kind):
        raise ProtocolError(
            f"a {type(message).__name__} was answered by a {type(reply).__name__}",
            outcome="unknown",
        )
    return reply


class RemoteRequests:
    """Requests over links to the nodes of a cluster. Lives while `run` runs."""

    def __init__(
        self, environment: Environment, addresses: tuple[str, ...], *, cluster: str | None
    ) -> None:
        self._environment = environment
        self._monotonic = environment.clock.monotonic
        self._given = addresses
        self._router = Router(addresses)
        self._stale = trio.Event()
        self._links = Links(
            environment,
            hello=lambda: hello_from_client(cluster, "client"),
            timestamps=Untimed(),
            handle=_refuse,
            on_lost=self._on_lost,
            on_stale_ring=lambda: self._stale.set(),
        )

    @property
    def partitions(self) -> int:
        """As the ring says."""
        routing = self._router.routing
        assert routing is not None, "connected first"
        return routing.partitions

    @property
    def ring_digest(self) -> int:
        """Of the ring that this client knows."""
        return self._router.digest

    def properties_of(self, bucket: str) -> BucketProperties:
        """As they came with the ring."""
        return self._router.properties_of(bucket)

    def write_id(self) -> bytes:
        """From the environment's generator."""
        return self._environment.random.getrandbits(128).to_bytes(16, "big")

    # --- lifetime --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the links and the ring up to date until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._links.run)
            nursery.start_soon(self._refresh)

    async def wait_connected(self) -> None:
        """Wait for a first node and its ring; `NodeUnavailable` if no address answers."""
        reasons: dict[str, str] = {}
        found = trio.Event()

        async def try_one(address: str) -> None:
            try:
                await self._links.wait_connected(address)
                found.set()
                tries.cancel()  # One is enough.
            except NodeUnavailable as error:
                reasons[address] = error.reasons.get(address, error.message)

        tries = trio.CancelScope()
        with tries:
            async with trio.open_nursery() as nursery:
                for address in self._given:
                    nursery.start_soon(try_one, address)
        if not found.is_set():
            raise NodeUnavailable(
                "no node answered: "
                + "; ".join(f"{address}: {why}" for address, why in reasons.items()),
                reasons=reasons,
                outcome="not_applied",
            )
        await self._fetch_ring()
        if self._router.has_down:
            self._stale.set()  # Whoever refreshes it does not know of it yet.

    async def _refresh(self) -> None:
        while True:
            with trio.move_on_after(REFRESH_DOWN_S if self._router.has_down else math.inf):
                await self._stale.wait()
            self._stale = trio.Event()
            try:
                await self._fetch_ring()
            except DynamoError:
                self._stale.set()  # Nobody can say; ask again after the pause.
            await trio.sleep(REFRESH_S)

    async def _fetch_ring(self) -> None:
        self._router.learn(await ask_for(self, GetRing(), Ring, timeout_s=RING_S))
        self._links.keep(self._router.addresses)

    def _on_lost(self, address: str) -> None:
        self._router.failed(address, self._monotonic())

    # --- asking ----------------------------------------------------------------------------------

    async def ask(self, message: Message, *, timeout_s: float) -> Message:
        """Ask one node after the other until one answers, or the time is up."""
        begun = self._monotonic()
        deadline = begun + timeout_s
        attempt_s = max(ATTEMPT_S_MIN, timeout_s * ATTEMPT_SHARE)
        last: DynamoError | None = None
        most_telling: DynamoError | None = None
        is_unknown = False
        attempt = 0
        while (now := self._monotonic()) < deadline:
            order = self._router.order(self._partition(message), now)
            measured = self._router.measured(message)
            if measured is not None and measured.is_suspect(order[0], now):
                order = self._around_slow(message, order, measured, now)
            for address in order:
                wait_s = min(attempt_s, deadline - self._monotonic())
                if wait_s <= 0:
                    break
                try:
                    its_attempt = _attempt(message, attempt, self._monotonic() - begun)
                    reply = await self._ask_one(address, its_attempt, wait_s, measured)
                except DynamoError as error:
                    if not error.retryable:
                        raise
                    last, most_telling = error, _more_telling(most_telling, error)
                    if error.outcome == "unknown":
                        is_unknown, attempt = True, attempt + 1
                    self._note(address, error)
                else:
                    self._router.answered(address)
                    return reply
            await self._pause(last, deadline)
        is_unknown &= isinstance(message, _CHANGING)
        raise _final(most_telling, timeout_s, is_unknown=is_unknown)

    async def _ask_one(
        self, address: str, message: Message, wait_s: float, measured: Latencies[str] | None
    ) -> Message:
        if measured is None:
            return await self._links.ask(address, message, wait_s=wait_s)
        began, is_answered = self._monotonic(), False
        measured.begin(address, began)
        try:
            reply = await self._links.ask(address, message, wait_s=wait_s)
            is_answered = True
            return reply
        finally:
            measured.end(address, began, self._monotonic(), is_answered=is_answered)

    def _around_slow(
        self, message: Message, order: list[str], measured: Latencies[str], now: float
    ) -> list[str]:
        """``order`` without a slow node in front; now and then such a one is asked all the same.

        A get is sent to it beside the one that is waited for. A put cannot be: it goes there.
        """
        around = self._router.around_slow(order, measured, now)
        if around is order or not measured.probe(order[0], now):
            return around
        if not isinstance(message, Get):
            return order
        address, began = order[0], now

        def answered(reply: Message | DynamoError) -> None:
            is_answered = not isinstance(reply, DynamoError)
            measured.end(address, began, self._monotonic(), is_answered=is_answered)

        measured.begin(address, began)
        self._links.request(address, message, wait_s=PROBE_S, on_reply=answered)
        return around

    def _partition(self, message: Message) -> int | None:
        routing = self._router.routing
        if routing is None:
            return None
        if isinstance(message, Get | Put | Explain):
            return routing.partition_of(message.key)
        return message.partition if isinstance(message, Scan) else None

    def _note(self, address: str, error: DynamoError) -> None:
        if isinstance(error, NodeUnavailable | DeadlineExceeded):
            self._router.failed(address, self._monotonic())
            self._stale.set()

    async def _pause(self, last: DynamoError | None, deadline: float) -> None:
        """Everybody has been asked: wait a moment before the next round."""
        wanted_s = max(PAUSE_S, last.retry_after) if isinstance(last, Overloaded) else PAUSE_S
        jittered_s = wanted_s * self._environment.random.uniform(0.5, 1.5)
        # `retry_after` is a stranger's word: neither beyond the deadline nor below nothing.
        await trio.sleep(max(0.0, min(deadline - self._monotonic(), jittered_s)))


def _attempt(message: Message, attempt: int, age_s: float) -> Message:
    if attempt and isinstance(message, Put):
        return msgspec.structs.replace(message, attempt=attempt, age_ms=math.ceil(age_s * 1000))
    if attempt and isinstance(message, ChangeMember | CommitChanges):
        return msgspec.structs.replace(message, attempt=attempt)
    return message


_CHANGING = Put | SetBucket | ChangeMember | CommitChanges | ClearChanges
"""What may have happened although nobody has said so."""

_TELLING = (QuorumNotMet, StorageError, Overloaded, DeadlineExceeded, NodeUnavailable)
"""What tells a user most first: "two of three replicas are gone" over "this one refused"."""


def _more_telling(one: DynamoError | None, other: DynamoError) -> DynamoError:
    """Of two attempts' errors the one to end with."""
    return other if one is None else min(other, one, key=_tells)


def _tells(error: DynamoError) -> tuple[int, int]:
    """Less for what tells more: by kind, and by how far the attempt came."""
    kind = next((i for i, kind in enumerate(_TELLING) if isinstance(error, kind)), len(_TELLING))
    return kind, -len(error.acked) if isinstance(error, QuorumNotMet) else 0


def _final(most_telling: DynamoError | None, timeout_s: float, *, is_unknown: bool) -> DynamoError:
    """The error that a request ends with when its time is up."""
    error = most_telling or DeadlineExceeded(f"no answer within {timeout_s:g} s")
    error.outcome = "unknown" if is_unknown else "not_applied"
    return error


def _refuse(link: Link, frame: Frame) -> None:
    """Nodes ask nothing of clients."""
