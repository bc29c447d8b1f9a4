"""Frames: the same ones however the stream is cut, and no length that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.errors import ProtocolError
from dynamo_py.wire.frames import (
    FRAME_BYTES_MAX,
    GREETING_BYTES_MAX,
    HEAD,
    REPLY,
    STALE_RING,
    Frame,
    FrameDecoder,
    encode_frame,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "wire.json").read_text())
HEAD_AFTER_LENGTH = HEAD.size - 4

u8, u32, u64 = (st.integers(0, 2**bits - 1) for bits in (8, 32, 64))
flags = u8.map(lambda bits: bits & ~12)
tails = st.one_of(
    st.tuples(u32, st.just(())), st.tuples(st.just(0), st.lists(u32, max_size=5).map(tuple))
)
"""A moment of sending, or further requests that are answered, or neither."""
frames = st.tuples(
    st.builds(Frame, u8, flags, u32, u32, u64, u64, st.binary(max_size=200)), tails
).map(lambda made: made[0]._replace(sent_ms=made[1][0], others=made[1][1], held_ms=0))


def encoded(frame: Frame) -> bytes:
    return encode_frame(
        frame.number,
        frame.body,
        flags=frame.flags,
        request_id=frame.request_id,
        wait_ms=frame.wait_ms,
        trace_id=frame.trace_id,
        timestamp=frame.timestamp,
        sent_ms=frame.sent_ms,
        others=frame.others,
    )


def decoder() -> FrameDecoder:
    return FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX)


@given(st.lists(frames, max_size=6), st.data())
def test_any_cutting_of_the_stream_gives_the_same_frames(sent, data):
    stream = b"".join(map(encoded, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    receiving, received = decoder(), []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += receiving.feed(stream[start:stop])
    assert received == sent
    assert receiving.pending_bytes == 0


@given(st.lists(frames, min_size=1, max_size=3))
def test_a_frame_is_given_with_its_last_byte_and_not_before(sent):
    receiving = decoder()
    for frame in sent:
        for byte in encoded(frame)[:-1]:
            assert receiving.feed(bytes([byte])) == []
        assert receiving.pending_bytes == len(encoded(frame)) - 1
        assert receiving.feed(encoded(frame)[-1:]) == [frame]


@pytest.mark.parametrize("vector", VECTORS["frames"])
def test_the_bytes_of_a_frame_are_those_written_down(vector):
    apart = ("body", "sent_ms", "others", "held_ms")
    fields = {name: vector[name] for name in Frame._fields if name not in apart}
    frame = Frame(**fields, body=bytes.fromhex(vector["body"]))
    assert encoded(frame).hex() == vector["bytes"]
    assert decoder().feed(bytes.fromhex(vector["bytes"])) == [frame]


def test_the_head_has_thirty_bytes():
    assert HEAD.size == 30
    assert len(encode_frame(1, b"")) == 30


@pytest.mark.parametrize("length", [0, 1, HEAD_AFTER_LENGTH - 1, FRAME_BYTES_MAX + 1, 2**32 - 1])
def test_a_length_that_no_frame_has_is_refused_at_once(length):
    with pytest.raises(ProtocolError):
        decoder().feed(length.to_bytes(4, "big"))


def test_the_cap_before_the_greeting_is_a_smaller_one():
    body = bytes(GREETING_BYTES_MAX - HEAD_AFTER_LENGTH)
    greeting = FrameDecoder(frame_bytes_max=GREETING_BYTES_MAX)
    assert greeting.feed(encode_frame(1, body))[0].body == body
    with pytest.raises(ProtocolError):
        greeting.feed(encode_frame(1, body + b"x"))


def test_a_frame_too_large_to_be_read_is_not_made():
    body = bytes(FRAME_BYTES_MAX - HEAD_AFTER_LENGTH)
    assert len(encode_frame(1, body)) == FRAME_BYTES_MAX + 4
    with pytest.raises(ProtocolError):
        encode_frame(1, body + b"x")


def test_a_moment_of_sending_follows_the_body_where_a_flag_says_so():
    frame = encode_frame(1, b"body", sent_ms=258)
    assert frame[5] == 4
    assert frame[-8:] == b"body\x00\x00\x01\x02"
    assert decoder().feed(frame) == [Frame(1, 0, 0, 0, 0, 0, b"body", 258)]
    with pytest.raises(ProtocolError):
        decoder().feed(encode_frame(1, b"123", flags=4))


def test_one_reply_names_the_other_requests_that_it_answers():
    frame = encode_frame(1, b"body", flags=REPLY, request_id=7, others=[258, 3])
    assert frame[5] == REPLY | 8
    assert frame[-14:] == b"body\x00\x00\x01\x02\x00\x00\x00\x03\x00\x02"
    assert decoder().feed(frame) == [Frame(1, REPLY, 7, 0, 0, 0, b"body", 0, (258, 3))]


@pytest.mark.parametrize("body", [b"", b"1", b"\x00\x01", b"123\x00\x01"])
def test_a_frame_without_the_ids_that_it_counts_is_refused(body):
    with pytest.raises(ProtocolError, match="too short"):
        decoder().feed(encode_frame(1, body, flags=REPLY | 8))


def test_a_broken_stream_stays_broken():
    receiving = decoder()
    with pytest.raises(ProtocolError):
        receiving.feed(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ProtocolError):
        receiving.feed(encode_frame(1, b""))


@given(st.lists(st.binary(max_size=80), max_size=5))
def test_random_bytes_are_frames_or_a_protocol_error(chunks):
    receiving = decoder()
    fed = 0
    try:
        for chunk in chunks:
            receiving.feed(chunk)
            fed += len(chunk)
            assert receiving.pending_bytes <= fed
    except ProtocolError:
        pass


def test_the_flags_are_told_apart():
    (reply,) = decoder().feed(encode_frame(4, b"", flags=REPLY | STALE_RING))
    (request,) = decoder().feed(encode_frame(4, b"", flags=STALE_RING))
    assert reply.is_reply
    assert not request.is_reply
