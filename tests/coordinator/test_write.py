"""Writes over scripted replicas: quorums, stand-ins, facts of failures, walks that changed."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from dynamo_py.causality import decode_record
from dynamo_py.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    QuorumNotMet,
    StorageError,
)
from dynamo_py.wire.messages import ALL, Hinted, OtherWalk, ReplicaPut

REFUSED = NodeUnavailable("no connection", outcome="not_applied")
BUDGET_S = 0.5
AFTER_THE_BUDGET: Any = pytest.approx(BUDGET_S + 0.01, abs=0.011)
"""An alarm goes off at its time or up to a tick later."""


def sent(world) -> list[tuple[float, int, int | None]]:
    """When, to whom, and in whose stead the record was sent."""
    return [(a.at_s, a.node, a.hinted_for) for a in world.peers.of(ReplicaPut)]


async def test_a_write_goes_to_the_primaries_and_is_answered_at_w(world, autojump_clock):
    world[2].delay_s = 3.0
    stored = await world.put()
    assert stored.acked == ["n0", "n1"]
    assert (stored.hinted, stored.degraded, stored.primaries) == ([], False, 2)
    assert stored.siblings == 1
    assert sent(world) == [(0, 1, None), (0, 2, None)]
    assert world.peers.now_s < BUDGET_S


async def test_late_acknowledgements_are_harmless(world, autojump_clock):
    world[2].delay_s = 3.0
    await world.put()
    await world.settle()
    assert world.values_of(world[2].record) == [b"v"]


async def test_all_replicas_hold_the_same_bytes_after_a_write(world, key, autojump_clock):
    await world.put(w=ALL)
    assert world[1].record == world[2].record == world.replica.get(0, key)


async def test_a_primary_that_is_believed_down_is_replaced_at_once(make_world, autojump_clock):
    world = make_world(downs=[1])
    stored = await world.put(w=3)
    assert sent(world) == [(0, 3, 1), (0, 2, None)]
    assert stored.acked == ["n0", "n3", "n2"]
    assert stored.hinted == [Hinted("n3", "n1")]
    assert stored.degraded
    assert stored.primaries == 2


async def test_the_first_healthy_fallback_stands_in(make_world, autojump_clock):
    world = make_world(downs=[1, 3])
    await world.put()
    assert sent(world) == [(0, 4, 1), (0, 2, None)]


async def test_a_write_that_w_primaries_took_is_not_degraded(make_world, autojump_clock):
    world = make_world(downs=[2])
    stored = await world.put(w=2)
    assert not stored.degraded


async def test_a_primary_that_is_silent_is_replaced_after_its_budget(world, autojump_clock):
    world[1].is_silent = world[2].is_silent = True
    stored = await world.put(w=2)
    assert sent(world)[2:] == [(AFTER_THE_BUDGET, 3, 1), (AFTER_THE_BUDGET, 4, 2)]
    assert set(stored.hinted) <= {Hinted("n3", "n1"), Hinted("n4", "n2")}
    assert world.peers.now_s < BUDGET_S + 0.1


async def test_a_primary_that_fails_is_replaced_at_once(world, autojump_clock):
    world[1].error = world[2].error = REFUSED
    await world.put(w=2)
    assert {(at_s, k) for at_s, k, _ in sent(world)[2:]} == {(0.001, 3), (0.001, 4)}
    assert {target for _, _, target in sent(world)[2:]} == {1, 2}


async def test_a_link_that_is_down_fails_before_the_request_has_left(world, autojump_clock):
    world[1].error, world[1].delay_s = REFUSED, 0
    stored = await world.put(w=3)
    assert sent(world) == [(0, 1, None), (0, 3, 1), (0, 2, None)]
    assert stored.hinted == [Hinted("n3", "n1")]


async def test_a_fallback_that_fails_is_followed_by_the_next_and_none_is_used_twice(
    world, autojump_clock
):
    world[1].error = world[2].error = world[3].error = REFUSED
    with pytest.raises(QuorumNotMet):
        await world.put(w=3)
    assert [asked_node for _, asked_node, _ in sent(world)] == [1, 2, 3, 4]
    assert {target for _, _, target in sent(world)} == {None, 1, 2}


async def test_a_primary_that_answers_beside_its_stand_in_counts_once(world, autojump_clock):
    world[1].delay_s = BUDGET_S + 0.1
    world[2].is_silent = world[4].is_silent = True
    world[3].delay_s = 0.05
    with pytest.raises(QuorumNotMet) as caught:
        await world.put(w=3, timeout_s=2)
    assert caught.value.required == 3
    assert set(caught.value.acked) == {"n0", "n1", "n3"}


async def test_a_quorum_that_cannot_be_met_is_told_with_its_facts_and_at_once(
    make_world, autojump_clock
):
    world = make_world(nodes=3)
    world[1].error = world[2].error = REFUSED
    with pytest.raises(QuorumNotMet) as caught:
        await world.put(w=2)
    error = caught.value
    assert (error.required, error.acked, error.outcome) == (2, ("n0",), "unknown")
    assert error.retryable
    assert world.peers.now_s < BUDGET_S


async def test_a_quorum_that_nobody_answers_ends_with_the_deadline(make_world, autojump_clock):
    world = make_world(nodes=3)
    world[1].is_silent = world[2].is_silent = True
    with pytest.raises(QuorumNotMet):
        await world.put(w=2, timeout_s=2)
    assert world.peers.now_s == pytest.approx(2.01, abs=0.011)


async def test_pw_asks_for_primaries_themselves(make_world, autojump_clock):
    world = make_world(downs=[1])
    world[1].error = world[2].error = REFUSED
    with pytest.raises(QuorumNotMet):
        await world.put(w=2, pw=2)
    world = make_world(downs=[1])
    stored = await world.put(w=2, pw=2)
    assert stored.primaries == 2


async def test_with_pw_primaries_that_are_believed_down_are_asked_where_it_takes_them(
    make_world, autojump_clock
):
    world = make_world(downs=[1, 2])
    stored = await world.put(w=3, pw=3)
    assert stored.primaries == 3
    assert {(k, target) for _, k, target in sent(world)} == {(3, 1), (4, 2), (1, None), (2, None)}
    assert {at_s for at_s, _, _ in sent(world)} == {0}


async def test_with_pw_a_wrong_belief_is_mended_when_another_primary_fails(
    make_world, autojump_clock
):
    world = make_world(downs=[1])
    world[2].error = REFUSED
    stored = await world.put(w=2, pw=2)
    assert stored.primaries == 2
    assert "n1" in stored.acked
    assert (0.001, 1, None) in sent(world)


async def test_without_pw_nobody_who_is_believed_down_is_asked_while_there_are_stand_ins(
    make_world, autojump_clock
):
    world = make_world(downs=[1])
    await world.put(w=2, pw=1)
    assert 1 not in {k for _, k, _ in sent(world)}


async def test_a_node_that_is_no_primary_stands_in_for_one_that_it_could_not_reach(
    make_world, key, autojump_clock
):
    world = make_world(me=4)
    world.links.answers.update({0: None, 1: REFUSED, 2: REFUSED})
    stored = await world.put()
    assert Hinted("n4", "n1") in stored.hinted
    assert world.replica.get_hint(0, key).targets == (b"\2" * 16,)
    assert {(k, target) for _, k, target in sent(world)} == {(0, None), (2, None)}


async def test_a_fallback_that_has_no_room_for_hints_is_followed_by_the_next(
    make_world, autojump_clock
):
    world = make_world(downs=[1])
    world[3].error = Overloaded("no room for more hints")
    stored = await world.put(w=3)
    assert stored.hinted == [Hinted("n4", "n1")]


async def test_a_coordinator_whose_own_disk_fails_hands_its_place_to_a_fallback(
    world, autojump_clock
):
    world.commit_error = StorageError("the disk is gone")
    stored = await world.put(w=3)
    assert sent(world)[2][1:] == (3, 0)
    assert stored.acked == ["n3", "n1", "n2"]


async def test_what_the_store_refuses_is_not_applied_and_sent_to_nobody(world, autojump_clock):
    world.commit_error = StorageError("the disk is gone")
    await world.put(w=1)
    world.peers.asked.clear()
    with pytest.raises(StorageError) as caught:
        await world.put(write_id=b"2" * 16)
    assert caught.value.outcome == "not_applied"
    assert sent(world) == []


@pytest.mark.parametrize("quorum", [{"w": 4}, {"dw": 4}, {"pw": 4}])
async def test_a_quorum_above_the_replicas_in_force_is_refused(world, quorum, autojump_clock):
    with pytest.raises(InvalidRequest):
        await world.put(**quorum)
    assert sent(world) == []


async def test_a_node_that_is_no_primary_writes_only_into_a_hint(make_world, key, autojump_clock):
    world = make_world(me=4, downs=[1])
    for k in (0, 2):
        world.links.answers[k] = REFUSED
    stored = await world.put()
    assert [(k, target) for _, k, target in sent(world)] == [(0, None), (2, None)]
    assert Hinted("n4", "n1") in stored.hinted
    assert world.replica.get_hint(0, key).targets == (b"\2" * 16,)


async def test_an_outdated_walk_is_planned_again_under_the_same_write_id(world, autojump_clock):
    newer = world.view_of([bytes([token % 4 + 1]) * 16 for token in range(16)])
    world[1].other_walks = [OtherWalk([])]
    world[1].delay_s = 0.01
    world[2].is_silent = True
    before = world.view

    async def learn():
        await trio.sleep(0.005)
        world.view = newer

    async with trio.open_nursery() as nursery:
        nursery.start_soon(learn)
        stored = await world.put()
    walks = [asked.message.walk for asked in world.peers.of(ReplicaPut)]
    assert set(walks) == {before.placement.walk(0), newer.placement.walk(0)}
    records = [decode_record(asked.message.record) for asked in world.peers.of(ReplicaPut)]
    assert {s.write_id for record in records for s in record.siblings} == {bytes(16)}
    assert {len(record.siblings) for record in records} == {1}
    assert stored.siblings == 1


async def test_a_write_that_is_planned_again_elsewhere_goes_there_as_a_repeated_one(
    world, autojump_clock
):
    """The first plan may have left its record somewhere: the second mint has to know."""
    without_me = [bytes([token % 4 + 2]) * 16 for token in range(16)]
    newer = world.view_of(without_me)
    world[1].other_walks = [OtherWalk([])]
    world[1].delay_s = 0.01
    world[2].is_silent = True

    async def learn():
        await trio.sleep(0.005)
        world.view = newer

    async with trio.open_nursery() as nursery:
        nursery.start_soon(learn)
        await world.put()
    assert not newer.is_primary(0, newer.me)
    (_, forwarded), *_ = world.links.asked
    assert forwarded.write_id == bytes(16)
    assert forwarded.attempt > 0


async def test_a_ring_that_never_settles_is_an_error_that_may_be_tried_again(world, autojump_clock):
    world[1].other_walks = world[2].other_walks = [OtherWalk([])] * 20
    with pytest.raises(NodeUnavailable, match="the ring is changing") as caught:
        await world.put()
    assert caught.value.retryable
    assert caught.value.outcome == "unknown"


async def test_a_write_whose_time_is_up_is_no_bug_of_ours(world, autojump_clock):
    for k in range(1, 5):
        world[k].is_silent = True
    with pytest.raises((QuorumNotMet, DeadlineExceeded)):
        await world.put(timeout_s=-0.01)


async def test_a_slow_write_leaves_a_trail_and_a_fast_one_does_not(world, key, autojump_clock):
    await world.put(w=ALL)
    assert world.slow.find(key) is None
    world[1].delay_s = world[2].delay_s = 0.1
    await world.put(w=ALL)
    trail = world.slow.find(key)
    assert trail is not None
    assert any("n1" in line for line in trail.lines(world.view.name_of))
