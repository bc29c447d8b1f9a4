"""Shopping carts: items added and removed by customers from several devices at once.

Theory. An addition has a tag that no other has. A cart holds its additions by tag and, apart
from them, the tags that were removed; merging unites both, and what counts is in the one and
not in the other. A removal takes out the additions of its item that the device has seen, and
no others: an addition made beside it stays. So the acknowledged actions say exactly which
additions are in the cart in the end (the observed-remove set of Shapiro et al. 2011; Dynamo's
own cart let removed items come back, DeCandia et al. 2007, section 4.4).

A customer whose cart has had its share of additions takes a new one (`Elements`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dynamo_py.testing.checkers import Checker
from dynamo_py.testing.history import Outcome
from dynamo_py.testing.workloads.elements import Elements
from dynamo_py.testing.workloads.keys import numbered, uniform
from dynamo_py.testing.workloads.merging import Merging
from dynamo_py.testing.workloads.workload import Client, FinalReader

ADD_SHARE = 0.6
REMOVE_SHARE = 0.25
QUANTITY_MAX = 5
ITEMS = ("apples", "bread", "cheese", "dates", "eggs", "figs")


@dataclass(frozen=True, slots=True)
class Cart:
    """One version of a cart, immutable."""

    additions: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By tag, the item and how many of it; removed ones too."""
    removed: frozenset[str] = frozenset()
    """The tags of additions that were taken out again."""

    @classmethod
    def from_json(cls, value: Any) -> Cart:
        """The cart that `to_json` wrote; an empty one for None."""
        if value is None:
            return cls()
        additions = {tag: (item, quantity) for tag, (item, quantity) in value["in"].items()}
        return cls(additions, frozenset(value["out"]))

    def to_json(self) -> dict[str, Any]:
        """The cart as JSON can hold it; equal carts give equal text."""
        return {"in": dict(sorted(self.additions.items())), "out": sorted(self.removed)}

    def add(self, tag: str, item: str, quantity: int) -> Cart:
        """The cart with ``quantity`` more of ``item``; adding a tag again changes nothing."""
        return Cart({**self.additions, tag: (item, quantity)}, self.removed)

    def tags_of(self, item: str) -> list[str]:
        """The additions of ``item`` that are in the cart."""
        return sorted(
            tag
            for tag, (added, _) in self.additions.items()
            if added == item and tag not in self.removed
        )

    def without(self, tags: Iterable[str]) -> Cart:
        """The cart without these additions."""
        return Cart(self.additions, self.removed.union(tags))

    def merge(self, other: Cart) -> Cart:
        """The cart after what was done to either."""
        return Cart({**self.additions, **other.additions}, self.removed | other.removed)

    def elements(self) -> frozenset[str]:
        """What is in the cart, an element for each addition."""
        return frozenset(
            element_of(tag, item, quantity)
            for tag, (item, quantity) in self.additions.items()
            if tag not in self.removed
        )


def element_of(tag: str, item: str, quantity: int) -> str:
    """An addition with all its facts, so that a changed quantity is another element."""
    return f"{tag} {quantity} {item}"


def merge_carts(values: Sequence[Any]) -> dict[str, Any]:
    """The resolver: one cart of several versions."""
    cart = Cart()
    for value in values:
        cart = cart.merge(Cart.from_json(value))
    return cart.to_json()


class Carts(Merging):
    """Additions, removals, and looks into carts."""

    def __init__(self, name: str = "carts", *, customers_count: int = 3) -> None:
        super().__init__(name, merge_carts)
        customers = numbered("customer", customers_count)
        self._choose = uniform(customers)
        self._elements = Elements(customers)
        self._final: dict[str, Any] = {}

    async def step(self, client: Client) -> None:
        """One action with the cart of one customer; the client is one of the devices."""
        customer = self._choose(client.random)
        draw = client.random.random()
        if draw < ADD_SHARE:
            await self._add(client, customer)
        elif draw < ADD_SHARE + REMOVE_SHARE:
            await self._remove(client, self._elements.key(customer))
        else:
            await self.get(client, self._elements.key(customer))

    async def _add(self, client: Client, customer: str) -> None:
        key, number = self._elements.use(customer)
        tag = f"{client.name}-{number}"
        item = client.random.choice(ITEMS)
        quantity = client.random.randint(1, QUANTITY_MAX)

        def add(value: Any) -> dict[str, Any]:
            return Cart.from_json(value).add(tag, item, quantity).to_json()

        def settle(outcome: Outcome) -> None:
            self._elements.note_added(key, element_of(tag, item, quantity), outcome)

        await self.update(client, key, add, settle=settle)

    async def _remove(self, client: Client, key: str) -> None:
        item = client.random.choice(ITEMS)
        taken: dict[str, str] = {}

        def remove(value: Any) -> dict[str, Any]:
            cart = Cart.from_json(value)
            for tag in cart.tags_of(item):
                taken[tag] = element_of(tag, *cart.additions[tag])
            # All that any run of this function has seen: so the last one speaks for them all.
            return cart.without(taken).to_json()

        def settle(outcome: Outcome) -> None:
            self._elements.note_removed(key, taken.values(), outcome)

        await self.update(client, key, remove, settle=settle)

    async def read_final(self, read: FinalReader) -> None:
        """Note the contents of each cart."""
        self._final = await self.final_values(read, self._elements.keys)

    def violations(self, checkers: Iterable[Checker], *, is_lossless: bool) -> list[str]:
        """Additions that are missing, that have come back, or that nobody has made."""
        final = {key: Cart.from_json(value).elements() for key, value in self._final.items()}
        return self.judged(self._elements.violations(final, is_lossless=is_lossless))
