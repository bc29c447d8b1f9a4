"""The cheapest sequence, against trying every one."""

from __future__ import annotations

import random
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from ring.sequences import ENOUGH, MOVE, WORK_MAX, _jitter, _Search, cheapest_sequence


def is_apart(owners, labels, spacing):
    size = len(owners)
    return not any(
        labels[owners[token]] == labels[owners[(token + distance) % size]]
        for token in range(size)
        for distance in range(1, spacing)
    )


@st.composite
def rings(draw):
    """Present owners, labels and a spacing; the first tokens are a seam."""
    labels = draw(st.sampled_from([(0, 1, 2), (0, 1, 2, 3), (0, 1, 1, 2), (0, 0, 1, 1, 2)]))
    spacing = draw(st.integers(2, 3))
    owner = st.none() | st.integers(0, len(labels) - 1)
    size = draw(st.integers(2 * spacing, 6))
    return draw(st.lists(owner, min_size=size, max_size=size)), labels, spacing


@given(rings(), st.lists(st.integers(-900, 900), min_size=5, max_size=5))
def test_no_sequence_from_the_seam_on_costs_less(ring, prices):
    present, labels, spacing = ring
    prices = prices[: len(labels)]
    search = _Search.around(present, labels, spacing)
    if search is None:
        return
    seam = search._seam

    def cost(owners):
        return sum(
            prices[new] + (0 if new == old else MOVE + _jitter(token, new))
            for token, (old, new) in enumerate(zip(present, owners, strict=True))
        )

    possible = [
        owners
        for owners in product(range(len(labels)), repeat=len(present))
        if all(owners[token] == owner for token, owner in seam.items())
        and is_apart(owners, labels, spacing)
    ]
    found = search.shortest_path(prices)
    if found is None:
        assert not possible
    else:
        assert is_apart(found, labels, spacing)
        assert cost(found) == min(map(cost, possible))


def test_quotas_are_met_but_for_a_token_or_two_with_few_moves():
    # Five nodes in no order, each three in a row distinct; the fifth has left.
    generator = random.Random(1)
    present: list[int] = []
    for _ in range(256):
        present.append(generator.choice([node for node in range(5) if node not in present[-2:]]))
    remaining = [None if owner == 4 else owner for owner in present]
    quotas = [64, 64, 64, 64]
    owners = cheapest_sequence(remaining, quotas, range(4), 3)
    assert owners is not None
    assert is_apart(owners, range(4), 3)
    assert sum(abs(owners.count(node) - quota) for node, quota in enumerate(quotas)) <= ENOUGH
    moves = sum(old != new for old, new in zip(remaining, owners, strict=True))
    forced = sum(max(0, remaining.count(node) - quota) for node, quota in enumerate(quotas))
    assert moves <= 1.4 * (remaining.count(None) + forced)


def test_there_is_none_where_it_cannot_be_or_would_take_too_long():
    three = [0, 1, 2] * 4
    assert cheapest_sequence(three, [4, 4, 4], range(3), 1) is None
    assert cheapest_sequence(three, [4, 4, 4], range(3), 4) is None
    # Three nodes can only take turns, and 4 is no multiple of 3.
    assert cheapest_sequence([0, 1, 2, 0], [2, 1, 1], range(3), 3) is None
    assert cheapest_sequence([0] * 16, [6, 5, 5], range(3), 2) is not None
    assert cheapest_sequence([0] * 16, [6, 5, 5], range(3), 3) is None
    size = WORK_MAX // (4 * 3 * 2)
    assert cheapest_sequence([0, 1, 2, 3] * size, [size] * 4, range(4), 3) is None
