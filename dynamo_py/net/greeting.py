"""The handshake over a connection: `dynamo_py.wire.handshake`, with the reading and waiting.

Knows nothing of links. A connection that is garbage, silent or too talkative here costs one
frame of at most 16 KiB and ten seconds.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dynamo_py.environment import Connection
from dynamo_py.errors import DynamoError, NodeUnavailable, ProtocolError
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


async def greet(
    connection: Connection, hello: Hello, *, expected_node: bytes | None = None
) -> tuple[Welcome, FrameDecoder]:
    """Introduce ourselves as ``hello``; the other side's `Welcome`.

    Raises `NodeUnavailable`, `ProtocolError`, or what the other side refused us with.
    """
    await _send(connection, hello, flags=0)
    decoder, message = await _first_message(connection)
    if isinstance(message, Failure):
        raise to_error(message)
    if not isinstance(message, Welcome):
        raise ProtocolError(f"{connection.remote} answered a greeting with something else")
    accept_welcome(message, hello, expected_node=expected_node)
    return message, decoder


async def receive_greeting(
    connection: Connection,
    identity: Identity,
    *,
    expected_role: str,
    is_removed: Callable[[bytes], bool] = lambda node: False,
) -> tuple[Caller, FrameDecoder]:
    """Wait for a `Hello` and answer it; who has connected.

    Raises the error that the other side was refused with, after telling it.
    """
    refusal: DynamoError
    try:
        decoder, message = await _first_message(connection)
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
        await _send(connection, welcome, flags=REPLY)
        return caller, decoder
    await _send(connection, to_message(refusal), flags=REPLY)
    raise refusal


async def _first_message(connection: Connection) -> tuple[FrameDecoder, Message]:
    decoder = FrameDecoder(frame_bytes_max=GREETING_BYTES_MAX)
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
        return decoder, decode_body(frames[0].number, frames[0].body)
    raise NodeUnavailable(f"{connection.remote} did not introduce itself in {GREETING_S:g} s")


async def _send(connection: Connection, message: Message, *, flags: int) -> None:
    number, body = encode_body(message)
    await connection.send_all(encode_frame(number, body, flags=flags))
