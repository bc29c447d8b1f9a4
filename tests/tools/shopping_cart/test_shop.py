"""The shop over a real store: one node, embedded."""

from __future__ import annotations

import pytest

import dynamo_py
from dynamo_py.client.carts import BrokenCart, decode_cart, encode_cart
from shopping_cart.shop import BUCKET, Shop


@pytest.fixture
async def store(tmp_path):
    async with dynamo_py.open_node(data_dir=tmp_path / "node") as node:
        yield node.store


async def test_what_is_added_is_shown_to_every_device(store):
    phone, laptop = Shop(store, device="phone"), Shop(store, device="laptop")
    await phone.add("alice", "apples", 2)
    cart = await laptop.add("alice", "bread")
    assert cart.contents() == {"apples": 2, "bread": 1}
    assert await phone.show("alice") == cart


async def test_a_new_customer_has_an_empty_cart(store):
    assert (await Shop(store, device="phone").show("bob")).contents() == {}


async def test_removing_tells_whether_the_item_was_there(store):
    shop = Shop(store, device="phone")
    await shop.add("alice", "bread")
    assert await shop.remove("alice", "bread")
    assert not await shop.remove("alice", "bread")
    assert (await shop.show("alice")).contents() == {}


async def test_removing_from_a_cart_that_never_was_makes_none(store):
    assert not await Shop(store, device="phone").remove("bob", "bread")
    assert not (await store.bucket(BUCKET).get("bob")).exists


async def test_an_emptied_cart_stays_in_the_store_and_keeps_old_copies_empty(store):
    carts = store.bucket(BUCKET)
    shop = Shop(store, device="phone")
    await shop.add("alice", "bread")
    old = await carts.get("alice")
    await shop.remove("alice", "bread")
    # A device that saw the bread writes its version back, not knowing of the removal.
    late = decode_cart(old.one()).add(Shop(store, device="laptop").new_tag(), "tea")
    await carts.put("alice", encode_cart(late), context=old)
    assert (await shop.show("alice")).contents() == {"tea": 1}


async def test_siblings_are_shown_merged_and_the_next_change_stores_one_value(store):
    carts = store.bucket(BUCKET)
    phone, laptop = Shop(store, device="phone"), Shop(store, device="laptop")
    await phone.add("alice", "bread")
    seen = await carts.get("alice")
    for shop, item in ((phone, "cheese"), (laptop, "tea")):
        cart = decode_cart(seen.one()).add(shop.new_tag(), item)
        await carts.put("alice", encode_cart(cart), context=seen)
    assert len((await carts.get("alice")).values) == 2
    merged = {"bread": 1, "cheese": 1, "tea": 1}
    assert (await phone.show("alice")).contents() == merged
    await laptop.add("alice", "tea")
    found = await carts.get("alice")
    assert decode_cart(found.one()).contents() == merged | {"tea": 2}


async def test_a_value_that_is_no_cart_is_neither_shown_nor_written_over(store):
    carts = store.bucket(BUCKET)
    await carts.put("alice", b"something else")
    shop = Shop(store, device="phone")
    with pytest.raises(BrokenCart):
        await shop.show("alice")
    with pytest.raises(BrokenCart):
        await shop.add("alice", "bread")
    assert (await carts.get("alice")).one() == b"something else"
