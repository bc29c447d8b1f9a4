"""Dropping copies that others hold: only what was compared, and a new life for what comes back."""

from __future__ import annotations

import pytest

from dynamo_py.causality import NOTHING_SEEN, Record, decode_record
from dynamo_py.errors import DiskFull
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.replica.replica import Write, Written
from dynamo_py.storage.engine import Space

P = 3
KEY = b"bucket\0key"


def put(node, value, number) -> Written:
    write = Write(NOTHING_SEEN, value, number.to_bytes(16, "big"), False, 0)
    return node.replica.write(P, KEY, write, hinted_for=None, on_commit=lambda error: None)


def merge(node, encoded) -> None:
    node.replica.merge(P, KEY, encoded, hinted_for=None, on_commit=lambda error: None)


def copy_of(node) -> Record:
    return decode_record(node.replica.get(P, KEY))


def values_in(record: Record) -> set[bytes]:
    return {s.value for s in record.values(0) if s.value is not None}


def digest(node) -> int:
    return digest_of(KEY, node.replica.get(P, KEY))


def test_a_copy_is_dropped_if_it_still_is_what_was_compared(node):
    put(node, b"a", 1)
    compared = digest(node)
    put(node, b"b", 2)
    assert not node.replica.drop(P, KEY, compared)
    assert values_in(copy_of(node)) == {b"a", b"b"}
    assert node.replica.drop(P, KEY, digest(node))
    assert node.replica.get(P, KEY) is None
    assert not node.replica.drop(P, KEY, compared), "there is nothing left"


def test_whoever_follows_the_copies_is_told_of_a_drop(node):
    put(node, b"a", 1)
    held, told = node.replica.get(P, KEY), []
    node.replica._on_change = lambda *change: told.append(change)
    node.replica._on_record = lambda *change: told.append(change)
    node.replica.drop(P, KEY, digest(node))
    assert told == [(P, KEY, held, None), (P, KEY, None)]


def test_a_copy_that_was_dropped_mints_under_a_new_life(node, make_node):
    first = put(node, b"a", 1)
    node.replica.drop(P, KEY, digest(node))
    merge(node, first.encoded)  # It comes back from a primary, as it was.
    second = put(node, b"b", 2).record.siblings[-1].dot
    assert second.actor != first.record.siblings[0].dot.actor
    other = make_node(2)
    merge(other, first.encoded)
    merge(other, node.replica.get(P, KEY))
    assert values_in(copy_of(other)) == {b"a", b"b"}


def test_what_the_store_refuses_to_drop_stays(node):
    put(node, b"a", 1)
    before = digest(node)
    node.store.refusal = DiskFull("no room")
    with pytest.raises(DiskFull):
        node.replica.drop(P, KEY, before)
    node.store.refusal = None
    assert digest(node) == before
    assert put(node, b"b", 2).record.siblings[-1].dot.counter == 2, "its life goes on"


def test_a_damaged_copy_is_dropped_without_being_read(node):
    first = put(node, b"a", 1)
    told = []
    node.replica._on_record = lambda *change: told.append(change)
    node.store.damage(Space.RECORDS, P, KEY)
    assert not node.replica.drop(P, KEY, digest_of(KEY, first.encoded))
    node.replica.drop_damaged(P, KEY)
    assert node.replica.get(P, KEY) is None
    assert told == [(P, KEY, None)]
    merge(node, first.encoded)
    assert put(node, b"b", 2).record.siblings[-1].dot.actor != first.record.siblings[0].dot.actor
