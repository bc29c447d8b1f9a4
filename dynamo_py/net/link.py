"""A link: one connection after the handshake, shared by any number of requests.

Both sides may ask. Frames that are queued while a send is under way leave in one piece; a
reply finds its request by id, in any order. Nothing here waits for a reply: the asking side
leaves a callback in a table, and a request that nobody answered in time is ended by `sweep`.

Knows nothing of what messages mean, nor of reconnecting (`dynamo_py.net.links` does).

Invariant: every request's callback is called exactly once: by the reply, by `sweep`, or by
the loss of the link.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import trio

from dynamo_py.environment import Connection
from dynamo_py.errors import (
    DeadlineExceeded,
    DynamoError,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
)
from dynamo_py.net.lateness import Lateness, moment_ms
from dynamo_py.net.signal import Signal
from dynamo_py.wire.codec import decode_body, encode_body
from dynamo_py.wire.failures import to_error, to_message
from dynamo_py.wire.frames import OTHERS_MAX, REPLY, Frame, FrameDecoder, encode_frame
from dynamo_py.wire.messages import Done, Failure, Message

READ_BYTES = 64 * 1024
OUTBOUND_BYTES_MAX = 128 * 1024 * 1024
"""Bytes that may wait to be sent on one link. Past it requests are refused, and a side that
does not read its replies is cut off."""
REQUESTS_PER_LINK_MAX = 16_384

OnReply = Callable[[Message | DynamoError], None]


class Timestamps(Protocol):
    """The hybrid clock as a link sees it: every frame carries a timestamp."""

    def now(self) -> int:
        """The timestamp for an outgoing frame, 0 for none."""
        ...

    def observe(self, timestamp: int) -> None:
        """Take in an incoming frame's timestamp; must not raise."""
        ...


class Untimed:
    """For a side that keeps no hybrid clock."""

    def now(self) -> int:
        """None."""
        return 0

    def observe(self, timestamp: int) -> None:
        """Nothing is taken in."""


class Link:
    """One live connection."""

    def __init__(
        self,
        connection: Connection,
        decoder: FrameDecoder,
        *,
        monotonic: Callable[[], float],
        timestamps: Timestamps,
        handle: Callable[[Link, Frame], None],
        lateness: Lateness | None = None,
    ) -> None:
        """``handle`` is called, inline, with each request that comes in; it must not block.

        ``lateness`` has met the other side's greeting.
        """
        self.connection = connection
        self._decoder = decoder
        self._monotonic = monotonic
        self._timestamps = timestamps
        self._handle = handle
        self._pending: dict[int, tuple[float, OnReply]] = {}
        self._next_id = 1
        self._outbound: list[bytes] = []
        self._outbound_bytes = 0
        self._wake = Signal()
        self._scope = trio.CancelScope()
        self._lost: DynamoError | None = None
        self._lateness = lateness or Lateness()
        self._shared_message: Message = Done()
        self._shared_ids: list[int] = []
        """Of requests that `reply_together` has answered, and that are not in a frame yet."""
        self.on_stale_ring: Callable[[], None] | None = None

    # --- asking and answering: plain calls, from the event loop's thread ---------------------

    def request(
        self, message: Message, *, wait_s: float, on_reply: OnReply, trace_id: int = 0
    ) -> None:
        """Send ``message``; ``on_reply`` gets the answer, or an error, exactly once.

        It is called before this returns where the request cannot be sent at all (the link
        is lost or full: the error's outcome is ``not_applied`` then).
        """
        if self._lost is not None or self._is_full:
            on_reply(self._refusal())
            return
        request_id = self._next_id
        self._next_id = request_id % 0xFFFF_FFFF + 1
        number, body = encode_body(message)
        now_s = self._monotonic()
        try:
            frame = encode_frame(
                number,
                body,
                request_id=request_id,
                wait_ms=int(max(1, min(wait_s * 1000, 0xFFFF_FFFF))),
                trace_id=trace_id,
                timestamp=self._timestamps.now(),
                sent_ms=moment_ms(now_s),
            )
        except ProtocolError as error:
            on_reply(error)
            return
        self._pending[request_id] = (now_s + wait_s, on_reply)
        self._send(frame)

    def tell(self, message: Message) -> None:
        """Send ``message`` without expecting a reply. Best effort: it may be lost."""
        if self._lost is None and not self._is_full:
            number, body = encode_body(message)
            self._send(encode_frame(number, body, timestamp=self._timestamps.now()))

    def reply(self, asked: Frame, message: Message, *, flags: int = 0) -> None:
        """Answer the request ``asked``. Lost with the link."""
        if self._lost is not None or asked.request_id == 0:
            return
        number, body = encode_body(message)
        try:
            frame = encode_frame(
                number,
                body,
                flags=flags | REPLY,
                request_id=asked.request_id,
                trace_id=asked.trace_id,
                timestamp=self._timestamps.now(),
            )
        except ProtocolError as error:
            self.reply(asked, to_message(error))
            return
        self._send(frame)
        if self._outbound_bytes > OUTBOUND_BYTES_MAX:
            self.close(NodeUnavailable(f"{self.connection.remote} does not read its replies"))

    def reply_together(self, asked: Frame, message: Message) -> None:
        """As `reply`; with equal ones that follow it at once it leaves as one frame.

        For what a commit answers many times over.
        """
        if self._lost is not None or asked.request_id == 0:
            return
        if self._shared_ids and (
            message != self._shared_message or len(self._shared_ids) > OTHERS_MAX
        ):
            self._send_shared()
        self._shared_message = message
        self._shared_ids.append(asked.request_id)
        self._wake.set()

    def _send_shared(self) -> None:
        first, *others = self._shared_ids
        self._shared_ids.clear()
        number, body = encode_body(self._shared_message)
        frame = encode_frame(
            number,
            body,
            flags=REPLY,
            request_id=first,
            timestamp=self._timestamps.now(),
            others=others,
        )
        self._send(frame)

    def fail(self, asked: Frame, error: DynamoError) -> None:
        """Answer the request ``asked`` with an error."""
        self.reply(asked, to_message(error))

    def close(self, reason: DynamoError) -> None:
        """End the link: every open request fails with ``reason``, `run` returns."""
        if self._lost is None:
            self._lost = reason
            self._scope.cancel()
            pending, self._pending = self._pending, {}
            for _, on_reply in pending.values():
                on_reply(reason)

    def sweep(self, now: float) -> float | None:
        """End the requests whose time is up; the next moment when one will be, if any."""
        overdue = [i for i, (deadline, _) in self._pending.items() if deadline <= now]
        for request_id in overdue:
            # Gone already where the callback of one before it has closed this link.
            waiting = self._pending.pop(request_id, None)
            if waiting is not None:
                error = DeadlineExceeded(f"{self.connection.remote} did not answer in time")
                waiting[1](error)
        return min((deadline for deadline, _ in self._pending.values()), default=None)

    @property
    def lost(self) -> DynamoError | None:
        """Why the link is no more, or None while it lives."""
        return self._lost

    # --- the two loops -------------------------------------------------------------------------

    async def run(self) -> None:
        """Send and receive until the link is lost or closed; `lost` says why then."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    nursery.start_soon(self._read)
        finally:
            self.close(NodeUnavailable(f"the link to {self.connection.remote} was closed"))
            await self.connection.aclose()

    async def _read(self) -> None:
        try:
            while data := await self.connection.receive_some(READ_BYTES):
                if self._lost is not None:
                    return  # It was closed while this was on its way: nothing of it counts.
                for frame in self._decoder.feed(data):
                    self._receive(frame)
        except NodeUnavailable as error:
            self.close(error)
        except DynamoError as error:
            # Whatever the other side meant to say, open writes may have happened there.
            self.close(NodeUnavailable(f"{self.connection.remote} was cut off: {error.message}"))
        else:
            self.close(NodeUnavailable(f"{self.connection.remote} closed the connection"))

    def _receive(self, frame: Frame) -> None:
        if frame.timestamp:
            self._timestamps.observe(frame.timestamp)
        if not frame.is_reply:
            held_ms = self._held_ms(frame)
            if held_ms:
                if held_ms >= frame.wait_ms:
                    self.fail(frame, DeadlineExceeded("nobody waits for this any more"))
                    return
                # What is asked of others on its behalf ends with it.
                frame = frame._replace(wait_ms=frame.wait_ms - held_ms, held_ms=held_ms)
            self._handle(self, frame)
            return
        if frame.flags & ~REPLY and self.on_stale_ring is not None:
            self.on_stale_ring()
        if not frame.others and frame.request_id not in self._pending:
            return  # It was answered too late; `sweep` has ended it.
        message = decode_body(frame.number, frame.body)
        answer = to_error(message) if isinstance(message, Failure) else message
        for request_id in (frame.request_id, *frame.others):
            # Only now: where the reply is broken, `close` ends this request with the others.
            waiting = self._pending.pop(request_id, None)
            if waiting is not None:
                waiting[1](answer)

    def _held_ms(self, frame: Frame) -> int:
        """How much of its wait a request has lost on its way, in whole milliseconds."""
        if not frame.sent_ms or not frame.wait_ms:
            return 0
        return int(self._lateness.held_ms(frame.sent_ms, self._monotonic()))

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                if self._shared_ids:
                    self._send_shared()
                data = b"".join(self._outbound)
                self._outbound.clear()
                await self.connection.send_all(data)
                self._outbound_bytes -= len(data)
        except NodeUnavailable as error:
            self.close(error)

    def _send(self, frame: bytes) -> None:
        if self._shared_ids:
            self._send_shared()  # What was answered before leaves before.
        self._outbound.append(frame)
        self._outbound_bytes += len(frame)
        self._wake.set()

    @property
    def _is_full(self) -> bool:
        return (
            self._outbound_bytes > OUTBOUND_BYTES_MAX or len(self._pending) >= REQUESTS_PER_LINK_MAX
        )

    def _refusal(self) -> DynamoError:
        remote = self.connection.remote
        if self._lost is not None:
            return NodeUnavailable(f"no connection to {remote}", outcome="not_applied")
        return Overloaded(f"too much is waiting for {remote}")

    def statistics(self) -> dict[str, int]:
        """Requests and bytes that wait."""
        return {"pending": len(self._pending), "outbound_bytes": self._outbound_bytes}

    def _check(self) -> None:
        assert self._outbound_bytes >= sum(map(len, self._outbound))
        assert self._lost is None or not self._pending
