"""Ready-made resolvers: one value of several."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.client.carts import BrokenCart, Cart, Tag, encode_cart
from dynamo_py.client.resolve import cart, last_write_wins, named, union
from dynamo_py.config import BUCKET_RESOLVERS
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


BEFORE = Cart().add(Tag("phone", 1), "bread").add(Tag("phone", 2), "tea")
LESS, MORE = BEFORE.remove("bread"), BEFORE.add(Tag("laptop", 1), "cheese")


def test_a_cart_loses_nothing_and_brings_nothing_back():
    merged = encode_cart(LESS.merge(MORE))
    assert cart([encode_cart(LESS), encode_cart(MORE)]) == merged
    assert LESS.merge(MORE).contents() == {"cheese": 1, "tea": 1}


def test_a_cart_that_a_codec_has_decoded_is_merged_just_so():
    decoded = [json.loads(encode_cart(each)) for each in (LESS, MORE)]
    assert cart(decoded) == json.loads(encode_cart(LESS.merge(MORE)))
    assert cart([*decoded, cart(decoded)]) == cart(decoded)


@pytest.mark.parametrize("values", [[b"", b"{}"], [{}, {}], [b"[]", {}], ["text", 5]])
def test_what_is_no_cart_is_refused(values):
    with pytest.raises(BrokenCart):
        cart(values)


def test_every_resolver_that_a_bucket_can_name_is_there():
    assert [named(name) for name in BUCKET_RESOLVERS] == [last_write_wins, union, cart]
    with pytest.raises(InvalidRequest, match="newer"):
        named("newer")
