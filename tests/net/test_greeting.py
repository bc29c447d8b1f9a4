"""The greeting over a connection: bounded in bytes and time, and refused with a reason."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from dynamo_py.errors import DynamoError, NodeUnavailable, ProtocolError, WrongState
from dynamo_py.net.greeting import greet, receive_greeting
from dynamo_py.net.lateness import DRIFT, moment_ms
from dynamo_py.wire.codec import NUMBERS, decode_body, encode_body
from dynamo_py.wire.failures import to_message
from dynamo_py.wire.frames import GREETING_BYTES_MAX, REPLY, FrameDecoder, encode_frame
from dynamo_py.wire.handshake import CLIENT, GREETING_S, hello_from_client
from dynamo_py.wire.messages import Done, Failure, Hello, Welcome

HELLO = hello_from_client("dynamo", "shop")
OUT_BYTES_MAX = 1024
"""At most this much is said to one who has not been let in."""


def frame_of(message, *, flags=0) -> bytes:
    number, body = encode_body(message)
    return encode_frame(number, body, flags=flags)


async def refused(connection, identity) -> DynamoError:
    """What `receive_greeting` raises."""
    with pytest.raises(DynamoError) as caught:
        await receive_greeting(
            connection, identity, expected_role=CLIENT, monotonic=trio.current_time
        )
    return caught.value


def told(connection) -> Failure:
    """The failure that was sent to the other side, and nothing else."""
    sent = b"".join(connection.sends)
    assert len(sent) <= OUT_BYTES_MAX
    (frame,) = FrameDecoder(frame_bytes_max=OUT_BYTES_MAX).feed(sent)
    failure = decode_body(frame.number, frame.body)
    assert isinstance(failure, Failure)
    assert frame.is_reply
    return failure


async def test_two_sides_introduce_themselves(new_pair, identity):
    ours, theirs = new_pair()
    results = []

    async def receive() -> None:
        greeted = await receive_greeting(
            theirs, identity, expected_role=CLIENT, monotonic=trio.current_time
        )
        results.append(greeted)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        welcome, incoming = await greet(
            ours, HELLO, expected_node=identity.node, monotonic=trio.current_time
        )
    assert (welcome.name, welcome.node) == ("n1", identity.node)
    (caller, other) = results[0]
    assert (caller.role, caller.name) == (CLIENT, "shop")
    # From now on frames of any size that may be are read.
    large = encode_frame(4, bytes(GREETING_BYTES_MAX))
    assert len(incoming.decoder.feed(large)) == len(other.decoder.feed(large)) == 1


async def test_what_comes_after_is_held_against_the_greeting(new_pair, identity, autojump_clock):
    """The first request of a connection too may have been held up."""
    ours, theirs = new_pair()
    results = []

    async def receive() -> None:
        greeted = await receive_greeting(
            theirs, identity, expected_role=CLIENT, monotonic=lambda: trio.current_time() + 1000.0
        )
        results.append(greeted)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        _, incoming = await greet(ours, HELLO, monotonic=trio.current_time)
    now_s = trio.current_time()
    (_, other) = results[0]
    for lateness, its_clock_s in ((other.lateness, 1000.0), (incoming.lateness, -1000.0)):
        moment = moment_ms(now_s if its_clock_s > 0 else now_s + 1000.0)
        held_ms = lateness.held_ms(moment, now_s + 5.0 + max(0.0, its_clock_s))
        assert 5000 * (1 - 2 * DRIFT) <= held_ms <= 5000


async def test_a_refusal_is_told_and_raised_on_both_sides(new_pair, identity):
    ours, theirs = new_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(refused, theirs, identity)
        with pytest.raises(WrongState, match="'dynamo', not 'other'"):
            await greet(ours, hello_from_client("other", "shop"), monotonic=trio.current_time)


GARBAGE = {
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100f8010000f40303") + bytes(64),
    "a huge length": b"\xff" * 64,
    "a length of nought": bytes(64),
    "a frame above the greeting's size": (GREETING_BYTES_MAX + 1).to_bytes(4, "big"),
    "another message": frame_of(Done()),
    "an unknown message": encode_frame(255, b""),
    "a broken Hello": encode_frame(NUMBERS[Hello], b"\x90"),
    "a Hello and more": frame_of(HELLO) + frame_of(Done()),
    "a Hello and a bit": frame_of(HELLO) + b"\0",
    "long words": encode_frame(
        1, b"\x97\x01\xda\x30\x00" + b"x" * 0x3000 + b"\xc0\xc0\xc0\xa1x\xc4\0"
    ),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_is_refused_with_a_short_answer(new_pair, identity, garbage):
    ours, theirs = new_pair()
    await ours.send_all(garbage)
    error = await refused(theirs, identity)
    assert isinstance(error, ProtocolError)
    assert told(theirs).kind == "ProtocolError"


@pytest.mark.parametrize(
    ("name", "value"), [("role", "é" * 64), ("cluster", "\N{OX}" * 64), ("protocol", 2**64 - 1)]
)
async def test_no_word_of_a_stranger_makes_the_refusal_long(new_pair, identity, name, value):
    ours, theirs = new_pair()
    fields = {field: getattr(HELLO, field) for field in HELLO.__struct_fields__}
    await ours.send_all(frame_of(Hello(**{**fields, name: value})))
    await refused(theirs, identity)
    assert told(theirs).message


@pytest.mark.parametrize("said", [b"", frame_of(HELLO)[:-1]])
async def test_a_silent_connection_is_given_up_after_the_greeting_time(
    new_pair, identity, autojump_clock, said
):
    ours, theirs = new_pair()
    if said:
        await ours.send_all(said)
    began = trio.current_time()
    assert isinstance(await refused(theirs, identity), NodeUnavailable)
    assert trio.current_time() - began == pytest.approx(GREETING_S)
    assert theirs.sends == []


async def test_one_who_dribbles_has_no_longer(new_pair, identity, autojump_clock):
    ours, theirs = new_pair()

    async def dribble() -> None:
        for byte in frame_of(HELLO):
            await ours.send_all(bytes([byte]))
            await trio.sleep(1)

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(dribble)
        assert isinstance(await refused(theirs, identity), NodeUnavailable)
        assert trio.current_time() - began == pytest.approx(GREETING_S)
        nursery.cancel_scope.cancel()


async def test_one_who_leaves_is_not_waited_for(new_pair, identity):
    ours, theirs = new_pair()
    ours.cut()
    assert isinstance(await refused(theirs, identity), NodeUnavailable)


async def test_a_silent_server_is_given_up_too(new_pair, autojump_clock):
    ours, _ = new_pair()
    began = trio.current_time()
    with pytest.raises(NodeUnavailable):
        await greet(ours, HELLO, monotonic=trio.current_time)
    assert trio.current_time() - began == pytest.approx(GREETING_S)


async def test_a_server_that_answers_with_something_else_is_refused(new_pair):
    for answer in (frame_of(Done(), flags=REPLY), b"SSH-2.0-OpenSSH_9.0\r\n"):
        ours, theirs = new_pair()
        await theirs.send_all(answer)
        with pytest.raises(ProtocolError):
            await greet(ours, HELLO, monotonic=trio.current_time)


async def test_another_node_than_expected_is_refused(new_pair, identity):
    ours, theirs = new_pair()
    welcome = Welcome(1, "dynamo", identity.cluster_id, identity.node, "n1")
    await theirs.send_all(frame_of(welcome, flags=REPLY))
    with pytest.raises(WrongState, match="another node"):
        await greet(ours, HELLO, expected_node=bytes(16), monotonic=trio.current_time)


async def test_a_failure_with_wrong_facts_is_a_protocol_error(new_pair):
    ours, theirs = new_pair()
    failure = Failure("Overloaded", "busy", "not_applied", {"retry_after": "soon"})
    await theirs.send_all(frame_of(failure, flags=REPLY))
    with pytest.raises(ProtocolError):
        await greet(ours, HELLO, monotonic=trio.current_time)
    assert to_message(ProtocolError("x")).kind == "ProtocolError"
