"""What two copies have to tell each other about a key."""

from __future__ import annotations

import pytest

from dynamo_py.causality import (
    Context,
    Dot,
    Record,
    Sibling,
    encode_context,
    encode_record,
    vector_of,
)
from dynamo_py.errors import ProtocolError
from dynamo_py.replica.comparing import clashing_dots, differing, mending, newest_ms
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.wire.sync_messages import LeafRow

KEY = b"b\0k"
A, B = Dot(1, 1, 1), Dot(2, 1, 1)


def record(*dots: Dot, retired: tuple[bytes, ...] = (), value: bytes = b"v") -> Record:
    siblings = tuple(Sibling(dot, value, 5 << 16, bytes([dot.boot]) * 16) for dot in dots)
    return Record(vector_of(dots), siblings, retired)


def row_of(theirs: Record) -> LeafRow:
    context = encode_context(Context(theirs.vector))
    return LeafRow(KEY, context, digest_of(KEY, encode_record(theirs)))


def plan(mine: Record | None, theirs: Record | None, *, lacking: tuple[bytes, ...] = ()):
    held = None if mine is None else encode_record(mine)
    rows = [] if theirs is None else [row_of(theirs)]
    found = mending(rows, lacking, lambda key: held)
    return found.fetch, found.push


@pytest.mark.parametrize(
    ("mine", "theirs", "fetch", "push"),
    [
        (record(A), record(A), False, False),
        (record(A, B), record(A), False, True),
        (record(A), record(A, B), True, False),
        (record(A), record(B), True, True),
        (None, record(A), True, False),
        (record(A), record(A, retired=(b"r" * 16,)), True, True),
        (record(A), record(A, value=b"other"), True, True),
    ],
    ids=["equal", "ahead", "behind", "concurrent", "missing", "retired", "clash"],
)
def test_a_record_goes_to_whoever_does_not_know_it(mine, theirs, fetch, push):
    assert plan(mine, theirs) == ((KEY,) if fetch else (), (KEY,) if push else ())


def test_what_the_other_lacks_is_pushed_unless_it_is_gone_or_listed_with_another_record():
    assert plan(record(A), None, lacking=(KEY,)) == ((), (KEY,))
    assert plan(None, None, lacking=(KEY,)) == ((), ())
    assert plan(record(A), record(A, B), lacking=(KEY,)) == ((KEY,), ())


def test_a_key_that_goes_both_ways_differs_once():
    held = encode_record(record(A))
    assert mending([row_of(record(B))], (), lambda key: held).keys == 1


def test_a_row_without_a_context_is_the_others_error():
    with pytest.raises(ProtocolError):
        mending([LeafRow(KEY, b"no context", 1)], (), lambda key: encode_record(record(A)))


def test_hashes_differ_where_they_do_and_come_in_the_number_asked_for():
    assert differing([1, 2, 3], [1, 5, 3]) == [1]
    with pytest.raises(ProtocolError):
        differing([1, 2], [1])


def test_one_dot_with_two_values_is_found():
    assert clashing_dots(record(A, B), record(A)) == []
    assert clashing_dots(record(A, B), record(A, value=b"other")) == [A]


def test_the_age_of_a_record_is_that_of_its_newest_write():
    assert newest_ms(record(A)) == 5
    assert newest_ms(Record()) == 0
