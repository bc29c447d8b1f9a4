"""Reads over scripted replicas: votes, hedging, stand-ins, repair, what is degraded."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import trio

from dynamo_py.errors import (
    InvalidRequest,
    NodeUnavailable,
    ProtocolError,
    QuorumNotMet,
    StorageError,
)
from dynamo_py.wire.messages import ALL, OtherWalk, ReplicaGet, ReplicaPut

REFUSED = NodeUnavailable("no connection", outcome="not_applied")
HEDGE_S = 0.05
AFTER_THE_HEDGE: Any = pytest.approx(HEDGE_S + 0.01, abs=0.011)
"""An alarm goes off at its time or up to a tick later."""
BUDGET_S = 0.5


def asked(world) -> list[tuple[float, int]]:
    return [(a.at_s, a.node) for a in world.peers.of(ReplicaGet)]


def repaired(world) -> list[int]:
    return sorted(a.node for a in world.peers.of(ReplicaPut))


def hold(world, record, *nodes) -> None:
    for k in nodes:
        world[k].record = record


async def test_a_read_asks_this_node_and_as_many_more_as_it_needs(world, autojump_clock):
    hold(world, world.record(b"v", 1), 0, 1, 2)
    fetched = await world.get()
    assert asked(world) == [(0, 0), (0, 1)]
    assert fetched.replied == ["n0", "n1"]
    assert world.values_of(fetched.record) == [b"v"]
    assert not fetched.degraded
    assert repaired(world) == []


async def test_a_key_that_nobody_has_is_found_missing_and_not_degraded(world, autojump_clock):
    fetched = await world.get()
    assert fetched.record is None
    assert not fetched.degraded
    assert len(fetched.replied) == 2


async def test_siblings_on_several_replicas_are_merged(world, autojump_clock):
    hold(world, world.record(b"a", 1), 0)
    hold(world, world.record(b"b", 2), 1)
    assert world.values_of((await world.get()).record) == [b"a", b"b"]


async def test_a_primary_that_is_believed_down_is_asked_last(make_world, autojump_clock):
    world = make_world(downs=[1])
    await world.get()
    assert asked(world) == [(0, 0), (0, 2)]


async def test_a_silent_replica_is_hedged_by_the_next_primary(world, autojump_clock):
    world[1].is_silent = True
    fetched = await world.get()
    assert asked(world) == [(0, 0), (0, 1), (AFTER_THE_HEDGE, 2)]
    assert fetched.replied == ["n0", "n2"]
    assert not fetched.degraded
    assert world.peers.now_s < HEDGE_S + 0.05


async def test_a_replica_that_fails_is_followed_by_the_next_at_once(world, autojump_clock):
    world[1].error = REFUSED
    await world.get()
    assert asked(world) == [(0, 0), (0, 1), (0.001, 2)]


async def test_a_damaged_copy_is_no_answer(world, autojump_clock):
    world[0].error = StorageError("damaged")
    fetched = await world.get()
    assert sorted(fetched.replied) == ["n1", "n2"]


async def test_an_incomplete_copy_does_not_vote(world, autojump_clock):
    world[0].complete = False
    hold(world, world.record(b"v", 1), 1, 2)
    fetched = await world.get()
    assert asked(world)[-1][1] == 2
    assert world.values_of(fetched.record) == [b"v"]
    assert not fetched.degraded


async def test_where_too_few_may_vote_the_rest_answers_and_the_read_is_degraded(
    world, autojump_clock
):
    for k in range(5):
        world[k].complete = k == 0
    hold(world, world.record(b"v", 1), 2)
    fetched = await world.get()
    assert fetched.degraded
    assert world.values_of(fetched.record) == [b"v"]


async def test_fallbacks_are_not_asked_while_the_primaries_suffice(world, autojump_clock):
    world[2].error = REFUSED
    await world.get()
    await world.settle()
    assert {k for _, k in asked(world)} <= {0, 1, 2}


async def test_fallbacks_answer_where_the_primaries_do_not_suffice(world, autojump_clock):
    world[1].error = world[2].error = REFUSED
    hold(world, world.record(b"hint", 1), 3)
    fetched = await world.get()
    assert [k for _, k in asked(world)] == [0, 1, 2, 3, 4]
    assert world.values_of(fetched.record) == [b"hint"]
    assert fetched.degraded
    assert fetched.primaries == 1


async def test_a_fallback_whose_link_is_down_does_not_end_the_wait_for_the_next(
    world, autojump_clock
):
    world[0].error = world[1].error = world[2].error = REFUSED
    world[3].error, world[3].delay_s = REFUSED, 0
    hold(world, world.record(b"hint", 1), 4)
    fetched = await world.get(r=1)
    assert fetched.replied == ["n4"]
    assert world.values_of(fetched.record) == [b"hint"]


async def test_primaries_that_stay_silent_do_not_keep_a_degraded_answer_till_the_deadline(
    world, autojump_clock
):
    world[1].is_silent = world[2].is_silent = True
    fetched = await world.get(timeout_s=5)
    assert fetched.degraded
    assert world.peers.now_s < BUDGET_S + 0.1


async def test_a_slow_primary_is_waited_for_where_fallbacks_do_not_suffice(
    make_world, autojump_clock
):
    world = make_world(nodes=3)
    world[1].delay_s, world[2].is_silent = 2.0, True
    fetched = await world.get(timeout_s=5)
    assert fetched.replied == ["n0", "n1"]
    assert not fetched.degraded


async def test_a_quorum_that_is_not_met_is_told_with_its_facts(make_world, autojump_clock):
    world = make_world(nodes=3)
    world[1].error = world[2].error = REFUSED
    with pytest.raises(QuorumNotMet) as caught:
        await world.get()
    error = caught.value
    assert (error.required, error.acked, error.outcome) == (2, ("n0",), "not_applied")
    assert world.peers.now_s < HEDGE_S


async def test_a_read_that_nobody_answers_ends_with_the_deadline(world, autojump_clock):
    for k in range(5):
        world[k].is_silent = True
    with pytest.raises(QuorumNotMet):
        await world.get(timeout_s=2)
    assert world.peers.now_s == pytest.approx(2.01, abs=0.011)


async def test_pr_wants_primaries_that_answer_themselves(world, autojump_clock):
    world[1].error = world[2].error = REFUSED
    with pytest.raises(QuorumNotMet):
        await world.get(r=1, pr=2)


async def test_all_means_every_primary(world, autojump_clock):
    fetched = await world.get(r=ALL)
    assert sorted(fetched.replied) == ["n0", "n1", "n2"]


async def test_r_above_the_replicas_in_force_is_refused(world, autojump_clock):
    with pytest.raises(InvalidRequest):
        await world.get(r=4)


async def test_an_outdated_walk_is_planned_again(world, autojump_clock):
    world[1].other_walks = [OtherWalk([])]
    fetched = await world.get()
    assert not fetched.degraded
    assert len(asked(world)) == 4


# --- read repair --------------------------------------------------------------------------------


async def test_only_primaries_that_are_behind_are_sent_the_merged_record(world, autojump_clock):
    newer = world.merged(world.record(b"a", 1), world.record(b"b", 2))
    hold(world, newer, 0)
    hold(world, world.record(b"a", 1), 1)
    await world.get(r=ALL)
    await world.settle()
    assert repaired(world) == [1, 2]
    assert world[1].record == world[2].record == newer


async def test_two_that_each_lack_something_are_both_mended(world, autojump_clock):
    hold(world, world.record(b"a", 1), 0)
    hold(world, world.record(b"b", 2), 1)
    await world.get()
    await world.settle()
    assert repaired(world) == [0, 1]
    assert world[0].record == world[1].record


async def test_repair_is_never_sent_to_a_fallback(world, autojump_clock):
    hold(world, world.record(b"v", 1), 0)
    world[1].error = world[2].error = REFUSED
    await world.get()
    await world.settle()
    assert repaired(world) == []


async def test_an_incomplete_primary_is_mended_too(world, autojump_clock):
    hold(world, world.record(b"v", 1), 1, 2)
    world[0].complete = False
    await world.get()
    await world.settle()
    assert repaired(world) == [0]


async def test_repair_does_not_delay_the_answer(world, autojump_clock):
    hold(world, world.record(b"v", 1), 0)
    began_s = trio.current_time()

    async def slow_down():
        await trio.sleep(0.0005)
        world[1].delay_s = 0.2

    async with trio.open_nursery() as nursery:
        nursery.start_soon(slow_down)
        await world.get()
        assert trio.current_time() - began_s < 0.01
    await world.settle()
    assert world.values_of(world[1].record) == [b"v"]


async def test_late_answers_are_harmless(world, autojump_clock):
    world[1].delay_s, world[2].delay_s = 0.1, 2.0
    hold(world, world.record(b"v", 1), 0, 1)
    fetched = await world.get()
    await world.settle()
    assert fetched.replied == ["n0", "n1"]
    assert repaired(world) == []


# --- one node's own copy ------------------------------------------------------------------------


async def test_one_node_is_asked_for_its_own_copy_whoever_it_is(world, autojump_clock):
    hold(world, world.record(b"hint", 1), 4)
    fetched = await world.get(only="n4")
    assert asked(world) == [(0, 4)]
    assert world.peers.asked[0].message.walk == 0
    assert world.values_of(fetched.record) == [b"hint"]
    assert fetched.replied == ["n4"]


async def test_a_copy_that_may_not_vote_is_shown_as_degraded(world, autojump_clock):
    world[4].complete = False
    assert (await world.get(only="n4")).degraded


async def test_a_node_that_does_not_exist_cannot_be_asked(world, autojump_clock):
    with pytest.raises(InvalidRequest, match="no node 'n9'"):
        await world.get(only="n9")


async def test_the_error_of_the_one_node_asked_is_the_answer(world, autojump_clock):
    world[4].error = REFUSED
    with pytest.raises(NodeUnavailable):
        await world.get(only="n4")


async def test_an_answer_that_is_none_is_a_protocol_error(world, autojump_clock):
    world[4].other_walks = [OtherWalk([])]
    with pytest.raises(ProtocolError):
        await world.get(only="n4")


# --- hints that wait elsewhere ------------------------------------------------------------------


async def test_a_read_is_degraded_while_hints_wait_elsewhere_for_one_that_voted(
    world, autojump_clock
):
    world.view = dataclasses.replace(world.view, hinted=frozenset({b"\2" * 16}))
    assert (await world.get(r=2)).degraded
    assert not (await world.get(r=1)).degraded, "node 0 alone has voted"
    world[1].error = REFUSED
    assert not (await world.get(r=2)).degraded, "nodes 0 and 2 have"


async def test_hints_for_a_node_that_may_not_vote_or_is_no_primary_do_not_matter(
    world, autojump_clock
):
    world.view = dataclasses.replace(world.view, hinted=frozenset({b"\2" * 16, b"\5" * 16}))
    world[1].complete = False
    found = await world.get(r=2)
    assert not found.degraded


async def test_with_pr_above_r_so_many_primaries_are_asked_at_once(world, autojump_clock):
    found = await world.get(r=1, pr=3)
    assert found.primaries == 3
    assert {asked.at_s for asked in world.peers.of(ReplicaGet)} == {0}
