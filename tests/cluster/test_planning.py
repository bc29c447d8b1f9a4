"""What a change would move: held against a count by hand, and against the rings themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import ring
from dynamo_py.cluster.changes import after_commit, claimants, owners_for_claim
from dynamo_py.cluster.members import JOINING, MEMBER, REMOVED, MemberMap
from dynamo_py.cluster.planning import Side, plan_of
from dynamo_py.wire.change_messages import Plan, PlanMove, PlanNode
from dynamo_py.wire.messages import MemberEntry

A, B, C, D = (letter * 16 for letter in (b"a", b"b", b"c", b"d"))


def entry(node: bytes, state: str = MEMBER, **fields) -> MemberEntry:
    return MemberEntry(node, 1, state, node[:1].decode(), 1, "")._replace(**fields)


def plan(
    members: MemberMap, owners: tuple[bytes, ...], replicas: int = 2, sizes=None
) -> tuple[Plan, Side, Side]:
    after = after_commit(members)
    target = ring.claim(owners_for_claim(owners, after), claimants(after), replicas)
    sides = Side(members, owners, replicas), Side(after, target, replicas)
    made = plan_of(*sides, sizes or {}, staged=["staged"], problem="problem", silent=["silent"])
    return made, *sides


def test_a_join_is_shown_node_by_node_and_move_by_move():
    members = MemberMap([entry(A, zone="z"), entry(B, JOINING, staged=MEMBER)])
    before, after = Side(members, (A, A), 1), Side(after_commit(members), (A, B), 1)
    made = plan_of(before, after, {0: 10, 1: 32}, staged=["b joins"], problem="", silent=[])
    assert made == Plan(
        ["b joins"],
        [
            PlanNode("a", "z", 1, MEMBER, MEMBER, 2, 1, 42, 10),
            PlanNode("b", "b", 1, JOINING, MEMBER, 0, 1, 0, 32),
        ],
        [PlanMove(1, "a", "b", 32)],
        1,
        32,
        0,
        2,
        1,
        2,
        2,
        "",
        [],
    )


def test_a_size_that_is_not_known_is_not_taken_for_nothing():
    members = MemberMap([entry(A), entry(B, JOINING, staged=MEMBER)])
    before, after = Side(members, (A, A), 1), Side(after_commit(members), (A, B), 1)
    made = plan_of(before, after, {0: 10}, staged=[], problem="", silent=[])
    assert (made.bytes, made.unsized, made.moves[0].bytes) == (0, 1, -1)
    assert [(node.bytes, node.bytes_after) for node in made.nodes] == [(-1, 10), (0, -1)]


def test_a_removed_node_is_shown_while_it_owns_tokens_and_no_longer():
    members = MemberMap([entry(A), entry(B), entry(C, REMOVED), entry(D, REMOVED)])
    made, *_ = plan(members, (A, B, A, C))
    assert [node.name for node in made.nodes] == ["a", "b", "c"]
    assert [(move.giver, move.token) for move in made.moves] == [("c", 3)]


def test_what_is_told_on_is_told_on():
    made, *_ = plan(MemberMap([entry(A)]), (A, A))
    assert (made.staged, made.problem, made.silent) == (["staged"], "problem", ["silent"])
    assert (made.moves, made.copies) == ([], 0)


def test_replicas_that_share_a_zone_are_counted():
    members = MemberMap([entry(A, zone="x"), entry(B, zone="x")])
    made, *_ = plan(members, (A, B))
    assert (made.zones, made.spread, made.partitions, made.replicas) == (1, 0, 2, 2)
    members = MemberMap([entry(A, zone="x"), entry(B, zone="y")])
    made, *_ = plan(members, (A, B))
    assert (made.zones, made.spread) == (2, 2)


@given(
    st.lists(st.sampled_from([A, B, C, D]), min_size=8, max_size=8),
    st.lists(st.sampled_from(["", "leaving", "removed"]), min_size=3, max_size=3),
    st.integers(1, 3),
)
def test_copies_and_bytes_are_those_that_the_rings_differ_in(owners, staged, replicas):
    entries = [entry(n, staged=s) for n, s in zip((A, B, C), staged, strict=True)]
    members = MemberMap([*entries, entry(D, zone="z")])
    sizes = {partition: 1 << partition for partition in range(8)}
    made, before, after = plan(members, tuple(owners), replicas, sizes)
    copies = size = 0
    for partition in range(8):
        was = ring.preference_list(before.ring(), partition).primaries
        will = ring.preference_list(after.ring(), partition).primaries
        copies += len(set(will) - set(was))
        size += len(set(will) - set(was)) * sizes[partition]
    assert (made.copies, made.bytes, made.unsized) == (copies, size, 0)
    by_name = {node.name: node for node in made.nodes}
    assert sum(node.tokens_after for node in made.nodes) == 8
    for move in made.moves:
        assert before.owners[move.token][:1].decode() == move.giver
        assert after.owners[move.token][:1].decode() == move.receiver
    assert sum(node.bytes_after for node in by_name.values()) == sum(
        len(ring.preference_list(after.ring(), p).primaries) * sizes[p] for p in range(8)
    )
