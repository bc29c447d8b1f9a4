"""Taking turns: quotas, few moves, and room for the next to join."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring.quotas import quotas_of
from ring.turns import SEATS_MAX, turns

NODES = [bytes([number]) * 16 for number in range(9)]


def moves(present, target):
    return sum(old != new for old, new in zip(present, target, strict=True))


@st.composite
def situations(draw):
    """Present owners, quotas of equal nodes, and seats for at least so many."""
    size = draw(st.sampled_from([1, 2, 8, 16, 32]))
    seats = draw(st.integers(1, 5))
    nodes = NODES[: draw(st.integers(1, seats))]
    present = draw(st.lists(st.sampled_from(NODES[:6]), min_size=size, max_size=size))
    return present, quotas_of(present, dict.fromkeys(nodes, 1)), seats


@given(situations())
def test_every_node_gets_its_quota(situation):
    present, quotas, seats = situation
    target = turns(present, quotas, seats)
    assert target is None or Counter(target) == quotas
    # Where a quota is at least a seat's number of tokens, rounded up, everybody may sit down.
    assert target is not None or min(quotas.values()) < -(-len(present) // seats)


@given(situations())
def test_each_node_has_a_seat_of_its_own(situation):
    present, quotas, seats = situation
    target = turns(present, quotas, seats)
    if target is None:
        return
    size = len(target)

    def sat_on(first):
        """The nodes that have all tokens of a seat, when seat 0 begins at token ``first``."""
        found = set()
        for seat in range(min(seats, size)):
            owners = {target[(first + turn) % size] for turn in range(seat, size, seats)}
            found |= owners if len(owners) == 1 else set()
        return found

    assert any(sat_on(first) == set(quotas) for first in range(size))


@given(situations(), st.permutations(NODES[:5]))
def test_those_who_take_turns_already_go_on_in_their_order(situation, names):
    present, quotas, seats = situation
    target = turns(present, quotas, seats)
    if target is not None:
        renamed = dict(zip(NODES[:5], names, strict=True))
        other = {renamed[node]: quota for node, quota in quotas.items()}
        taking = [renamed[node] for node in target]
        assert turns(taking, other, seats) == tuple(taking)


@pytest.mark.parametrize("seats", [1, 2, 3, 5, SEATS_MAX, SEATS_MAX + 2])
def test_joining_one_at_a_time_moves_no_token_that_need_not_move(seats):
    present: Sequence[bytes] = [NODES[0]] * 64
    for count in range(1, min(seats, SEATS_MAX) + 1):
        quotas = quotas_of(present, dict.fromkeys(NODES[:count], 1))
        target = turns(present, quotas, seats)
        assert target is not None
        if seats <= SEATS_MAX:
            assert moves(present, target) == (Counter(present) - Counter(quotas)).total()
        present = target
    if seats <= SEATS_MAX:
        repeated = [at for at, (one, other) in enumerate(pairwise(present)) if one == other]
        assert not repeated or seats == 1


def test_those_who_share_a_seat_take_turns_there():
    a, b = NODES[7], NODES[8]
    present = [NODES[0]] * 16
    target = turns(present, {a: 8, b: 8}, 3)
    assert target is not None
    shared = [seat for seat in range(3) if len(set(target[seat::3])) == 2]
    assert len(shared) == 1
    assert all(one != other for one, other in pairwise(target[shared[0] :: 3]))


def test_a_node_whose_quota_is_less_than_a_seat_cannot_take_turns():
    assert turns([NODES[0]] * 16, {NODES[0]: 13, NODES[1]: 3}, 3) is None
