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
from dynamo_py.causality.attempts import (
    ATTEMPTS_MAX,
    attempt_of,
    repeated_in,
    write_ids_of,
    youngest,
)
from dynamo_py.errors import InvalidRequest, ProtocolError

VECTORS = Path(__file__).parents[1] / "vectors" / "causality.json"
U64_MAX = 2**64 - 1

u64 = st.integers(0, U64_MAX)
dots = st.builds(Dot, u64, st.integers(0, 2**40), st.integers(1, 2**40))
near_dots = st.builds(Dot, st.integers(1, 2), st.integers(1, 2), st.integers(1, 5))
vectors = st.lists(dots | near_dots, max_size=8).map(vector_of)
write_ids = st.binary(min_size=1, max_size=16)
histories = st.sets(st.builds(attempt_of, u64, write_ids), max_size=10)


@st.composite
def contexts(draw):
    seen = youngest(draw(histories))
    oldest = int.from_bytes(seen[-1][:8], "big") if seen else 0
    return Context(draw(vectors), draw(st.integers(oldest, U64_MAX)), seen)


@st.composite
def records(draw):
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
    gone = {a for a in draw(histories) if not write_ids_of([a]) & alive}
    retired = {i for i in draw(st.lists(write_ids, max_size=3)) if i not in alive}
    retired.update(repeated_in(gone))
    vector = draw(vectors).merge(vector_of(siblings))
    ordered = tuple(siblings[dot] for dot in sorted(siblings))
    return Record(vector, ordered, tuple(sorted(retired)), youngest(gone))


def packed(value: object, *, version: bytes = b"\x02") -> bytes:
    return version + msgspec.msgpack.encode(value)


@given(records())
def test_a_record_comes_back_as_it_was(record):
    record._check()
    decoded = decode_record(encode_record(record))
    assert decoded == record
    assert encode_record(decoded) == encode_record(record)


@given(contexts())
def test_a_context_comes_back_as_it_was(context):
    assert decode_context(encode_context(context)) == context


@given(records(), records())
def test_two_records_are_equal_when_their_bytes_are(one, other):
    assert (one == other) == (encode_record(one) == encode_record(other))


def record_in(vector: dict) -> Record:
    """The record that an entry of the written ones tells of."""
    return Record(
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
        tuple(bytes.fromhex(attempt) for attempt in vector.get("superseded", ())),
    )


def context_in(vector: dict) -> Context:
    """The context that an entry of the written ones tells of."""
    return Context(
        vector_of([Dot(*dot) for dot in vector["seen"]]),
        vector["timestamp"],
        tuple(bytes.fromhex(attempt) for attempt in vector.get("attempts", ())),
    )


def test_the_bytes_of_a_record_are_those_written_down():
    vector = json.loads(VECTORS.read_text())["record"]
    record = record_in(vector)
    record._check()
    assert encode_record(record).hex() == vector["bytes"]
    assert decode_record(bytes.fromhex(vector["bytes"])) == record


def test_the_bytes_of_a_context_are_those_written_down():
    vector = json.loads(VECTORS.read_text())["context"]
    context = context_in(vector)
    assert encode_context(context).hex() == vector["bytes"]
    assert decode_context(bytes.fromhex(vector["bytes"])) == context


def test_a_record_of_the_format_before_is_still_read_and_written_in_the_new_one():
    vector = json.loads(VECTORS.read_text())["record of format 1"]
    record = record_in(vector)
    assert record.superseded == ()
    assert decode_record(bytes.fromhex(vector["bytes"])) == record
    assert encode_record(record)[:1] == b"\x02"


def test_a_context_of_the_format_before_is_still_taken():
    vector = json.loads(VECTORS.read_text())["context of format 1"]
    context = context_in(vector)
    assert context.seen == ()
    assert decode_context(bytes.fromhex(vector["bytes"])) == context


def test_a_record_of_the_format_before_has_no_attempts():
    attempt = attempt_of(1, b"w")
    with pytest.raises(ProtocolError, match="remembers no attempts"):
        decode_record(packed([VECTOR, [], [], [attempt]], version=b"\x01"))
    assert decode_record(packed([VECTOR, [], [], [attempt]])).superseded == (attempt,)


def test_a_format_is_not_told_from_what_it_says():
    """Neither form of a context is taken under the other one's number."""
    assert decode_context(packed([VECTOR, 1], version=b"\x01")).seen == ()
    assert decode_context(packed([VECTOR, 1, []])).seen == ()
    for wrong in (packed([VECTOR, 1]), packed([VECTOR, 1, []], version=b"\x01")):
        with pytest.raises(InvalidRequest):
            decode_context(wrong)


def test_no_bytes_are_the_context_of_one_who_has_seen_nothing():
    assert decode_context(b"") == NOTHING_SEEN


@given(records(), st.data())
def test_a_truncated_record_is_refused(record, data):
    encoded = encode_record(record)
    length = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(ProtocolError):
        decode_record(encoded[:length])


@given(contexts(), st.data())
def test_a_truncated_context_is_refused(context, data):
    encoded = encode_context(context)
    length = data.draw(st.integers(1, len(encoded) - 1))
    with pytest.raises(InvalidRequest):
        decode_context(encoded[:length])


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_are_a_canonical_context(data):
    for tried in (data, b"\x01" + data, b"\x02" + data):
        try:
            context = decode_context(tried)
        except InvalidRequest:
            continue
        assert tried in (b"", encode_context(context)) or tried[:1] == b"\x01"
        assert context.is_canonical()


@given(st.binary(max_size=60))
def test_arbitrary_bytes_never_raise_another_error(data):
    for tried in (data, b"\x01" + data, b"\x02" + data):
        with contextlib.suppress(ProtocolError):
            decode_record(tried)


def test_trailing_bytes_are_refused():
    with pytest.raises(ProtocolError, match="trailing"):
        decode_record(encode_record(EMPTY) + b"\x00")
    with pytest.raises(InvalidRequest):
        decode_context(encode_context(NOTHING_SEEN) + b"\x00")


def test_another_format_is_refused_and_named():
    with pytest.raises(ProtocolError, match="format 03; this version reads 01 and 02"):
        decode_record(b"\x03" + encode_record(EMPTY)[1:])
    with pytest.raises(InvalidRequest, match="not a context"):
        decode_context(b"\x03" + encode_context(NOTHING_SEEN)[1:])


VECTOR = [[[1, 1, 1]], []]
SIBLING = [[1, 1, 1], b"v", 0, b"w", False, 0]
ATTEMPTS = [attempt_of(n, b"w") for n in range(ATTEMPTS_MAX + 1)]


def test_the_examples_below_are_wrong_in_one_place_only():
    dot = Dot(1, 1, 1)
    record = Record(vector_of([dot]), (Sibling(dot, b"v", 0, b"w"),))
    assert decode_record(packed([VECTOR, [SIBLING], [], []])) == record
    assert decode_context(packed([VECTOR, 0, []])) == Context(vector_of([dot]))
    assert decode_context(packed([VECTOR, 7, ATTEMPTS[:-1]])).seen == tuple(ATTEMPTS[:-1])


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        {"vector": VECTOR},
        [VECTOR, [SIBLING], [], [], 0],
        [VECTOR, [[*SIBLING, 0]], [], []],
        [VECTOR, [[[1, 1, 1], "text", 0, b"w", False, 0]], [], []],
        [VECTOR, [[[1, 1, 1], 5, 0, b"w", False, 0]], [], []],
        [VECTOR, [[[1, 1, 1], b"v", -1, b"w", False, 0]], [], []],
        [VECTOR, [[[1, 1, 1], b"v", 0.0, b"w", False, 0]], [], []],
        [VECTOR, [[[1, 1, 1], b"v", 0, None, False, 0]], [], []],
        [VECTOR, [[[1, 1, 1], b"v", 0, b"w", 1, 0]], [], []],
        [VECTOR, [[[1, 1, 1], b"v", 0, b"w", False, -1]], [], []],
        [VECTOR, [[[1, 1], b"v", 0, b"w", False, 0]], [], []],
        [VECTOR, [], ["text"], []],
        [VECTOR, [], [], 0],
        [VECTOR, [], [], ["text"]],
        [VECTOR, [], [], [bytes(8)]],
        [VECTOR, [], [], [bytes(25)]],
        [VECTOR, {}, [], []],
    ],
)
def test_a_record_of_wrong_types_is_refused(wrong):
    with pytest.raises(ProtocolError, match="not a record"):
        decode_record(packed(wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [VECTOR, 0, [], 0],
        [VECTOR, 0, 0],
        [VECTOR, 0, ["text"]],
        [VECTOR, 0, [bytes(8)]],
        [VECTOR, 0, [bytes(25)]],
        [VECTOR, True, []],
        [VECTOR, -1, []],
        [[[[1, 1, 1]]], 0, []],
        [[[[1, 1, 1, 1]], []], 0, []],
        [[[[-1, 1, 1]], []], 0, []],
        [[[[1, -1, 1]], []], 0, []],
        [[[[1, 1, 0]], []], 0, []],
        [[[[1, 1, "1"]], []], 0, []],
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
        [VECTOR, 0],
        [VECTOR, 9, [ATTEMPTS[1], ATTEMPTS[0]]],
        [VECTOR, 9, [ATTEMPTS[1], ATTEMPTS[1]]],
        [VECTOR, 9, ATTEMPTS],
        [VECTOR, 0, [ATTEMPTS[1]]],
        [[[[2, 1, 1], [1, 1, 1]], []], 0, []],
        [[[[1, 1, 2], [1, 1, 1]], []], 0, []],
        [[[], [[1, 1, 1]]], 0, []],
        [[[[1, 1, 1]], [[1, 1, 2]]], 0, []],
    ],
)
def test_a_context_in_another_form_than_it_was_handed_out_is_refused(other_form):
    with pytest.raises(InvalidRequest, match="pass on, unchanged"):
        decode_context(packed(other_form))


def test_a_number_written_in_more_bytes_than_it_needs_is_refused_in_a_context():
    assert decode_context(b"\x02\x93\x92\x90\x90\x01\x90") == Context(timestamp=1)
    with pytest.raises(InvalidRequest):
        decode_context(b"\x02\x93\x92\x90\x90\xcd\x00\x01\x90")
