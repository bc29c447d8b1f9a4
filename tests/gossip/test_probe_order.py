from __future__ import annotations

import random
from collections import Counter

from gossip import Member, State
from gossip.probe_order import ProbeOrder
from gossip.table import MemberTable

ME = Member(b"me", "me", "me:1")


def member(number: int, state: State = State.ALIVE) -> Member:
    return Member(bytes([number]), f"node-{number}", f"node-{number}:1", state=state)


def table_of(count: int) -> MemberTable:
    table = MemberTable(ME, members_max=100)
    for number in range(count):
        table.put(member(number), now=0.0)
    return table


def following(order: ProbeOrder, table: MemberTable) -> bytes:
    target = order.next(table)
    assert target is not None
    return target.node


def test_each_member_is_probed_once_in_a_round():
    order, table = ProbeOrder(random.Random(1)), table_of(7)
    for _ in range(5):
        assert Counter(following(order, table) for _ in range(7)) == Counter(
            bytes([number]) for number in range(7)
        )


def test_nobody_is_probed_when_nobody_is_there():
    order, table = ProbeOrder(random.Random(1)), table_of(1)
    table.put(member(0, State.DOWN), now=0.0)
    order.hurry(bytes([0]))
    assert order.next(table) is None


def test_a_suspect_goes_before_all_others_once():
    order, table = ProbeOrder(random.Random(1)), table_of(5)
    following(order, table)
    order.hurry(bytes([3]))
    assert following(order, table) == bytes([3])
    assert len({following(order, table) for _ in range(4)}) == 4


def test_a_new_member_is_probed_within_the_present_round():
    order, table = ProbeOrder(random.Random(1)), table_of(5)
    following(order, table)
    table.put(member(9), now=0.0)
    order.add(bytes([9]))
    assert bytes([9]) in {following(order, table) for _ in range(5)}


def test_who_went_is_passed_over():
    order, table = ProbeOrder(random.Random(1)), table_of(3)
    following(order, table)
    table.put(member(1, State.LEFT), now=0.0)
    assert bytes([1]) not in {following(order, table) for _ in range(6)}
