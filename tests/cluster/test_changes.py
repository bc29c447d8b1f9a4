"""Changes of members: staged, committed, cleared; what is refused, and what splits cannot undo."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ring
from dynamo_py.cluster.changes import (
    Change,
    Seen,
    after_commit,
    claimants,
    clear,
    commit,
    owners_for_claim,
    refuse_impossible,
    refuse_unsafe,
    stage,
    staged_changes,
)
from dynamo_py.cluster.members import JOINING, LEAVING, MEMBER, REMOVED, MemberMap
from dynamo_py.errors import WrongState
from dynamo_py.wire.messages import MemberEntry

N1, N2, N3, N4, N5 = (bytes([i]) * 16 for i in range(1, 6))
UP = Seen(is_up=True, incomplete=0)
DOWN = Seen(is_up=False, incomplete=None)


def member(node: bytes, state: str = MEMBER, **fields) -> MemberEntry:
    return MemberEntry(node, 1, state, f"n{node[0]}", 1, "")._replace(**fields)


def map_of(*entries: MemberEntry) -> MemberMap:
    return MemberMap(entries)


FOUR = map_of(*map(member, (N1, N2, N3, N4)))
WAITING = FOUR.merged([member(N5, JOINING, staged=MEMBER)])


def staged(members: MemberMap, *changes: Change) -> MemberMap:
    return reduce(lambda known, change: known.merged(stage(known, change)), changes, members)


def refuse(members: MemberMap, change: Change, *, replicas: int = 3, **seen: Seen) -> None:
    """Raise unless ``change`` may be committed; members not in ``seen`` are up."""
    known = {entry.node: seen.get(entry.name, UP) for entry in members.present}
    after = members.merged(commit(stage(members, change)))
    refuse_impossible(after)
    refuse_unsafe(members, after, replicas=replicas, seen=known)


# --- staging, committing, clearing ----------------------------------------------------------------


def test_what_is_staged_becomes_so_by_the_commit_and_by_nothing_else():
    members = staged(WAITING, Change(LEAVING, "n1"), Change(REMOVED, "n2"))
    assert [entry.state for entry in members.present] == [MEMBER] * 4 + [JOINING]
    assert staged_changes(members) == ["n1 leaves", "n2 is removed", "n5 joins"]
    after = after_commit(members)
    assert [entry.state for entry in after.entries] == [LEAVING, REMOVED, MEMBER, MEMBER, MEMBER]
    assert staged_changes(after) == []


def test_what_replaces_another_joins_with_the_same_commit():
    waiting = FOUR.merged([member(N5, JOINING)])
    members = staged(waiting, Change(REMOVED, "n2", successor="n5"))
    assert staged_changes(members) == ["n2 is replaced by n5", "n5 joins"]
    assert owners_for_claim([N1, N2], members) == (N1, N2)
    assert owners_for_claim([N1, N2], after_commit(members)) == (N1, N5)
    assert N5 in claimants(after_commit(members))


def test_a_clear_takes_all_of_it_back_and_sends_away_who_waits():
    members = staged(WAITING, Change(LEAVING, "n1"))
    cleared = members.merged(clear(members))
    assert staged_changes(cleared) == []
    assert cleared.present[0].state == MEMBER
    entry = cleared.get(N5)
    assert entry is not None
    assert entry.state == REMOVED


def test_a_node_that_waits_to_join_can_leave_at_once():
    for state in (LEAVING, REMOVED):
        (entry,) = commit(stage(WAITING, Change(state, "n5")))
        assert entry.state == REMOVED
    refuse(WAITING, Change(LEAVING, "n5"))


def test_what_is_staged_twice_or_is_so_already_is_refused():
    members = staged(FOUR, Change(LEAVING, "n1"))
    with pytest.raises(WrongState, match="n1 is staged to leave already"):
        stage(members, Change(LEAVING, "n1"))
    assert staged_changes(staged(members, Change(REMOVED, "n1"))) == ["n1 is removed"]
    with pytest.raises(WrongState, match="n1 is leaving already"):
        stage(after_commit(members), Change(LEAVING, "n1"))
    with pytest.raises(WrongState, match="n1 is a member already"):
        stage(FOUR, Change(MEMBER, "n1"))
    with pytest.raises(WrongState, match="n1 is leaving, which cannot be taken back"):
        stage(after_commit(members), Change(MEMBER, "n1"))


def test_an_unknown_and_a_removed_node_are_refused_with_those_that_are_known():
    gone = after_commit(staged(FOUR, Change(REMOVED, "n4")))
    for name in ("n4", "n9"):
        with pytest.raises(WrongState, match=f"no node '{name}': its nodes are n1, n2, n3"):
            stage(gone, Change(LEAVING, name))


def test_a_successor_is_another_node_that_stays_and_takes_tokens():
    with pytest.raises(WrongState, match="cannot replace itself"):
        stage(FOUR, Change(REMOVED, "n1", successor="n1"))
    with pytest.raises(WrongState, match="it is to go itself"):
        stage(staged(FOUR, Change(LEAVING, "n2")), Change(REMOVED, "n1", successor="n2"))
    light = FOUR.merged([member(N2, weight=0, version=2)])
    with pytest.raises(WrongState, match="its weight is 0"):
        stage(light, Change(REMOVED, "n1", successor="n2"))


# --- what is refused ------------------------------------------------------------------------------


def test_too_few_members_may_not_be_left():
    three = map_of(*map(member, (N1, N2, N3)))
    for state, seen in ((LEAVING, UP), (REMOVED, DOWN)):
        with pytest.raises(WrongState, match="2 members would be left, and 3 replicas"):
            refuse(three, Change(state, "n3"), n3=seen)
    refuse(FOUR, Change(LEAVING, "n3"))
    refuse(FOUR, Change(REMOVED, "n3"), n3=DOWN)


def test_one_without_weight_may_go_when_there_are_too_few_anyway():
    members = map_of(member(N1), member(N2), member(N3, weight=0))
    refuse(members, Change(LEAVING, "n3"))


def test_the_last_one_stays_whatever_is_forced():
    alone = map_of(member(N1))
    with pytest.raises(WrongState, match="no member would be left"):
        refuse_impossible(after_commit(staged(alone, Change(LEAVING, "n1"))))


def test_a_replaced_node_is_not_missed():
    three = map_of(*map(member, (N1, N2, N3)), member(N4, JOINING, staged=MEMBER))
    refuse(three, Change(REMOVED, "n3", successor="n4"), n3=DOWN)


def test_a_node_that_is_up_leaves_and_one_that_is_down_is_removed():
    with pytest.raises(WrongState, match="n4 is up: let it leave"):
        refuse(FOUR, Change(REMOVED, "n4"))
    with pytest.raises(WrongState, match="n4 is down, and can hand nothing over"):
        refuse(FOUR, Change(LEAVING, "n4"), n4=DOWN)


def test_nothing_is_removed_while_others_may_need_what_it_had():
    with pytest.raises(WrongState, match="n1 completes 2 partitions still"):
        refuse(FOUR, Change(REMOVED, "n4"), n4=DOWN, n1=Seen(is_up=True, incomplete=2))
    with pytest.raises(WrongState, match="n1 does not answer"):
        refuse(FOUR, Change(REMOVED, "n4"), n4=DOWN, n1=DOWN)
    refuse(WAITING, Change(REMOVED, "n4"), n4=DOWN, n5=DOWN)
    refuse(FOUR, Change(LEAVING, "n4"), n1=Seen(is_up=True, incomplete=2))


def test_what_may_pass_by_is_no_reason_against_staging():
    after = after_commit(staged(FOUR, Change(REMOVED, "n4")))
    seen = {N1: Seen(is_up=True, incomplete=2), N2: UP, N3: UP, N4: DOWN}
    refuse_unsafe(FOUR, after, replicas=3, seen=seen, is_commit=False)


def test_all_that_may_have_a_write_are_not_removed_at_once():
    five = WAITING.merged([member(N5, version=2)])
    after = after_commit(staged(five, Change(REMOVED, "n4"), Change(REMOVED, "n5")))
    seen = {**dict.fromkeys((N1, N2, N3), UP), N4: DOWN, N5: DOWN}
    with pytest.raises(WrongState, match="n4, n5 may have the only copies of some writes"):
        refuse_unsafe(five, after, replicas=3, seen=seen)


# --- successors -----------------------------------------------------------------------------------


def test_successors_are_followed_to_the_one_that_is_there():
    members = map_of(
        member(N1, REMOVED, successor=N2),
        member(N2, REMOVED, successor=N3),
        member(N3),
        member(N4, REMOVED),
    )
    assert owners_for_claim([N1, N2, N3, N4], members) == (N3, N3, N3, N4)


def test_two_that_were_to_replace_each_other_keep_their_tokens_for_the_claim():
    members = map_of(member(N1, REMOVED, successor=N2), member(N2, REMOVED, successor=N1))
    assert owners_for_claim([N1, N2], members) == (N1, N2)


# --- whatever happens -----------------------------------------------------------------------------

names = st.sampled_from(["n1", "n2", "n3", "n4", "n5"])
changes = st.builds(Change, st.sampled_from([MEMBER, LEAVING, REMOVED]), names, st.just("") | names)
steps = st.lists(changes | st.sampled_from(["commit", "clear"]), max_size=6)


def carried_out(members: MemberMap, wanted) -> tuple[MemberMap, list[MemberEntry]]:
    """The map after ``wanted``, and the entries that were committed on the way."""
    committed: list[MemberEntry] = []
    for step in wanted:
        if step == "commit":
            made = commit(members.present)
            committed += made
        elif step == "clear":
            made = clear(members)
        else:
            try:
                made = stage(members, step)
            except WrongState:
                continue
        members = members.merged(made)
    return members, committed


STEP_OF = {JOINING: 0, MEMBER: 1, LEAVING: 2, REMOVED: 3}


@given(st.lists(steps, min_size=1, max_size=4), st.permutations(range(4)))
def test_what_was_committed_on_the_sides_of_a_split_holds_in_whatever_order_they_meet(sides, order):
    met = [carried_out(WAITING, side) for side in sides]
    maps = [known for known, _ in met]
    united = reduce(lambda one, other: one.merged(other.entries), maps)
    shuffled = [maps[i] for i in order if i < len(maps)]
    assert reduce(lambda one, other: one.merged(other.entries), shuffled).entries == united.entries
    for entry in (entry for _, committed in met for entry in committed):
        held = united.get(entry.node)
        assert held is not None
        assert STEP_OF[held.state] >= STEP_OF[entry.state], "nothing committed is taken back"


@given(steps)
def test_a_second_commit_changes_nothing(wanted):
    members, _ = carried_out(WAITING, wanted)
    after = after_commit(members)
    assert commit(after.present) == []
    assert after_commit(after) is after


@given(steps, st.lists(st.sampled_from([N1, N2, N3, N4, N5]), min_size=1, max_size=8))
def test_what_is_only_staged_changes_no_claim(wanted, owners):
    members, _ = carried_out(WAITING, wanted)
    for change in (change for change in wanted if isinstance(change, Change)):
        try:
            after = members.merged(stage(members, change))
        except WrongState:
            continue
        assert claimants(after) == claimants(members)
        assert owners_for_claim(owners, after) == owners_for_claim(owners, members)


@given(steps)
def test_every_entry_that_is_made_is_newer(wanted):
    members = WAITING
    for step in wanted:
        after, _ = carried_out(members, [step])
        changed = [entry for entry in after.entries if entry != members.get(entry.node)]
        assert all(
            entry.version > held.version
            for entry in changed
            if (held := members.get(entry.node)) is not None
        )
        members = after


def test_claimants_are_the_members_with_their_zones():
    members = map_of(member(N1, zone="east", weight=2), member(N2), member(N3, LEAVING))
    assert claimants(members) == {N1: ring.Claimant(2, "east"), N2: ring.Claimant(1, "n2")}
