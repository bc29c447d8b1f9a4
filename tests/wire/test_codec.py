"""Messages as bytes: each comes back as it was, and nothing else is taken."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import inspect

from dynamo_py.errors import ProtocolError
from dynamo_py.wire.codec import NUMBERS, TABLE, decode_body, encode_body
from dynamo_py.wire.failures import to_error
from dynamo_py.wire.messages import (
    Failure,
    Get,
    Hello,
    Message,
    Put,
    Quorum,
    ReplicaPut,
    Ring,
    ScanPage,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "wire.json").read_text())
I64_MIN, U64_MAX = -(2**63), 2**64 - 1

SAMPLES = [
    None,
    True,
    7,
    1.5,
    "text",
    b"bytes",
    b"sixteen bytes!!!",
    [],
    [None],
    {},
    {"a": b"b"},
    msgspec.msgpack.Ext(1, b"extension"),
    msgspec.msgpack.Ext(-1, b"\0\0\0\1"),
]
"""One of each kind that MessagePack knows; -1 is its own extension for times."""


def strategy_of(kind: inspect.Type) -> st.SearchStrategy:
    """All values of a type, as msgspec describes it."""
    match kind:
        case inspect.NoneType():
            return st.none()
        case inspect.BoolType():
            return st.booleans()
        case inspect.IntType():
            low = I64_MIN if kind.ge is None else kind.ge
            return st.integers(low, U64_MAX if kind.le is None else kind.le)
        case inspect.FloatType():
            return st.floats(allow_nan=False)
        case inspect.BytesType():
            return st.binary(min_size=kind.min_length or 0, max_size=min(kind.max_length or 40, 40))
        case inspect.StrType():
            return st.text(min_size=kind.min_length or 0, max_size=min(kind.max_length or 20, 20))
        case inspect.UnionType():
            return st.one_of([strategy_of(each) for each in kind.types])
        case inspect.ListType():
            return st.lists(strategy_of(kind.item_type), max_size=4)
        case inspect.TupleType():
            return st.tuples(*[strategy_of(each) for each in kind.item_types])
        case inspect.DictType():
            keys, values = strategy_of(kind.key_type), strategy_of(kind.value_type)
            return st.dictionaries(keys, values, max_size=4)
        case inspect.StructType() | inspect.NamedTupleType():
            fields = [strategy_of(field.type) for field in kind.fields]
            return st.tuples(*fields).map(lambda values: kind.cls(*values))
    raise AssertionError(f"a type that no message had before: {kind}")


MESSAGES = {kind: strategy_of(inspect.type_info(kind)) for kind in TABLE.values()}
any_message = st.one_of(list(MESSAGES.values()))


def vector_message(name: str) -> Message:
    """The example of a message that is written down."""
    kind = TABLE[VECTORS["messages"][name]["number"]]
    return msgspec.convert(VECTORS["messages"][name]["fields"], kind)


def packed(message: Message, /, **changed: object) -> bytes:
    """The body of ``message`` with some fields of any other kind, past all checks."""
    fields = [changed.get(name, getattr(message, name)) for name in message.__struct_fields__]
    return msgspec.msgpack.encode(fields)


def every_field() -> list[tuple[str, str]]:
    return [(kind.__name__, field) for kind in NUMBERS for field in kind.__struct_fields__]


# --- each comes back ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25)
def test_a_message_comes_back_as_it_was(kind, data):
    message = data.draw(MESSAGES[kind])
    number, body = encode_body(message)
    assert TABLE[number] is kind
    decoded = decode_body(number, body)
    assert type(decoded) is kind
    assert decoded == message
    assert encode_body(decoded) == (number, body)


@pytest.mark.parametrize("name", VECTORS["messages"])
def test_the_bytes_of_a_message_are_those_written_down(name):
    vector = VECTORS["messages"][name]
    message = vector_message(name)
    number, body = encode_body(message)
    assert (type(message).__name__, number, body.hex()) == (name, vector["number"], vector["bytes"])
    assert decode_body(number, bytes.fromhex(vector["bytes"])) == message


def test_the_bytes_of_every_message_are_written_down():
    assert list(VECTORS["messages"]) == [kind.__name__ for kind in TABLE.values()]


def test_a_number_fits_into_its_byte_and_stands_for_one_message():
    assert all(0 < number < 256 for number in TABLE)
    assert len(NUMBERS) == len(TABLE)


def test_a_body_without_the_later_fields_has_their_defaults():
    hello = vector_message("Hello")
    body = msgspec.msgpack.encode([getattr(hello, n) for n in hello.__struct_fields__[:-1]])
    assert decode_body(NUMBERS[Hello], body) == msgspec.structs.replace(hello, proof=b"")
    put = vector_message("Put")
    body = msgspec.msgpack.encode([getattr(put, n) for n in put.__struct_fields__[:7]])
    assert decode_body(NUMBERS[Put], body) == msgspec.structs.replace(
        put, if_absent=False, ttl_ms=0, age_ms=0
    )


def test_an_empty_quorum_is_the_default_one():
    body = packed(vector_message("Get"), quorum=[])
    get = decode_body(NUMBERS[Get], body)
    assert isinstance(get, Get)
    assert get.quorum == Quorum(0, 0, 0)


# --- nothing else is taken ---------------------------------------------------------------------


@given(st.integers(0, 255).filter(lambda number: number not in TABLE), st.binary(max_size=40))
def test_an_unknown_number_is_refused(number, body):
    with pytest.raises(ProtocolError, match=f"unknown message {number}"):
        decode_body(number, body)


@given(any_message, st.binary(min_size=1, max_size=3))
def test_trailing_bytes_are_refused(message, rest):
    number, body = encode_body(message)
    with pytest.raises(ProtocolError):
        decode_body(number, body + rest)


@given(any_message, st.data())
def test_a_truncated_body_is_refused(message, data):
    number, body = encode_body(message)
    with pytest.raises(ProtocolError):
        decode_body(number, body[: data.draw(st.integers(0, len(body) - 1))])


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_a_field_too_many_is_refused(kind):
    message = vector_message(kind.__name__)
    fields = [getattr(message, name) for name in message.__struct_fields__]
    with pytest.raises(ProtocolError):
        decode_body(NUMBERS[kind], msgspec.msgpack.encode([*fields, None]))


@pytest.mark.parametrize("kind", NUMBERS, ids=lambda kind: kind.__name__)
def test_a_body_that_is_no_array_is_refused(kind):
    message = vector_message(kind.__name__)
    as_map = {name: getattr(message, name) for name in message.__struct_fields__}
    for body in (as_map, None, 1, "text", b"bytes", msgspec.msgpack.Ext(1, b"")):
        with pytest.raises(ProtocolError):
            decode_body(NUMBERS[kind], msgspec.msgpack.encode(body))


@pytest.mark.parametrize(("name", "field"), every_field())
def test_a_field_is_taken_as_what_it_is_or_refused(name, field):
    """No kind is silently made into another, and no extension is let in anywhere."""
    message = vector_message(name)
    number = NUMBERS[type(message)]
    for sample in SAMPLES:
        try:
            decoded = decode_body(number, packed(message, **{field: sample}))
        except ProtocolError:
            continue
        value = getattr(decoded, field)
        assert not isinstance(sample, msgspec.msgpack.Ext)
        if field == "quorum":
            assert (sample, value) == ([], Quorum())
        else:
            assert (type(value), value) == (type(sample), sample)


@pytest.mark.parametrize(("name", "field"), every_field())
def test_deep_nesting_is_refused_in_every_field(name, field):
    message = vector_message(name)
    number = NUMBERS[type(message)]
    for opening in (b"\x91", b"\x81\xa1a"):
        deep = msgspec.Raw(opening * 100_000 + b"\xc0")
        with pytest.raises(ProtocolError):
            decode_body(number, packed(message, **{field: deep}))


@pytest.mark.parametrize("length", [0, 1, 15, 17, 32])
def test_a_node_id_has_sixteen_bytes(length):
    wrong = bytes(length)
    for name, field in [
        ("Hello", "node"),
        ("Hello", "cluster_id"),
        ("Welcome", "node"),
        ("Put", "write_id"),
        ("Ring", "cluster_id"),
        ("ReplicaPut", "hinted_for"),
        ("Table", "cluster_id"),
        ("Join", "node"),
        ("Readmission", "node"),
        ("AskProgress", "node"),
    ]:
        message = vector_message(name)
        with pytest.raises(ProtocolError):
            decode_body(NUMBERS[type(message)], packed(message, **{field: wrong}))
    body = packed(vector_message("Ring"), nodes=[[wrong, "a", "127.0.0.1:1", "", "up"]])
    with pytest.raises(ProtocolError):
        decode_body(NUMBERS[Ring], body)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("Put", "attempt", -1),
        ("Put", "ttl_ms", -1),
        ("Put", "ttl_ms", 2**53 + 1),
        ("Scan", "partition", -1),
        ("ReplicaPut", "partition", -1),
        ("Hello", "role", "x" * 65),
        ("Hello", "name", ""),
        ("Hello", "cluster", "x" * 65),
        ("Join", "name", "x" * 65),
        ("Join", "peer_address", "x" * 257),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(name, field, value):
    message = vector_message(name)
    with pytest.raises(ProtocolError):
        decode_body(NUMBERS[type(message)], packed(message, **{field: value}))


def test_a_length_that_the_bytes_do_not_have_is_refused():
    for head in (b"\xdd\xff\xff\xff\xff", b"\x91\xc6\xff\xff\xff\xff", b"\x91\xdf\xff\xff\xff\xff"):
        for number in TABLE:
            with pytest.raises(ProtocolError):
                decode_body(number, head)


def test_text_that_is_no_utf8_is_refused():
    broken = msgspec.Raw(b"\xa2\xff\xfe")
    with pytest.raises(ProtocolError):
        decode_body(NUMBERS[Hello], packed(vector_message("Hello"), name=broken))
    with pytest.raises(ProtocolError):
        decode_body(NUMBERS[Failure], packed(vector_message("Failure"), facts={"x": broken}))


@given(any_message, st.data())
@settings(max_examples=300)
def test_a_mutated_body_is_a_message_or_a_protocol_error(message, data):
    """Whatever is changed: no other exception, and what is taken is taken exactly."""
    number, body = encode_body(message)
    mutated = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        match data.draw(st.sampled_from(["change", "insert", "cut", "repeat"])):
            case "change" if at < len(mutated):
                mutated[at] = data.draw(st.integers(0, 255))
            case "insert":
                mutated[at:at] = data.draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del mutated[at : at + 2]
            case _:
                mutated[at:at] = mutated[:at]
    other = data.draw(st.sampled_from([number, *TABLE]))
    _decodes_exactly_or_not_at_all(other, bytes(mutated))


@given(st.sampled_from(list(TABLE)), st.binary(max_size=60))
@settings(max_examples=200)
@example(4, b"\x90")
@example(4, b"")
def test_random_bytes_are_a_message_or_a_protocol_error(number, body):
    _decodes_exactly_or_not_at_all(number, body)


def _decodes_exactly_or_not_at_all(number: int, body: bytes) -> None:
    try:
        message = decode_body(number, body)
    except ProtocolError:
        return
    assert type(message) is TABLE[number]
    again = encode_body(message)
    # By bytes: a fact may be a float that is no number, and unequal to itself.
    assert encode_body(decode_body(*again)) == again
    if isinstance(message, Failure):
        try:
            to_error(message)
        except ProtocolError:
            return


def test_large_bodies_come_back():
    record = bytes(16 * 1024 * 1024)
    put = ReplicaPut(1, b"bucket\0key", 1, record)
    assert decode_body(*encode_body(put)) == put
    page = ScanPage([b"b\0%d" % i for i in range(10_000)], None)
    assert decode_body(*encode_body(page)) == page
