"""`Coordinator.begin_get`: what a get returns or raises is called back, once, without a task."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.coordinator.peers import WalkChanged
from dynamo_py.errors import InvalidRequest, NodeUnavailable, QuorumNotMet
from dynamo_py.wire.messages import Fetched, Get, OtherWalk, Quorum

REFUSED = NodeUnavailable("no connection", outcome="not_applied")


def begin(world, key, *, r=0, timeout_s=5.0) -> list:
    """What is called back, as it comes."""
    found: list = []
    world.coordinator.begin_get(
        Get(key, Quorum(r), 0),
        deadline=trio.current_time() + timeout_s,
        trace_id=0,
        on_done=found.append,
    )
    return found


async def test_what_this_node_alone_can_answer_is_there_at_once(world, key, autojump_clock):
    world[0].record = world.record(b"v", 1)
    (found,) = begin(world, key, r=1)
    assert isinstance(found, Fetched)
    assert world.values_of(found.record) == [b"v"]


async def test_the_answer_comes_with_the_last_reply_that_is_needed(world, key, autojump_clock):
    world[0].record = world[1].record = world.record(b"v", 1)
    found = begin(world, key)
    assert found == []
    await world.settle()
    assert found == [await world.get()]


async def test_too_few_answers_are_told_once_the_time_is_up(world, key, autojump_clock):
    for k in range(1, 5):
        world[k].is_silent = True
    found = begin(world, key, timeout_s=2.0)
    await trio.sleep(1.9)
    assert found == []
    await trio.sleep(0.2)
    (error,) = found
    assert isinstance(error, QuorumNotMet)
    assert (error.required, error.acked) == (2, ("n0",))


async def test_a_silent_replica_is_followed_by_others(world, key, autojump_clock):
    world[1].is_silent = True
    found = begin(world, key)
    await trio.sleep(0.2)
    assert [type(each) for each in found] == [Fetched]


async def test_an_outdated_walk_is_handed_on(world, key, autojump_clock):
    world[0].other_walks = [OtherWalk([])]
    found = begin(world, key)
    await world.settle()
    assert [type(each) for each in found] == [WalkChanged]


async def test_a_key_that_is_none_is_refused_at_once(world, autojump_clock):
    with pytest.raises(InvalidRequest):
        begin(world, b"no bucket")


async def test_refusals_of_all_others_end_it_before_its_time(world, key, autojump_clock):
    for k in range(1, 5):
        world[k].error = REFUSED
    found = begin(world, key)
    await trio.sleep(0.1)
    assert [type(each) for each in found] == [QuorumNotMet]
