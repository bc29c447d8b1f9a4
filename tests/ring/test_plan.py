"""Plans, and who gains and loses by a change."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ring import (
    Change,
    Ring,
    Transfer,
    changes,
    changes_by_flip,
    gainers,
    inspecting,
    plan,
    preference_list,
)

NODES = [bytes([number]) * 16 for number in range(6)]
A, B, C, D, *_ = NODES


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    size = draw(st.sampled_from([1, 2, 4, 8, 16, 32]))
    pool = NODES[: draw(st.integers(1, len(NODES)))]
    owners = draw(st.lists(st.sampled_from(pool), min_size=size, max_size=size))
    zones = draw(st.dictionaries(st.sampled_from(NODES), st.sampled_from(["x", "y", "z"])))
    return Ring(tuple(owners), draw(st.integers(1, 4)), zones)


@given(rings(), st.data())
def test_carrying_out_a_plan_reaches_the_target(ring: Ring, data: st.DataObject) -> None:
    size = ring.partitions
    target = data.draw(st.lists(st.sampled_from(NODES), min_size=size, max_size=size))
    reached = list(ring.owners)
    for transfer in plan(ring.owners, target):
        assert reached[transfer.token] == transfer.giver != transfer.receiver
        reached[transfer.token] = transfer.receiver
    assert reached == target


def test_a_plan_has_sizes_where_they_are_known() -> None:
    assert plan((A, A, B, B), (B, A, A, B), {0: 700}) == (
        Transfer(0, A, B, 700),
        Transfer(2, B, A, None),
    )


def test_rings_of_different_sizes_have_no_plan() -> None:
    with pytest.raises(ValueError, match="tokens"):
        plan((A,), (A, B))
    with pytest.raises(ValueError, match="partitions"):
        changes(Ring((A,), 1), Ring((A, B), 1))


@given(rings(), st.data())
def test_a_flip_changes_just_the_partitions_that_a_full_comparison_finds(
    ring: Ring, data: st.DataObject
) -> None:
    token = data.draw(st.integers(0, ring.partitions - 1))
    receiver = data.draw(st.sampled_from(NODES))
    after = ring.flip(token, receiver)
    found = changes_by_flip(ring, token, receiver)
    assert sorted(found, key=lambda change: change.partition) == list(changes(ring, after))
    for change in found:
        assert change.gainers == gainers(ring, after, change.partition)
        assert change.losers == gainers(after, ring, change.partition)


@given(rings(), st.data())
def test_the_partitions_that_inspect_a_token_are_found(ring: Ring, data: st.DataObject) -> None:
    token = data.draw(st.integers(0, ring.partitions - 1))
    found = inspecting(ring, token)
    assert found[-1] == token
    assert sorted(found) == [
        partition
        for partition in range(ring.partitions)
        if token in preference_list(ring, partition).walked
    ]


def test_a_flip_can_promote_a_third_node() -> None:
    ring = Ring((A, B, A, C), replicas=2)
    # A has token 1 now, so that a walk from 0 goes on to C: C gains, though B gave to A.
    assert changes_by_flip(ring, 1, A) == (Change(0, (C,), (B,)), Change(1, (C,), (B,)))


def test_a_new_node_that_raises_the_replicas_in_force_gains_everywhere() -> None:
    found = changes_by_flip(Ring((A, B, A, B), replicas=3), 0, C)
    assert found == tuple(Change(partition, (C,), ()) for partition in range(4))


def test_who_was_a_primary_already_gains_nothing() -> None:
    before = Ring((A, B, C, D), replicas=2)
    assert gainers(before, before.flip(0, B), 0) == (C,)
    assert gainers(before, before, 0) == ()
