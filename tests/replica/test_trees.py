"""Trees of a replica: built beside the writes, kept up by them, begun anew after damage."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import (
    NOTHING_SEEN,
    Dot,
    HybridClock,
    Minter,
    Record,
    Sibling,
    encode_record,
    vector_of,
)
from dynamo_py.errors import Damaged, DiskFull
from dynamo_py.replica.hash_tree import EMPTY_HASH, HashTree, digest_of, tree_of
from dynamo_py.replica.replica import Replica, Write
from dynamo_py.replica.trees import PAGE_ROWS, Trees
from dynamo_py.storage.engine import Space

P = 3


class Home:
    """A replica and its trees, over a store that the test may damage."""

    def __init__(self, store) -> None:
        self.store = store
        self.scanned_damage: list[int] = []
        self.trees = Trees(store, on_damage=self.scanned_damage.append)
        self.replica = Replica(
            store,
            Minter(random.Random(1)),
            HybridClock(lambda: 0),
            wall_ms=lambda: 0,
            on_damage=self.trees.damage_met,
            on_change=self.trees.note,
        )

    def merge(self, key: bytes, number: int) -> None:
        self.replica.merge(P, key, record(number), hinted_for=None, on_commit=lambda error: None)

    def build(self) -> None:
        while P in self.trees.unbuilt():
            self.trees.build_page(P)

    def tree(self) -> HashTree:
        found = self.trees.tree(P)
        assert found is not None
        return found


def record(number: int) -> bytes:
    dot = Dot(number + 1, 1, 1)
    return encode_record(Record(vector_of([dot]), (Sibling(dot, b"v", 0, bytes(16)),)))


def key_of(number: int) -> bytes:
    return b"b\0%05d" % number


@pytest.fixture
def home(make_node) -> Home:
    return Home(make_node(1).store)


def test_a_tree_is_made_when_it_is_first_asked_for(home):
    home.merge(b"b\0a", 1)
    told = []
    home.trees.on_wanted = lambda: told.append(True)
    assert home.trees.unbuilt() == []
    assert home.trees.tree(P) is None
    assert (home.trees.unbuilt(), len(told)) == ([P], 1)
    home.build()
    assert home.tree().root() == tree_of([(b"b\0a", record(1))]).root()
    assert home.trees.is_built(P)
    assert not home.trees.is_built(P + 1)


def test_writes_while_a_tree_is_built_are_counted_once_before_and_behind_the_scan(home):
    for number in range(PAGE_ROWS + 50):
        home.merge(key_of(number * 2), 1)
    home.trees.want(P)
    home.trees.build_page(P)
    assert not home.trees.is_built(P)
    for number in (0, 1, 2 * PAGE_ROWS - 2, 2 * PAGE_ROWS - 1, 2 * PAGE_ROWS, 99_999):
        home.merge(key_of(number), 2)
    home.build()
    assert home.trees.is_built(P)
    home.trees.verify(P)


@given(
    before=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), max_size=20),
    after=st.lists(st.tuples(st.integers(0, 300), st.integers(1, 5)), max_size=20),
)
def test_whatever_is_written_a_built_tree_is_that_of_a_full_scan(make_node, before, after):
    home = Home(make_node(1).store)
    for number, which in before:
        home.merge(key_of(number), which)
    home.trees.want(P)
    home.build()
    for number, which in after:
        home.merge(key_of(number), which)
        home.trees._check()


changes = st.lists(
    st.tuples(
        st.sampled_from(["merge", "merge", "write", "drop", "forget", "build", "dirty"]),
        st.integers(0, 12),
        st.integers(1, 4),
    ),
    max_size=40,
)


@given(changes)
def test_the_size_of_a_built_tree_is_that_of_a_full_scan_whatever_happens(make_node, steps):
    home = Home(make_node(1).store)
    home.trees.want(P)
    for kind, number, which in steps:
        key = key_of(number)
        held = home.store.get(Space.RECORDS, P, key)
        if kind == "merge":
            home.merge(key, which)
        elif kind == "write":
            write = Write(NOTHING_SEEN, bytes(which), b"%016d" % which, False, 0)
            home.replica.write(P, key, write, hinted_for=None, on_commit=lambda error: None)
        elif kind == "drop" and held is not None:
            assert home.replica.drop(P, key, digest_of(key, held))
        elif kind == "forget" and held is not None:
            home.replica.forget(P, key, digest_of(key, held), is_dropped=False)
        elif kind == "build":
            home.trees.build_page(P)
        elif kind == "dirty":
            home.trees.mark_dirty(P)
        if home.trees.is_built(P):
            assert home.trees.size(P) == scanned(home)
    home.build()
    assert home.trees.size(P) == scanned(home)
    assert home.tree().root() == tree_of(home.store.scan(Space.RECORDS, P, b"", 99).rows).root()


def scanned(home: Home) -> tuple[int, int]:
    rows = home.store.scan(Space.RECORDS, P, b"", 99).rows
    return len(rows), sum(len(key) + len(encoded) for key, encoded in rows)


def test_a_tree_that_is_not_wanted_has_no_size(home):
    home.merge(b"b\0a", 1)
    assert home.trees.size(P) == (0, 0)


def test_a_damaged_record_is_not_counted(home):
    for number in range(2):
        home.merge(key_of(number), 1)
    home.store.damage(Space.RECORDS, P, key_of(0))
    home.trees.want(P)
    home.build()
    assert home.trees.size(P) == (1, len(key_of(1)) + len(record(1)))


def test_a_clients_write_and_its_repetition_are_counted_once(home):
    home.trees.want(P)
    home.build()
    write = Write(NOTHING_SEEN, b"v", b"w" * 16, False, 0)
    for _ in range(2):
        home.replica.write(P, b"b\0a", write, hinted_for=None, on_commit=lambda error: None)
    assert home.tree().root() != EMPTY_HASH
    home.trees._check()


def test_a_hint_is_no_record_of_the_copy(home):
    home.trees.want(P)
    home.build()
    home.replica.merge(P, b"b\0a", record(1), hinted_for=b"o" * 16, on_commit=lambda error: None)
    assert home.tree().root() == EMPTY_HASH


def test_what_the_store_refuses_is_not_counted(home):
    home.trees.want(P)
    home.build()
    home.store.refusal = DiskFull("no room")
    with pytest.raises(DiskFull):
        home.merge(b"b\0a", 1)
    assert home.tree().root() == EMPTY_HASH


def test_after_a_failed_commit_every_tree_is_built_again(home):
    home.trees.want(P)
    home.trees.want(P + 1)
    home.build()
    home.merge(b"b\0a", 1)
    home.store.rows.clear()
    home.trees.mark_all_dirty()
    assert home.trees.unbuilt() == [P, P + 1]
    home.build()
    assert home.tree().root() == EMPTY_HASH
    assert home.trees.statistics() == {"trees": 2, "built": 1, "rebuilt": 2}


def test_a_damaged_record_is_told_and_left_out_until_it_is_mended_and_scanned_again(home):
    home.merge(b"b\0a", 1)
    home.merge(b"b\0b", 2)
    home.store.damage(Space.RECORDS, P, b"b\0a")
    home.trees.want(P)
    home.build()
    assert home.scanned_damage == [P]
    assert not home.trees.is_built(P)
    assert home.tree().root() == tree_of([(b"b\0b", record(2))]).root()
    home.merge(b"b\0a", 1)
    assert home.tree().root() == tree_of([(b"b\0a", record(1)), (b"b\0b", record(2))]).root()
    assert not home.trees.is_built(P)
    home.trees.mark_dirty(P)
    home.build()
    assert home.trees.is_built(P)


def test_damage_that_a_read_meets_makes_a_tree_that_counted_it_dirty(home):
    home.merge(b"b\0a", 1)
    home.trees.want(P)
    home.build()
    home.store.damage(Space.RECORDS, P, b"b\0a")
    with pytest.raises(Damaged):
        home.replica.get(P, b"b\0a")
    assert home.trees.unbuilt() == [P]
    home.merge(b"b\0a", 7)
    home.build()
    assert home.trees.is_built(P)
    home.trees._check()


def test_a_tree_that_counts_something_else_is_found_by_the_check(home):
    home.trees.want(P)
    home.build()
    home.trees.note(P, b"b\0a", None, record(1))
    with pytest.raises(AssertionError):
        home.trees._check()


def test_a_partition_that_is_not_held_costs_no_memory(home):
    home.trees.want(P)
    home.trees.drop(P)
    assert home.trees.statistics()["trees"] == 0
    home.trees.mark_dirty(P)
    home.trees.build_page(P)
    assert home.trees.unbuilt() == []
