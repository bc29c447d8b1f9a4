"""The handshake over a connection: `dynamo_py.wire.handshake`, with the reading and waiting.

Knows nothing of links. A connection that is garbage, silent or too talkative here costs one
frame of at most 16 KiB and ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import trio

from dynamo_py.environment import Connection
from dynamo_py.errors import DynamoError, NodeUnavailable, ProtocolError
from dynamo_py.net.lateness import Lateness, moment_ms
from dynamo_py.wire.codec import decode_body, encode_body
from dynamo_py.wire.failures import to_error, to_message
from dynamo_py.wire.frames import (
    FRAME_BYTES_MAX,
    GREETING_BYTES_MAX,
    REPLY,
    Frame,
    FrameDecoder,
    encode_frame,
)
from dynamo_py.wire.handshake import GREETING_S, Caller, Identity, accept_welcome, answer
from dynamo_py.wire.messages import Failure, Hello, Message, Welcome


class Incoming(NamedTuple):
    """The other side's frames, of which the first was its greeting."""

    decoder: FrameDecoder
    lateness: Lateness


async def greet(
    connection: Connection,
    hello: Hello,
    *,
    monotonic: Callable[[], float],
    expected_node: bytes | None = None,
) -> tuple[Welcome, Incoming]:
    """Introduce ourselves as ``hello``; the other side's `Welcome`.

    Raises `NodeUnavailable`, `ProtocolError`, or what the other side refused us with.
    """
    await _send(connection, hello, flags=0, sent_ms=moment_ms(monotonic()))
    incoming, message = await _first_message(connection, monotonic)
    if isinstance(message, Failure):
        raise to_error(message)
    if not isinstance(message, Welcome):
        raise ProtocolError(f"{connection.remote} answered a greeting with something else")
    accept_welcome(message, hello, expected_node=expected_node)
    return message, incoming


async def receive_greeting(
    connection: Connection,
    identity: Identity,
    *,
    expected_role: str,
    monotonic: Callable[[], float],
    is_removed: Callable[[bytes], bool] = lambda node: False,
) -> tuple[Caller, Incoming]:
    """Wait for a `Hello` and answer it; who has connected.

    Raises the error that the other side was refused with, after telling it.
    """
    refusal: DynamoError
    try:
        incoming, message = await _first_message(connection, monotonic)
        if not isinstance(message, Hello):
            raise ProtocolError(f"{connection.remote} did not introduce itself")
        caller, welcome = answer(
            message, identity, expected_role=expected_role, is_removed=is_removed
        )
    except NodeUnavailable:
        raise
    except DynamoError as error:
        refusal = error
    else:
        # A client that tells no moments of sending need not know of any.
        sent_ms = moment_ms(monotonic()) if incoming.lateness.has_begun else 0
        await _send(connection, welcome, flags=REPLY, sent_ms=sent_ms)
        return caller, incoming
    await _send(connection, to_message(refusal), flags=REPLY)
    raise refusal


async def _first_message(
    connection: Connection, monotonic: Callable[[], float]
) -> tuple[Incoming, Message]:
    decoder, lateness = FrameDecoder(frame_bytes_max=GREETING_BYTES_MAX), Lateness()
    with trio.move_on_after(GREETING_S):
        frames: list[Frame] = []
        while not frames:
            data = await connection.receive_some(GREETING_BYTES_MAX)
            if not data:
                raise NodeUnavailable(f"{connection.remote} closed the connection")
            frames = decoder.feed(data)
        if len(frames) > 1 or decoder.pending_bytes:
            raise ProtocolError(f"{connection.remote} went on before the greeting was answered")
        decoder.frame_bytes_max = FRAME_BYTES_MAX
        if frames[0].sent_ms:
            lateness.held_ms(frames[0].sent_ms, monotonic())
        return Incoming(decoder, lateness), decode_body(frames[0].number, frames[0].body)
    raise NodeUnavailable(f"{connection.remote} did not introduce itself in {GREETING_S:g} s")


async def _send(connection: Connection, message: Message, *, flags: int, sent_ms: int = 0) -> None:
    number, body = encode_body(message)
    await connection.send_all(encode_frame(number, body, flags=flags, sent_ms=sent_ms))
