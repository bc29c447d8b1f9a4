"""Carts of customers in a store: add, remove, show, by the public API alone.

Knows nothing of nodes. Two devices may change one cart at the same moment: what comes of it
are siblings in the store, which the next change merges (`dynamo_py.carts` says how).
"""

from __future__ import annotations

import dynamo_py
from dynamo_py import carts

BUCKET = "carts"


class Shop:
    """Shopping from one device, such as a browser's session."""

    def __init__(self, store: dynamo_py.Store, *, device: str) -> None:
        """``device`` names this object alone, for ever: additions are told apart by it."""
        self.device = device
        self._carts = store.bucket(BUCKET, codec="raw")
        self._additions = 0

    def new_tag(self) -> carts.Tag:
        """The name of one more addition from this device."""
        self._additions += 1
        return carts.Tag(self.device, self._additions)

    async def show(self, customer: str) -> carts.Cart:
        """The customer's cart, siblings merged; an empty one for a new customer."""
        found = await self._carts.get(customer)
        return carts.decode_cart(carts.merge_values(found.values))

    async def add(self, customer: str, item: str, quantity: int = 1) -> carts.Cart:
        """Put ``quantity`` of ``item`` into the cart; the cart as it was stored.

        After an error whose ``outcome`` is ``"unknown"`` the item may be in the cart: look
        before you add it again.
        """
        tag = self.new_tag()
        cart = carts.Cart()

        def change(value: bytes | None) -> bytes:
            nonlocal cart
            cart = _cart_of(value).add(tag, item, quantity)
            return carts.encode_cart(cart)

        await self._carts.update(customer, change, resolve=dynamo_py.resolve.cart)
        return cart

    async def remove(self, customer: str, item: str) -> bool:
        """Take ``item`` out of the cart; whether it was in it."""
        was_there = False

        def change(value: bytes | None) -> object:
            nonlocal was_there
            cart = _cart_of(value)
            was_there = item in cart.contents()
            if value is None:
                return dynamo_py.DELETE  # There is no cart: make none.
            return carts.encode_cart(cart.remove(item))

        await self._carts.update(customer, change, resolve=dynamo_py.resolve.cart)
        return was_there


def _cart_of(value: bytes | None) -> carts.Cart:
    return carts.Cart() if value is None else carts.decode_cart(value)
