"""Records and contexts as bytes: one form each, and nothing else is taken."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import (
    EMPTY,
    NOTHING_SEEN,
    Context,
    Dot,
    Record,
    Sibling,
    decode_context,
    decode_record,
    encode_context,
    encode_record,
    vector_of,
)
from dynamo_py.errors import InvalidRequest, ProtocolError

VECTORS = Path(__file__).parents[1] / "vectors" / "causality.json"
U64_MAX = 2**64 - 1

u64 = st.integers(0, U64_MAX)
dots = st.builds(Dot, u64, st.integers(0, 2**40), st.integers(1, 2**40))
near_dots = st.builds(Dot, st.integers(1, 2), st.integers(1, 2), st.integers(1, 5))
vectors = st.lists(dots | near_dots, max_size=8).map(vector_of)
contexts = st.builds(Context, vectors, u64)


@st.composite
def records(draw):
    write_ids = st.binary(min_size=1, max_size=16)
    siblings = {
        dot: Sibling(
            dot,
            draw(st.none() | st.binary(max_size=300)),
            draw(u64),
            draw(write_ids),
            draw(st.booleans()),
            draw(u64),
        )
        for dot in draw(st.lists(dots | near_dots, max_size=4))
    }
    alive = {sibling.write_id for sibling in siblings.values()}
    retired = {i for i in draw(st.lists(write_ids, max_size=3)) if i not in alive}
    vector = draw(vectors).merge(vector_of(siblings))
    ordered = tuple(siblings[dot] for dot in sorted(siblings))
    return Record(vector, ordered, tuple(sorted(retired)))


def packed(value: object) -> bytes:
    return b"\x01" + msgspec.msgpack.encode(value)


@given(records())
def test_a_record_comes_back_as_it_was(record):
    record._check()
    decoded = decode_record(encode_record(record))
    assert decoded == record
    assert encode_record(decoded) == encode_record(record)


@given(contexts)
def test_a_context_comes_back_as_it_was(context):
    assert decode_context(encode_context(context)) == context


@given(records(), records())
def test_two_records_are_equal_when_their_bytes_are(one, other):
    assert (one == other) == (encode_record(one) == encode_record(other))


def test_the_bytes_of_a_record_are_those_written_down():
    vector = json.loads(VECTORS.read_text())["record"]
    record = Record(
        vector_of([Dot(*dot) for dot in vector["seen"]]),
        tuple(
            Sibling(
                Dot(*sibling["dot"]),
                None if sibling["value"] is None else bytes.fromhex(sibling["value"]),
                sibling["timestamp"],
                bytes.fromhex(sibling["write_id"]),
                sibling["retried"],
                sibling["expires_ms"],
            )
            for sibling in vector["siblings"]
        ),
        tuple(bytes.fromhex(write_id) for write_id in vector["retired"]),
    )
    record._check()
    assert encode_record(record).hex() == vector["bytes"]
    assert decode_record(bytes.fromhex(vector["bytes"])) == record


def test_the_bytes_of_a_context_are_those_written_down():
    vector = json.loads(VECTORS.read_text())["context"]
    context = Context(vector_of([Dot(*dot) for dot in vector["seen"]]), vector["timestamp"])
    assert encode_context(context).hex() == vector["bytes"]
    assert decode_context(bytes.fromhex(vector["bytes"])) == context


def test_no_bytes_are_the_context_of_one_who_has_seen_nothing():
    assert decode_context(b"") == NOTHING_SEEN


@given(records(), st.data())
def test_a_truncated_record_is_refused(record, data):
    encoded = encode_record(record)
    length = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ProtocolError):
        decode_record(encoded[:length])


@given(contexts, st.data())
def test_a_truncated_context_is_refused(context, data):
    encoded = encode_context(context)
    length = data.draw(st.integers(1, len(encoded) - 1))
    with pytest.raises(InvalidRequest):
        decode_context(encoded[:length])


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_are_a_canonical_context(data):
    for tried in (data, b"\x01" + data):
        try:
            context = decode_context(tried)
        except InvalidRequest:
            continue
        assert tried in (b"", encode_context(context))
        context.vector._check()


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_raise_another_error(data):
    for tried in (data, b"\x01" + data):
        with contextlib.suppress(ProtocolError):
            decode_record(tried)


def test_trailing_bytes_are_refused():
    with pytest.raises(ProtocolError, match="trailing"):
        decode_record(encode_record(EMPTY) + b"\x00")
    with pytest.raises(InvalidRequest):
        decode_context(encode_context(NOTHING_SEEN) + b"\x00")


def test_another_format_is_refused_and_named():
    with pytest.raises(ProtocolError, match="format 02; this version reads 01"):
        decode_record(b"\x02" + encode_record(EMPTY)[1:])
    with pytest.raises(InvalidRequest, match="not a context"):
        decode_context(b"\x02" + encode_context(NOTHING_SEEN)[1:])


VECTOR = [[[1, 1, 1]], []]
SIBLING = [[1, 1, 1], b"v", 0, b"w", False, 0]


def test_the_examples_below_are_wrong_in_one_place_only():
    dot = Dot(1, 1, 1)
    record = Record(vector_of([dot]), (Sibling(dot, b"v", 0, b"w"),))
    assert decode_record(packed([VECTOR, [SIBLING], []])) == record
    assert decode_context(packed([VECTOR, 0])) == Context(vector_of([dot]))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"vector": VECTOR},
        [VECTOR, [SIBLING], [], 0],
        [VECTOR, [[*SIBLING, 0]], []],
        [VECTOR, [[[1, 1, 1], "text", 0, b"w", False, 0]], []],
        [VECTOR, [[[1, 1, 1], 5, 0, b"w", False, 0]], []],
        [VECTOR, [[[1, 1, 1], b"v", -1, b"w", False, 0]], []],
        [VECTOR, [[[1, 1, 1], b"v", 0.0, b"w", False, 0]], []],
        [VECTOR, [[[1, 1, 1], b"v", 0, None, False, 0]], []],
        [VECTOR, [[[1, 1, 1], b"v", 0, b"w", 1, 0]], []],
        [VECTOR, [[[1, 1, 1], b"v", 0, b"w", False, -1]], []],
        [VECTOR, [[[1, 1], b"v", 0, b"w", False, 0]], []],
        [VECTOR, [], ["text"]],
        [VECTOR, {}, []],
    ],
)
def test_a_record_of_wrong_types_is_refused(wrong):
    with pytest.raises(ProtocolError, match="not a record"):
        decode_record(packed(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [VECTOR, 0, 0],
        [VECTOR, True],
        [VECTOR, -1],
        [[[[1, 1, 1]]], 0],
        [[[[1, 1, 1, 1]], []], 0],
        [[[[-1, 1, 1]], []], 0],
        [[[[1, -1, 1]], []], 0],
        [[[[1, 1, 0]], []], 0],
        [[[[1, 1, "1"]], []], 0],
    ],
)
def test_a_context_of_wrong_types_is_refused(wrong):
    with pytest.raises(InvalidRequest, match="pass on, unchanged"):
        decode_context(packed(wrong))


@pytest.mark.parametrize(
    "other_form",
    [
        [],
        [VECTOR],
        [[[[2, 1, 1], [1, 1, 1]], []], 0],
        [[[[1, 1, 2], [1, 1, 1]], []], 0],
        [[[], [[1, 1, 1]]], 0],
        [[[[1, 1, 1]], [[1, 1, 2]]], 0],
    ],
)
def test_a_context_in_another_form_than_it_was_handed_out_is_refused(other_form):
    with pytest.raises(InvalidRequest, match="pass on, unchanged"):
        decode_context(packed(other_form))


def test_a_number_written_in_more_bytes_than_it_needs_is_refused_in_a_context():
    assert decode_context(b"\x01\x92\x92\x90\x90\x01") == Context(timestamp=1)
    with pytest.raises(InvalidRequest):
        decode_context(b"\x01\x92\x92\x90\x90\xcd\x00\x01")
