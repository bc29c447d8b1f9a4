"""A shopping cart whose copies merge without losing an item or bringing a removed one back.

Pure: knows nothing of the store, of bytes or of customers.

Theory. Dynamo's own cart merges two versions by the union of their items, and so "deleted
items can resurface" (DeCandia et al. 2007, section 4.4): a union cannot tell "I have not seen
this item" from "I have seen it and taken it out". This cart remembers the difference. Each
addition has a tag that no other has, and a cart is a pair: the additions that are in it, and
the tags that it has *seen*. A tag that was seen and is not in the cart was removed. Merging
two carts keeps an addition if both hold it, or if one holds it and the other has not seen it
(an observed-remove set without tombstones; Bieniusa et al. 2012). That is a join of a
semilattice: the order and the number of merges do not matter.

What follows from it: an addition made beside a removal, by somebody who the remover had not
seen, stays; a removal takes out all that its device saw of the item, and nothing else; the
quantity of an item is the sum of its additions.

Two things must not be done to save room. Additions of one item are not summed up into one: a
removal made elsewhere meanwhile would miss the sum. An empty cart is not deleted from the
store: its seen tags are what keeps old copies of it empty. What is seen grows by one range for
each device that ever added something (see `dynamo_py.client.carts.tags`), and by nothing for
a removal.

Invariants: every addition's tag is among the seen ones; additions are sorted by tag, so equal
carts are equal values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from dynamo_py.client.carts.tags import NOTHING, Tag, TagSet

ITEM_CHARACTERS_MAX = 200
QUANTITY_MAX = 1_000_000


class Addition(NamedTuple):
    """``quantity`` pieces of ``item``, put into the cart by one action of one customer."""

    tag: Tag
    item: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Cart:
    """One version of a cart, immutable. A new one is empty: ``Cart()``."""

    additions: tuple[Addition, ...] = ()
    seen: TagSet = NOTHING

    def add(self, tag: Tag, item: str, quantity: int = 1) -> Cart:
        """The cart with ``quantity`` more of ``item``; the same cart if it has seen ``tag``.

        So the same action may be carried out again, on this version or on another one, and
        still counts once. ``tag`` must be new for each action.
        """
        assert 0 < quantity <= QUANTITY_MAX
        if tag in self.seen:
            return self
        additions = sorted([*self.additions, Addition(tag, item, quantity)])
        return Cart(tuple(additions), self.seen.union(TagSet.of(tag)))

    def remove(self, item: str) -> Cart:
        """The cart without ``item``; what others add beside this removal stays."""
        return Cart(tuple(each for each in self.additions if each.item != item), self.seen)

    def merge(self, other: Cart) -> Cart:
        """The cart that has seen what either has: commutative, associative, idempotent."""
        mine, theirs = set(self.additions), set(other.additions)
        kept = {
            *(mine & theirs),
            *(each for each in mine if each.tag not in other.seen),
            *(each for each in theirs if each.tag not in self.seen),
        }
        return Cart(tuple(sorted(kept)), self.seen.union(other.seen))

    def contents(self) -> dict[str, int]:
        """How many of each item, by the item's name, in order."""
        quantities: dict[str, int] = {}
        for each in sorted(self.additions, key=lambda addition: addition.item):
            quantities[each.item] = quantities.get(each.item, 0) + each.quantity
        return quantities

    def _check(self) -> None:
        self.seen._check()
        tags = [each.tag for each in self.additions]
        assert tags == sorted(set(tags)), "additions are in order, each tag once"
        assert all(tag in self.seen for tag in tags), "what is in the cart was seen"
        assert all(0 < each.quantity <= QUANTITY_MAX for each in self.additions)


def merge_all(carts: Iterable[Cart]) -> Cart:
    """All these versions as one; an empty cart if there are none."""
    return reduce(Cart.merge, carts, Cart())
