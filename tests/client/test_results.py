"""What calls return: values, siblings, contexts in every form a user may hand back."""

from __future__ import annotations

import pytest

from dynamo_py.causality import Dot, Record, Sibling, decode_context, encode_record, vector_of
from dynamo_py.causality.hlc import COUNTER_BITS
from dynamo_py.client.results import (
    Context,
    Fetched,
    Hinted,
    Stored,
    context_bytes,
    fetched,
    stored,
)
from dynamo_py.errors import InvalidRequest, ProtocolError, SiblingsFound
from dynamo_py.wire import messages as wire

NOW_MS = 1_700_000_000_000


def write(counter: int, value: bytes | None, *, ms: int = NOW_MS, expires_ms: int = 0) -> Sibling:
    return Sibling(
        Dot(255, 1, counter), value, ms << COUNTER_BITS, b"write %d" % counter, False, expires_ms
    )


def reply(*siblings: Sibling, now_ms: int = NOW_MS) -> wire.Fetched:
    record = Record(vector_of([s.dot for s in siblings]), siblings)
    return wire.Fetched(encode_record(record), now_ms, ["n1", "n2"], True, 2)


def got(*siblings: Sibling, now_ms: int = NOW_MS) -> Fetched:
    return fetched("alice", reply(*siblings, now_ms=now_ms), lambda data: data)


def test_one_value():
    found = got(write(1, b"apples"))
    assert found.exists
    assert found.values == (b"apples",)
    assert found.one() == b"apples"
    assert (found.key, found.degraded, found.replied) == ("alice", True, ("n1", "n2"))
    assert found.primaries == 2
    (sibling,) = found.siblings
    assert (sibling.timestamp, sibling.dot) == (NOW_MS / 1000, "00000000000000ff.1:1")


def test_several_values_come_oldest_first_and_are_not_one():
    found = got(write(1, b"young", ms=NOW_MS + 5), write(2, b"old"))
    assert found.values == (b"old", b"young")
    with pytest.raises(SiblingsFound, match="'alice' has 2 values") as caught:
        found.one()
    assert caught.value.count == 2
    with pytest.raises(SiblingsFound):
        found.one(default=b"nothing")


def test_a_missing_key():
    found = fetched("alice", wire.Fetched(None, 0, ["n1"], False, 1), lambda data: data)
    assert not found.exists
    assert found.values == ()
    assert found.one() is None
    assert found.one(default=b"nothing") == b"nothing"
    assert decode_context(found.context.to_bytes()) == decode_context(b"")


def test_a_deleted_key_is_missing_and_its_context_covers_the_deletion():
    found = got(write(1, None))
    assert not found.exists
    assert decode_context(found.context.data).vector.covers(Dot(255, 1, 1))


def test_an_empty_value_is_a_value():
    assert got(write(1, b"")).one(default=b"nothing") == b""


def test_a_value_counts_until_it_expires():
    expiring = write(1, b"v", expires_ms=NOW_MS)
    assert got(expiring, now_ms=NOW_MS - 1).exists
    assert not got(expiring, now_ms=NOW_MS).exists


def test_a_record_that_cannot_be_read_is_a_protocol_error():
    with pytest.raises(ProtocolError):
        fetched("alice", wire.Fetched(b"\x01\xc0", 0, [], False, 0), lambda data: data)


def test_what_a_put_returns():
    done = stored(wire.Stored(b"context", ["n1", "n4"], [wire.Hinted("n4", "n2")], True, 3, 1))
    assert done == Stored(
        Context(b"context"), ("n1", "n4"), (Hinted("n4", "n2"),), True, 3, primaries=1
    )


def test_a_context_is_taken_in_every_form():
    context = Context(b"seen")
    assert context_bytes(None) == b""
    assert context_bytes(b"seen") == b"seen"
    assert context_bytes(context) == b"seen"
    assert context_bytes(Stored(context, (), (), False, 1, 1)) == b"seen"
    assert context_bytes(Fetched("k", (), context, False, (), 0)) == b"seen"


@pytest.mark.parametrize("context", ["seen", 5, ["seen"], bytearray(b"seen"), {}])
def test_other_things_are_no_context(context):
    with pytest.raises(InvalidRequest, match="pass what a get or a put returned"):
        context_bytes(context)


# --- where the last write wins -----------------------------------------------------------------


def got_last(*siblings: Sibling, now_ms: int = NOW_MS) -> Fetched:
    return fetched("alice", reply(*siblings, now_ms=now_ms), lambda data: data, is_last_alone=True)


def test_where_the_last_write_wins_it_is_the_one_and_the_others_can_be_seen():
    young, old = write(1, b"young", ms=NOW_MS + 5), write(2, b"old")
    found = got_last(young, old)
    assert (found.one(), found.values, found.exists) == (b"young", (b"young",), True)
    assert [sibling.value for sibling in found.siblings] == [b"old", b"young"]
    assert found.context == got(young, old).context


@pytest.mark.parametrize("expires_ms", [None, NOW_MS])
def test_where_the_last_write_wins_a_younger_delete_leaves_nothing(expires_ms):
    last = write(1, None, ms=NOW_MS + 5)
    if expires_ms is not None:
        last = write(1, b"v", ms=NOW_MS + 5, expires_ms=expires_ms)
    found = got_last(last, write(2, b"old"))
    assert (found.exists, found.values, found.one(default=b"d")) == (False, (), b"d")
    assert [sibling.value for sibling in found.siblings] == [b"old"]


def test_where_the_last_write_wins_a_missing_key_is_missing():
    nothing = wire.Fetched(None, NOW_MS, ["n1"], False, 1)
    found = fetched("k", nothing, lambda data: data, is_last_alone=True)
    assert (found.exists, found.context) == (False, got().context)
