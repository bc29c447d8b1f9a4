"""Ready-made resolvers: one value of several."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.client.resolve import last_write_wins, union
from dynamo_py.errors import InvalidRequest

sets = st.sets(st.integers(0, 9))


def test_the_youngest_wins():
    assert last_write_wins([b"old", b"young"]) == b"young"


@given(sets, sets, sets)
def test_the_union_of_sets_is_one_whatever_the_order(a, b, c):
    assert union([a, b, c]) == union([union([c, a]), b]) == a | b | c
    assert union([a, a]) == a
    assert type(union([frozenset(a), frozenset(b)])) is frozenset


@given(st.lists(st.lists(st.integers(0, 9)), min_size=1, max_size=4))
def test_the_union_of_lists_has_every_element(values):
    merged = union(values)
    assert {e for v in values for e in v} == set(merged)
    assert merged[: len(values[0])] == values[0]
    assert union([merged, *values]) == merged
    assert type(union([tuple(v) for v in values])) is tuple


def test_the_union_of_lists_may_hold_what_cannot_be_hashed():
    assert union([[{"a": 1}], [{"a": 1}, {"b": 2}]]) == [{"a": 1}, {"b": 2}]


def test_of_one_key_of_dicts_the_youngest_is_taken():
    assert union([{"a": 1, "b": 2}, {"b": 3}]) == {"a": 1, "b": 3}


@pytest.mark.parametrize("values", [[b"a", b"b"], ["a", "b"], [1, 2], [[1], {2}], [{}, [1]]])
def test_other_values_have_no_union(values):
    with pytest.raises(InvalidRequest, match="codec"):
        union(values)
