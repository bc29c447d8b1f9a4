"""Hash trees: equal for equal records, kept up in place, different where a record is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.replica.hash_tree import (
    EMPTY_HASH,
    FANOUT,
    LEAVES,
    HashTree,
    digest_of,
    leaf_of,
    tree_of,
)
from ring import partition_of, position_of

keys = st.binary(min_size=1, max_size=6)
records = st.binary(min_size=1, max_size=12)
changes = st.lists(st.tuples(keys, st.none() | records), max_size=40)


def leaves_of(tree: HashTree) -> list[int]:
    return [leaf for inner in range(FANOUT) for leaf in tree.children(1, inner)]


def dumb_leaves(rows: dict[bytes, bytes]) -> list[int]:
    """Each leaf by a walk over all keys."""
    leaves = [0] * LEAVES
    for key, record in rows.items():
        leaves[leaf_of(key)] ^= digest_of(key, record)
    return leaves


@given(changes)
def test_a_tree_kept_up_with_each_change_is_the_tree_of_what_is_there(made):
    tree, rows = HashTree(), {}
    for key, new in made:
        tree.replace(key, rows.pop(key, None), new)
        if new is not None:
            rows[key] = new
    assert leaves_of(tree) == dumb_leaves(rows)
    assert tree.root() == tree_of(reversed(rows.items())).root()
    assert tree.is_empty() == (not rows)
    tree._check()


@given(st.dictionaries(keys, records), st.dictionaries(keys, records))
def test_trees_are_equal_where_their_records_are_and_there_alone(mine, theirs):
    assert (tree_of(mine.items()).root() == tree_of(theirs.items()).root()) == (mine == theirs)


@given(st.dictionaries(keys, records), keys, records)
def test_a_difference_is_found_by_going_down_and_nothing_beside_it(rows, key, record):
    mine, theirs = tree_of(rows.items()), tree_of(({**rows, key: record}).items())
    differing_inner = [
        i
        for i, (a, b) in enumerate(zip(mine.children(0, 0), theirs.children(0, 0), strict=True))
        if a != b
    ]
    leaf = leaf_of(key)
    is_new = rows.get(key) != record
    assert differing_inner == ([leaf // FANOUT] if is_new else [])
    differing = [
        i for i, (a, b) in enumerate(zip(leaves_of(mine), leaves_of(theirs), strict=True)) if a != b
    ]
    assert differing == ([leaf] if is_new else [])


def test_what_has_no_record_below_it_has_a_hash_of_its_own():
    assert HashTree().root() == EMPTY_HASH
    assert HashTree().children(0, 0) == [EMPTY_HASH] * FANOUT


def test_a_key_and_its_record_are_told_apart():
    assert digest_of(b"ab", b"c") != digest_of(b"a", b"bc")


def test_the_keys_of_one_partition_spread_over_the_leaves():
    keys = [b"b\0%d" % number for number in range(40_000)]
    inside = [key for key in keys if partition_of(position_of(key), 16) == 3]
    assert len({leaf_of(key) for key in inside}) > LEAVES * 0.85


@pytest.mark.parametrize(("level", "index"), [(0, 1), (1, FANOUT), (1, -1), (2, 0), (-1, 0)])
def test_only_the_root_and_inner_nodes_have_children(level, index):
    with pytest.raises(IndexError):
        HashTree().children(level, index)
