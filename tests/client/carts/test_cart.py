"""The cart against a dumb model: the set of all operations that a copy has heard of."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.client.carts.cart import Cart, merge_all
from dynamo_py.client.carts.codec import decode_cart, encode_cart, merge_values
from dynamo_py.client.carts.tags import Tag

DEVICES = ("phone", "laptop", "tablet")
ITEMS = ("apples", "bread", "cheese")


@dataclass
class Model:
    """One copy, as the operations it knows: additions, and removals with what they saw."""

    added: dict[Tag, tuple[str, int]] = field(default_factory=dict)
    removed: set[Tag] = field(default_factory=set)

    def remove(self, item: str) -> None:
        self.removed |= {tag for tag, (what, _) in self.added.items() if what == item}

    def hear(self, other: Model) -> None:
        self.added |= other.added
        self.removed |= other.removed

    def contents(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for tag, (item, quantity) in self.added.items():
            if tag not in self.removed:
                found[item] = found.get(item, 0) + quantity
        return found


devices = st.sampled_from(range(len(DEVICES)))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), devices, st.sampled_from(ITEMS), st.integers(1, 3)),
        st.tuples(st.just("remove"), devices, st.sampled_from(ITEMS)),
        st.tuples(st.just("hear"), devices, devices),
    ),
    max_size=30,
)


def play(history: list[tuple]) -> tuple[list[Cart], list[Model]]:
    """What each device's cart and model are after a history of its actions and merges."""
    carts = [Cart() for _ in DEVICES]
    models = [Model() for _ in DEVICES]
    counters = [0 for _ in DEVICES]
    for what, device, *rest in history:
        match what, rest:
            case "add", [item, quantity]:
                counters[device] += 1
                tag = Tag(DEVICES[device], counters[device])
                carts[device] = carts[device].add(tag, item, quantity)
                models[device].added[tag] = (item, quantity)
            case "remove", [item]:
                carts[device] = carts[device].remove(item)
                models[device].remove(item)
            case "hear", [other]:
                carts[device] = carts[device].merge(carts[other])
                models[device].hear(models[other])
    return carts, models


@given(steps)
def test_a_cart_holds_what_the_set_of_all_operations_says(history):
    carts, models = play(history)
    for cart, model in zip(carts, models, strict=True):
        cart._check()
        assert cart.contents() == model.contents()


@given(steps)
def test_merge_is_commutative_associative_and_idempotent(history):
    (a, b, c), _ = play(history)
    assert a.merge(b) == b.merge(a)
    assert a.merge(b).merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert a.merge(b).merge(b) == a.merge(b)


@given(steps)
def test_all_copies_agree_in_the_end_whatever_the_order_of_merging(history):
    carts, models = play(history)
    for model in models[1:]:
        models[0].hear(model)
    assert merge_all(carts).contents() == models[0].contents()
    assert merge_all(carts) == merge_all(reversed(carts))


@given(steps)
def test_siblings_merge_as_bytes_to_the_same_bytes_in_any_order(history):
    carts, _ = play(history)
    values = [encode_cart(cart) for cart in carts]
    assert merge_values(values) == merge_values(values[::-1]) == encode_cart(merge_all(carts))


@given(steps)
def test_a_cart_survives_being_written_and_read(history):
    for cart in play(history)[0]:
        assert decode_cart(encode_cart(cart)) == cart


@given(steps, st.randoms(use_true_random=False))
def test_every_item_that_nobody_removed_is_there_and_no_removed_one_comes_back(history, random):
    carts, models = play(history)
    random.shuffle(carts)
    held = {each.tag for each in merge_all(carts).additions}
    added = {tag for model in models for tag in model.added}
    removed = {tag for model in models for tag in model.removed}
    assert held == added - removed


def test_the_flaw_of_the_paper_is_not_here():
    """A union of items would bring the bread back (DeCandia et al. 2007, section 4.4)."""
    before = Cart().add(Tag("phone", 1), "bread").add(Tag("phone", 2), "apples")
    removed_here = before.remove("bread")
    added_there = before.add(Tag("laptop", 1), "cheese")
    assert removed_here.merge(added_there).contents() == {"apples": 1, "cheese": 1}


def test_an_addition_beside_a_removal_of_the_same_item_stays():
    before = Cart().add(Tag("phone", 1), "bread", 2)
    merged = before.remove("bread").merge(before.add(Tag("laptop", 1), "bread"))
    assert merged.contents() == {"bread": 1}


def test_an_item_can_be_added_again_after_its_removal():
    cart = Cart().add(Tag("phone", 1), "bread").remove("bread").add(Tag("phone", 2), "bread")
    assert cart.contents() == {"bread": 1}


def test_the_same_action_carried_out_twice_counts_once():
    once = Cart().add(Tag("phone", 1), "bread", 2)
    assert once.add(Tag("phone", 1), "bread", 2) == once
    removed = once.remove("bread")
    assert removed.add(Tag("phone", 1), "bread", 2) == removed


def test_an_addition_that_arrives_out_of_order_is_not_lost():
    """The phone's first write is late: its second, made without it, must not cover it."""
    first = Cart().add(Tag("phone", 1), "bread")
    second = Cart().add(Tag("phone", 2), "apples")
    assert second.merge(first).contents() == {"apples": 1, "bread": 1}


def test_removed_additions_of_a_device_take_no_room_each():
    cart = Cart()
    for counter in range(1, 500):
        cart = cart.add(Tag("phone", counter), "bread").remove("bread")
    assert len(encode_cart(cart)) < 100


def test_items_are_listed_by_name():
    cart = Cart().add(Tag("b", 1), "tea", 2).add(Tag("a", 1), "apples").add(Tag("a", 2), "tea")
    assert list(cart.contents().items()) == [("apples", 1), ("tea", 3)]
