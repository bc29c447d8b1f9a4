"""Walks: their version changes just when what decides about the primaries does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import DOWN, SUSPECT, UP, ClusterView, NodeView, Placement
from dynamo_py.wire.messages import TableEntry
from ring import Ring

Q, N = 16, 3
NODES = [bytes([k + 1]) * 16 for k in range(5)]
owners_of_all = st.lists(st.sampled_from(NODES), min_size=Q, max_size=Q)


def placed(owners, *, version=1, zones=None) -> Placement:
    table = OwnershipTable([TableEntry(t, 0, version, owner) for t, owner in enumerate(owners)])
    return Placement(table, Ring(tuple(owners), N, zones or {}))


def changed(placement, token, receiver) -> Placement:
    entry = placement.table.entries[token]
    table = placement.table.merged([entry._replace(version=entry.version + 1, owner=receiver)])
    return Placement(table, Ring(table.owners, N))


@given(owners_of_all, st.integers(0, Q - 1), st.sampled_from(NODES))
def test_a_walk_changes_just_when_an_entry_that_it_inspects_does(owners, token, receiver):
    before = placed(owners)
    after = changed(before, token, receiver)
    for partition in range(Q):
        same_entries = before.walk_entries(partition) == after.walk_entries(partition)
        assert (before.walk(partition) == after.walk(partition)) == same_entries
        if token in before.preference_list(partition).walked:
            assert not same_entries


@given(owners_of_all, st.integers(0, Q - 1), st.sampled_from(NODES))
def test_equal_walks_mean_equal_primaries(owners, token, receiver):
    before = placed(owners)
    after = changed(before, token, receiver)
    for partition in range(Q):
        if before.walk(partition) == after.walk(partition):
            was, now = before.preference_list(partition), after.preference_list(partition)
            assert was.primaries == now.primaries


def test_zones_that_move_a_primary_change_the_walk_though_no_entry_did():
    a, b, c, d, _ = NODES
    owners = [a, b, c, d] * 4
    one = placed(owners, zones={a: "x", b: "x", c: "y", d: "z"})
    other = placed(owners, zones={a: "x", b: "y", c: "x", d: "z"})
    assert one.walk_entries(0) == other.walk_entries(0)
    assert one.preference_list(0).primaries != other.preference_list(0).primaries
    assert one.walk(0) != other.walk(0)


@given(owners_of_all)
def test_a_walk_is_never_0_which_means_any(owners):
    placement = placed(owners)
    assert all(placement.walk(partition) for partition in range(Q))


def view_of(states) -> ClusterView:
    nodes = {
        node: NodeView(node, f"n{k + 1}", "", 1, MEMBER, state, f"host:{k + 1}")
        for k, (node, state) in enumerate(zip(NODES, states, strict=False))
    }
    up = frozenset(node for node, seen in nodes.items() if seen.state != DOWN)
    owners = [NODES[t % len(states)] for t in range(Q)]
    return ClusterView(NODES[0], "c", b"c" * 16, placed(owners), MemberMap(), nodes, up)


def test_a_suspect_is_believed_up_and_one_that_is_down_is_not():
    view = view_of([UP, SUSPECT, DOWN])
    assert [view.is_up(node) for node in NODES[:3]] == [True, True, False]
    assert [seen.node for seen in view.others_up] == [NODES[1]]


def test_a_node_that_nobody_knows_has_its_id_for_a_name_and_no_address():
    view = view_of([UP])
    assert view.name_of(NODES[3]) == NODES[3].hex()
    assert view.address_of(NODES[3]) == ""
    assert not view.is_up(NODES[3])
    assert view.named("n9") is None


def test_a_member_is_found_by_name():
    view = view_of([UP, UP])
    found = view.named("n2")
    assert found is not None
    assert found.node == NODES[1]
    assert view.address_of(found.node) == "host:2"
