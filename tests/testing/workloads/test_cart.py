"""Carts: what one device takes out stays out, and what another put in beside it stays in."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.workloads.cart import ITEMS, Cart, Carts, merge_carts
from dynamo_py.testing.workloads.elements import ELEMENTS_MAX

tags = st.integers(0, 9)


@st.composite
def carts(draw):
    """A version of one cart: a tag always means the same addition."""
    cart = Cart()
    for tag in draw(st.lists(tags)):
        cart = cart.add(f"c-{tag}", ITEMS[tag % 3], tag + 1)
    return cart.without(f"c-{tag}" for tag in draw(st.lists(tags)))


@given(carts(), carts(), carts())
def test_merging_is_a_join(one, other, third):
    assert one.merge(other) == other.merge(one)
    assert one.merge(other).merge(third) == one.merge(other.merge(third))
    assert one.merge(one) == one


@given(carts())
def test_a_cart_survives_json(cart):
    assert Cart.from_json(json.loads(json.dumps(cart.to_json()))) == cart


@given(st.lists(carts(), min_size=1))
def test_the_resolver_merges_all_versions(versions):
    merged = Cart.from_json(merge_carts([version.to_json() for version in versions]))
    removed = frozenset().union(*(version.removed for version in versions))
    added = {tag for version in versions for tag in version.additions}
    assert merged.removed == removed
    assert {element.split()[0] for element in merged.elements()} == added - removed


def test_a_removal_takes_out_what_it_has_seen_of_its_item_and_nothing_else():
    seen = Cart().add("a-1", "bread", 2).add("a-2", "eggs", 6)
    beside = seen.add("b-1", "bread", 1)
    after = seen.without(seen.tags_of("bread")).merge(beside)
    assert sorted(after.elements()) == ["a-2 6 eggs", "b-1 1 bread"]
    assert after.tags_of("bread") == ["b-1"]
    assert after.merge(seen) == after, "an old version brings nothing back"


async def test_items_are_added_and_removed_and_full_carts_are_replaced(world):
    workload = Carts(customers_count=1)
    await world.run_in_turns(workload, rounds=80)
    additions = {}
    removed = 0
    for key in ("customer-0/0", "customer-0/1"):
        found = await world.read("carts", key)
        cart = Cart.from_json(json.loads(found.one()))
        additions[key] = len(cart.additions)
        removed += len(cart.removed)
    assert additions["customer-0/0"] == ELEMENTS_MAX
    assert 0 < additions["customer-0/1"] < ELEMENTS_MAX
    assert removed > 20
