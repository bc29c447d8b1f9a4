"""Frames: how messages are cut out of a stream of bytes, and what travels beside each.

Sans-IO: bytes in, frames out. Knows nothing of sockets, nor of what the messages mean.

A frame is a head of 30 bytes, big-endian, and a body (PROTOCOL.md):

====== ======= ===========================================================================
offset type    meaning
====== ======= ===========================================================================
0      uint32  bytes that follow this field
4      uint8   the message's number in the codec table
5      uint8   flags: bit 0, this is a reply; bit 1, the answering node has a newer ring; bit 2,
               the body is followed by a uint32, the moment of sending
6      uint32  request id, chosen by the asking side, copied into the reply; 0: no reply
10     uint32  milliseconds that the asking side will still wait; 0 in replies
14     uint64  trace id, 0: not traced
22     uint64  the sender's hybrid timestamp, 0: none
====== ======= ===========================================================================

The time to wait is a span, not a moment, since no two clocks agree. The moment of sending, by a
steady clock of the sender's, in milliseconds, modulo 2^32, tells by how much a frame was held up
beside others (`dynamo_py.net.lateness`).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from dynamo_py.errors import ProtocolError

HEAD = struct.Struct(">IBBIIQQ")
_LENGTH = struct.Struct(">I")
_HEAD_AFTER_LENGTH = HEAD.size - _LENGTH.size

FRAME_BYTES_MAX = 64 * 1024 * 1024
"""The largest frame between those who know each other: a record of several large siblings."""
GREETING_BYTES_MAX = 16 * 1024
"""The largest frame before the handshake is done."""

REPLY = 1
STALE_RING = 2
_HAS_MOMENT = 4
_HAS_OTHERS = 8
_MOMENT = struct.Struct(">I")
_COUNT = struct.Struct(">H")
_ID_BYTES = 4
OTHERS_MAX = 4096
"""Requests beside the first that one reply may answer."""


NO_OTHERS: tuple[int, ...] = ()


class Frame(NamedTuple):
    """One frame, its body still encoded."""

    number: int
    flags: int
    request_id: int
    wait_ms: int
    trace_id: int
    timestamp: int
    body: bytes
    sent_ms: int = 0
    """The moment of sending; 0: not told."""
    others: tuple[int, ...] = NO_OTHERS
    """In a reply: the ids of further requests that it answers."""
    held_ms: int = 0
    """How much of its wait it has lost on its way: its receiver's word, which does not travel."""

    @property
    def is_reply(self) -> bool:
        """Whether this answers a request of ours."""
        return bool(self.flags & REPLY)


def encode_frame(
    number: int,
    body: bytes,
    *,
    flags: int = 0,
    request_id: int = 0,
    wait_ms: int = 0,
    trace_id: int = 0,
    timestamp: int = 0,
    sent_ms: int = 0,
    others: Sequence[int] = (),
) -> bytes:
    """The bytes of one frame; raises `ProtocolError` if it would be too large to be read.

    A frame has a moment of sending or ``others``, `OTHERS_MAX` at most, or neither.
    """
    if sent_ms:
        flags |= _HAS_MOMENT
        body += _MOMENT.pack(sent_ms)
    elif others:
        flags |= _HAS_OTHERS
        body += struct.pack(f">{len(others)}I", *others) + _COUNT.pack(len(others))
    length = _HEAD_AFTER_LENGTH + len(body)
    if length > FRAME_BYTES_MAX:
        raise ProtocolError(f"a message of {len(body)} bytes; at most {FRAME_BYTES_MAX} travel")
    return HEAD.pack(length, number, flags, request_id, wait_ms, trace_id, timestamp) + body


class FrameDecoder:
    """Cuts frames out of a stream. Holds at most one incomplete frame and one read's bytes."""

    def __init__(self, *, frame_bytes_max: int) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that ``data`` completes, in order.

        Raises `ProtocolError` at a length no frame may have; the stream is lost then, since
        nothing says where the next frame begins.
        """
        if self._buffer:
            self._buffer += data
            frames, cut = self._cut(self._buffer)
            del self._buffer[:cut]
            return frames
        # As a rule what comes in is whole frames, and nothing has to be copied over.
        try:
            frames, cut = self._cut(data)
        except ProtocolError:
            self._buffer += data  # A broken stream stays broken.
            raise
        self._buffer += data[cut:]
        return frames

    def _cut(self, data: bytes | bytearray) -> tuple[list[Frame], int]:
        """The whole frames at the beginning of ``data``, and where they end."""
        frames: list[Frame] = []
        start, end = 0, len(data)
        while end - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, start)
            if length < _HEAD_AFTER_LENGTH or length > self.frame_bytes_max:
                raise ProtocolError(f"a frame of {length} bytes: not this protocol, or too large")
            stop = start + _LENGTH.size + length
            if stop > end:
                break
            _, number, flags, request_id, wait_ms, trace_id, timestamp = HEAD.unpack_from(
                data, start
            )
            sent_ms, others, end_of_body = 0, NO_OTHERS, stop
            if flags & _HAS_MOMENT:
                end_of_body -= _MOMENT.size
                if end_of_body < start + HEAD.size:
                    raise ProtocolError("a frame that is too short for its moment of sending")
                (sent_ms,) = _MOMENT.unpack_from(data, end_of_body)
                flags -= _HAS_MOMENT
            elif flags & _HAS_OTHERS:
                others, end_of_body = _others(data, start + HEAD.size, stop)
                flags -= _HAS_OTHERS
            body = bytes(data[start + HEAD.size : end_of_body])
            head = (number, flags, request_id, wait_ms, trace_id, timestamp)
            frames.append(Frame(*head, body, sent_ms, others))
            start = stop
        return frames, start

    @property
    def pending_bytes(self) -> int:
        """Bytes of a frame that is not whole yet."""
        return len(self._buffer)


def _others(data: bytes | bytearray, begin: int, stop: int) -> tuple[tuple[int, ...], int]:
    """The ids that stand before ``stop``, and where the body before them ends."""
    end = stop - _COUNT.size
    if end >= begin:
        (count,) = _COUNT.unpack_from(data, end)
        first = end - count * _ID_BYTES
        if first >= begin:
            return struct.unpack_from(f">{count}I", data, first), first
    raise ProtocolError("a frame that is too short for the requests that it answers")
