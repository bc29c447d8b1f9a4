"""Carts as bytes: readable, deterministic, and checked on the way in."""

from __future__ import annotations

import json

import pytest

from dynamo_py.client.carts.cart import Cart
from dynamo_py.client.carts.codec import BrokenCart, decode_cart, encode_cart, merge_values
from dynamo_py.client.carts.tags import Tag


def test_a_cart_in_the_store_is_plain_json():
    cart = Cart().add(Tag("phone", 1), "Käse", 2)
    assert json.loads(encode_cart(cart)) == {
        "format": 1,
        "additions": [["phone", 1, "Käse", 2]],
        "seen": {"phone": [[1, 1]]},
    }


def test_no_values_merge_to_an_empty_cart():
    assert decode_cart(merge_values([])) == Cart()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"apples",
        b"[]",
        b"{}",
        b'{"format":2,"additions":[],"seen":{}}',
        b'{"format":1,"additions":[["a",1,"bread",0]],"seen":{"a":[[1,1]]}}',
        b'{"format":1,"additions":[["a",1,"",1]],"seen":{"a":[[1,1]]}}',
        b'{"format":1,"additions":[["a",1,"bread",1]],"seen":{}}',
        b'{"format":1,"additions":[["a",1,"bread",1],["a",1,"tea",1]],"seen":{"a":[[1,1]]}}',
        b'{"format":1,"additions":[],"seen":{"a":[[2,1]]}}',
        b'{"format":1,"additions":[],"seen":{},"more":1}',
    ],
)
def test_what_is_no_cart_is_refused_and_not_taken_for_an_empty_one(value):
    with pytest.raises(BrokenCart):
        decode_cart(value)
