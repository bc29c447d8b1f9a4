"""Tokens go to those who should have them: by their owner alone, while nothing is stored."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.state import ClusterState, founding_table
from dynamo_py.upkeep.giving import Giving
from dynamo_py.wire.messages import MemberEntry

Q = 16


def member(node: bytes, *, weight: int = 1) -> MemberEntry:
    return MemberEntry(node, 1, MEMBER, f"n{node[0]}", weight, "")


@pytest.fixture
def founded(make_home, node_id) -> ClusterState:
    store = make_home([0, 0, 0, 0]).committer
    table = founding_table(
        cluster="c", cluster_id=b"c" * 16, partitions=Q, replicas=3, founder=member(node_id(0))
    )
    return ClusterState(store, table)


class Given:
    """One node's giving, over a state that all share."""

    def __init__(self, state: ClusterState, me: bytes) -> None:
        self.claims = 0
        self.is_empty = True
        self.meanwhile = lambda: None
        membership = SimpleNamespace(state=state, view=SimpleNamespace(me=me))
        self.giving = Giving(cast(Any, membership), self._offload, is_empty=lambda: self.is_empty)

    async def _offload(self, work):
        self.claims += 1
        await trio.lowlevel.checkpoint()
        self.meanwhile()
        return work()

    async def give(self) -> None:
        await self.giving.give()


def counts(state: ClusterState) -> list[int]:
    return sorted(state.table.owners.count(owner) for owner in set(state.table.owners))


async def test_a_joiner_is_given_its_share(founded, node_id):
    founded.merge([], [member(node_id(1))])
    await Given(founded, node_id(0)).give()
    assert counts(founded) == [8, 8]


async def test_only_its_owner_gives_a_token_away(founded, node_id):
    founded.merge([], [member(node_id(1))])
    before = founded.table
    await Given(founded, node_id(1)).give()
    assert founded.table is before


async def test_nothing_is_given_where_something_is_stored(founded, node_id):
    founded.merge([], [member(node_id(1))])
    one = Given(founded, node_id(0))
    one.is_empty = False
    await one.give()
    assert counts(founded) == [Q]


async def test_a_key_that_comes_while_the_claim_is_worked_out_stops_the_giving(founded, node_id):
    founded.merge([], [member(node_id(1))])
    one = Given(founded, node_id(0))

    def write() -> None:
        one.is_empty = False

    one.meanwhile = write
    await one.give()
    assert counts(founded) == [Q]


async def test_a_change_while_the_claim_is_worked_out_makes_it_void(founded, node_id):
    founded.merge([], [member(node_id(1))])
    one = Given(founded, node_id(0))
    one.meanwhile = lambda: founded.merge([], [member(node_id(2))])
    await one.give()
    assert counts(founded) == [Q]
    one.meanwhile = lambda: None
    await one.give()
    assert counts(founded) == [5, 5, 6]


async def test_a_node_without_weight_is_given_nothing(founded, node_id):
    founded.merge([], [member(node_id(1), weight=0)])
    await Given(founded, node_id(0)).give()
    assert counts(founded) == [Q]


async def test_what_is_settled_is_not_worked_out_again(founded, node_id):
    founded.merge([], [member(node_id(1))])
    one = Given(founded, node_id(0))
    for _ in range(5):
        await one.give()
    assert one.claims <= 2
