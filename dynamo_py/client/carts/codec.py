"""A cart as bytes: JSON that people can read in the store, the same bytes for equal carts.

Knows nothing of the store. Every field is checked on the way in; what is wrong raises
`BrokenCart`, so that a value of somebody else's under the same key is not taken for an empty
cart and overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from dynamo_py.client.carts.cart import ITEM_CHARACTERS_MAX, QUANTITY_MAX, Addition, Cart, merge_all
from dynamo_py.client.carts.tags import Range, Tag, TagSet
from dynamo_py.errors import InvalidRequest

FORMAT = 1

_Device = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Item = Annotated[str, msgspec.Meta(min_length=1, max_length=ITEM_CHARACTERS_MAX)]
_Quantity = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
_Counter = Annotated[int, msgspec.Meta(ge=1)]


class BrokenCart(InvalidRequest):
    """A value that is no cart, or one of a newer program."""


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON document: additions as [device, counter, item, quantity]; seen as ranges."""

    format: int
    additions: list[tuple[_Device, _Counter, _Item, _Quantity]]
    seen: Mapping[_Device, Sequence[tuple[_Counter, _Counter]]]


def encode_cart(cart: Cart) -> bytes:
    """The bytes of a cart. Equal carts have equal bytes."""
    return msgspec.json.encode(
        _Document(
            FORMAT,
            [(*each.tag, each.item, each.quantity) for each in cart.additions],
            {device: list(ranges) for device, ranges in cart.seen.ranges},
        )
    )


def decode_cart(value: bytes) -> Cart:
    """The cart of these bytes; raises `BrokenCart`."""
    try:
        return _cart_of(msgspec.json.decode(value, type=_Document))
    except msgspec.DecodeError as error:
        raise BrokenCart(f"not a cart: {error}") from None


def merge_values(values: Sequence[bytes]) -> bytes:
    """Siblings of a cart as one value: what `Bucket.update` is given to resolve them."""
    return encode_cart(merge_all(decode_cart(value) for value in values))


def merge_documents(values: Sequence[object]) -> object:
    """As `merge_values`, for a bucket whose codec has made plain objects of the JSON."""
    try:
        carts = [_cart_of(msgspec.convert(value, _Document)) for value in values]
    except msgspec.ValidationError as error:
        raise BrokenCart(f"not a cart: {error}") from None
    merged: object = msgspec.json.decode(encode_cart(merge_all(carts)))
    return merged


def _cart_of(document: _Document) -> Cart:
    if document.format != FORMAT:
        raise BrokenCart(f"a cart of format {document.format}, this program reads {FORMAT}")
    cart = Cart(
        tuple(
            sorted(
                Addition(Tag(device, counter), item, quantity)
                for device, counter, item, quantity in document.additions
            )
        ),
        TagSet.from_ranges(
            (device, Range(first, last))
            for device, ranges in document.seen.items()
            for first, last in ranges
        ),
    )
    _refuse_contradictions(cart)
    return cart


def _refuse_contradictions(cart: Cart) -> None:
    tags = [each.tag for each in cart.additions]
    if len(set(tags)) != len(tags):
        raise BrokenCart("not a cart: two additions have one tag")
    if any(tag not in cart.seen for tag in tags):
        raise BrokenCart("not a cart: it holds an addition that it has not seen")
    if any(first > last for _, ranges in cart.seen.ranges for first, last in ranges):
        raise BrokenCart("not a cart: a range ends before it begins")
