"""A shopping cart that merges: a value for those who keep sets that shrink in the store.

What `dynamo_py.resolve.cart` resolves. Pure; knows nothing of the store.
"""

from __future__ import annotations

from dynamo_py.client.carts.cart import (
    ITEM_CHARACTERS_MAX,
    QUANTITY_MAX,
    Addition,
    Cart,
    merge_all,
)
from dynamo_py.client.carts.codec import (
    BrokenCart,
    decode_cart,
    encode_cart,
    merge_documents,
    merge_values,
)
from dynamo_py.client.carts.tags import Tag

__all__ = [
    "ITEM_CHARACTERS_MAX",
    "QUANTITY_MAX",
    "Addition",
    "BrokenCart",
    "Cart",
    "Tag",
    "decode_cart",
    "encode_cart",
    "merge_all",
    "merge_documents",
    "merge_values",
]
