from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gossip import Member, State
from gossip.table import MemberTable

ME = Member(b"me", "me", "me:1")


def member(number: int, state: State = State.ALIVE, incarnation: int = 0) -> Member:
    return Member(bytes([number]), f"node-{number}", f"node-{number}:1", incarnation, state)


def test_peers_are_the_others_that_take_part():
    table = MemberTable(ME, members_max=10)
    for number, state in enumerate(State):
        table.put(member(number, state), now=1.0)
    assert [peer.state for peer in table.peers()] == [State.ALIVE, State.SUSPECT]
    assert table.live_count == 3
    assert table.find("node-1:1") == member(1, State.SUSPECT)
    assert table.find("node-2:1") is None
    assert table.find(ME.address) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(list(State)), st.integers(0, 3))))
def test_two_tables_with_the_same_content_have_the_same_summary(history):
    table = MemberTable(ME, members_max=10)
    for number, state, incarnation in history:
        table.put(member(number, state, incarnation), now=0.0)
        table.peers()
        table._check()
    other = MemberTable(ME, members_max=10)
    for known in reversed(table.snapshot()):
        other.put(known, now=0.0)
    assert other.summary == table.summary
    assert other.snapshot() == table.snapshot()


def test_a_forgotten_member_is_not_brought_back_by_those_who_still_know_it():
    table = MemberTable(ME, members_max=10)
    table.put(member(1, State.DOWN, 4), now=1.0)
    table.forget(bytes([1]))
    table._check()
    assert table.get(bytes([1])) is None
    assert table.is_forgotten(member(1, State.DOWN, 4))
    assert table.is_forgotten(member(1, State.LEFT, 3))
    assert not table.is_forgotten(member(1, State.DOWN, 5))
    assert not table.is_forgotten(member(1, State.ALIVE, 0))
    assert not table.is_forgotten(member(2, State.DOWN))


def test_those_who_went_are_listed_from_the_longest_gone():
    table = MemberTable(ME, members_max=10)
    table.put(member(1, State.DOWN), now=5.0)
    table.put(member(2, State.LEFT), now=3.0)
    table.put(member(3), now=1.0)
    table.put(member(4, State.DOWN), now=9.0)
    # A further incarnation of what is down is no news of its going.
    table.put(msgspec.structs.replace(member(2, State.LEFT), incarnation=1), now=8.0)
    assert table.gone_since(6.0) == [bytes([2]), bytes([1])]
