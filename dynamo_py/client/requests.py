"""Requests to a cluster, with retries: the client's waiting half.

What a request is to mean for its user is in `dynamo_py.client.bucket`; which node to ask in
`dynamo_py.client.routing`. A request that failed and may be repeated is, on another node,
within its deadline; a write keeps its write id, so that it stays one write.
"""

from __future__ import annotations

from typing import Protocol

import msgspec
import trio

from dynamo_py.client.routing import Router
from dynamo_py.environment import Environment
from dynamo_py.errors import (
    DeadlineExceeded,
    DynamoError,
    NodeUnavailable,
    Overloaded,
    QuorumNotMet,
)
from dynamo_py.net.link import Link, Untimed
from dynamo_py.net.links import Links
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

    def write_id(self) -> bytes:
        """A new write id, 16 random bytes."""
        ...

    async def ask(self, message: Message, *, timeout_s: float) -> Message:
        """The answer to ``message``; raises the `DynamoError` that it ended with."""
        ...


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
            except NodeUnavailable as error:
                reasons[address] = error.reasons.get(address, error.message)

        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as tries:
                for address in self._given:
                    tries.start_soon(try_one, address)
                nursery.start_soon(_cancel_when, found, tries.cancel_scope)
            nursery.cancel_scope.cancel()
        if not found.is_set():
            raise NodeUnavailable(
                "no node answered: "
                + "; ".join(f"{address}: {why}" for address, why in reasons.items()),
                reasons=reasons,
                outcome="not_applied",
            )
        await self._fetch_ring()

    async def _refresh(self) -> None:
        while True:
            await self._stale.wait()
            self._stale = trio.Event()
            try:
                await self._fetch_ring()
            except DynamoError:
                self._stale.set()  # Nobody can say; ask again after the pause.
            await trio.sleep(REFRESH_S)

    async def _fetch_ring(self) -> None:
        reply = await self.ask(GetRing(), timeout_s=5.0)
        assert isinstance(reply, Ring), reply
        self._router.learn(reply)
        self._links.keep(self._router.addresses)

    def _on_lost(self, address: str) -> None:
        self._router.failed(address, self._monotonic())

    # --- asking ----------------------------------------------------------------------------------

    async def ask(self, message: Message, *, timeout_s: float) -> Message:
        """Ask one node after the other until one answers, or the time is up."""
        deadline = self._monotonic() + timeout_s
        attempt_s = max(ATTEMPT_S_MIN, timeout_s * ATTEMPT_SHARE)
        last: DynamoError | None = None
        is_unknown = False
        attempt = 0
        while (now := self._monotonic()) < deadline:
            for address in self._router.order(self._partition(message), now):
                wait_s = min(attempt_s, deadline - self._monotonic())
                if wait_s <= 0:
                    break
                try:
                    reply = await self._links.ask(
                        address, _attempt(message, attempt), wait_s=wait_s
                    )
                except DynamoError as error:
                    last = error
                    if not _may_repeat(error):
                        raise
                    if error.outcome == "unknown":
                        is_unknown, attempt = True, attempt + 1
                    self._note(address, error)
                else:
                    self._router.answered(address)
                    return reply
            await self._pause(last)
        raise _final(last, timeout_s, is_unknown=is_unknown)

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

    async def _pause(self, last: DynamoError | None) -> None:
        """Everybody has been asked: wait a moment before the next round."""
        wanted_s = last.retry_after if isinstance(last, Overloaded) else PAUSE_S
        await trio.sleep(wanted_s * self._environment.random.uniform(0.5, 1.5))


def _attempt(message: Message, attempt: int) -> Message:
    if attempt and isinstance(message, Put):
        return msgspec.structs.replace(message, attempt=attempt)
    return message


def _may_repeat(error: DynamoError) -> bool:
    return error.retryable


def _final(last: DynamoError | None, timeout_s: float, *, is_unknown: bool) -> DynamoError:
    """The error that a request ends with when its time is up."""
    if isinstance(last, QuorumNotMet | Overloaded | NodeUnavailable):
        error: DynamoError = last
    else:
        error = DeadlineExceeded(f"no answer within {timeout_s:g} s")
    error.outcome = "unknown" if is_unknown else "not_applied"
    return error


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


def _refuse(link: Link, frame: Frame) -> None:
    """Nodes ask nothing of clients."""
