"""Where a request is carried out: here, or at a primary, and never forwarded twice."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.config import VALUE_BYTES_MAX
from dynamo_py.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
    QuorumNotMet,
    WrongState,
)
from dynamo_py.wire.messages import Get, Put, Quorum, ReplicaPut, Stored

REFUSED = NodeUnavailable("no connection", outcome="not_applied")
LOST = NodeUnavailable("the connection was lost")
STORED = Stored(b"", ["n0", "n1"], [], False, 1, 2)


@pytest.fixture
def outsider(make_world):
    """A coordinator that is no primary of the key."""
    return make_world(me=4)


async def test_a_primary_coordinates_itself(world, autojump_clock):
    await world.put()
    assert world.links.asked == []
    assert len(world.peers.of(ReplicaPut)) == 2


async def test_a_node_that_is_no_primary_lets_one_coordinate(outsider, autojump_clock):
    outsider.links.answers[0] = STORED
    assert await outsider.put() == STORED
    assert [k for k, _ in outsider.links.asked] == [0]
    assert outsider.peers.asked == []


async def test_a_forwarded_write_is_not_forwarded_again(outsider, autojump_clock):
    with pytest.raises(NodeUnavailable, match="no primary") as caught:
        await outsider.put(is_forwarded=True)
    assert caught.value.outcome == "not_applied"
    assert outsider.links.asked == []


async def test_a_primary_that_does_not_answer_is_followed_by_the_next(outsider, autojump_clock):
    outsider.links.answers.update({0: REFUSED, 1: STORED})
    assert await outsider.put() == STORED
    assert [(k, put.attempt) for k, put in outsider.links.asked] == [(0, 0), (1, 0)]


async def test_a_primary_that_may_have_written_makes_the_next_attempt_a_repeated_one(
    outsider, autojump_clock
):
    outsider.links.answers.update({0: None, 1: LOST, 2: STORED})
    await outsider.put()
    assert [(k, put.attempt) for k, put in outsider.links.asked] == [(0, 0), (1, 1), (2, 2)]
    assert {put.write_id for _, put in outsider.links.asked} == {bytes(16)}


async def test_a_primary_that_is_believed_down_is_not_asked(make_world, autojump_clock):
    world = make_world(me=4, downs=[0])
    world.links.answers[1] = STORED
    await world.put()
    assert [k for k, _ in world.links.asked] == [1]


async def test_where_no_primary_answers_the_node_writes_hints_itself(make_world, autojump_clock):
    world = make_world(me=4, downs=[0, 1, 2])
    for k in (0, 1, 2):
        world[k].error = REFUSED
    stored = await world.put()
    assert world.links.asked == []
    assert sorted(stored.acked) == ["n3", "n4"]
    assert {hint.holder for hint in stored.hinted} == {"n3", "n4"}
    assert stored.degraded
    assert stored.primaries == 0


async def test_the_answer_of_a_primary_that_missed_its_quorum_is_handed_on(
    outsider, autojump_clock
):
    outsider.links.answers[0] = QuorumNotMet("no", required=2, acked=("n0",))
    with pytest.raises(QuorumNotMet):
        await outsider.put()
    assert len(outsider.links.asked) == 1


async def test_primaries_that_use_up_the_time_leave_an_error_and_no_bug(outsider, autojump_clock):
    outsider.links.answers[0] = None
    for k in range(4):
        outsider[k].is_silent = True
    with pytest.raises((QuorumNotMet, DeadlineExceeded)) as caught:
        await outsider.put(timeout_s=1.0)
    assert caught.value.outcome == "unknown"


async def test_an_answer_that_is_no_answer_is_a_protocol_error_and_not_the_end_of_the_node(
    outsider, autojump_clock
):
    outsider.links.answers[0] = Get(b"b\0k", Quorum(), 0)
    with pytest.raises(ProtocolError) as caught:
        await outsider.put()
    assert caught.value.outcome == "unknown"


# --- put only if absent -------------------------------------------------------------------------


async def test_if_absent_refuses_where_a_value_is_found(world, autojump_clock):
    world[0].record = world[1].record = world.record(b"old", 1)
    with pytest.raises(WrongState, match="exists"):
        await world.put(if_absent=True)
    await world.settle()
    assert world.values_of(world[1].record) == [b"old"]


async def test_if_absent_lets_the_same_write_through_again(world, autojump_clock):
    world[0].record = world[1].record = world.record(b"v", 0)
    await world.put(if_absent=True, write_id=bytes(16))


async def test_if_absent_takes_a_tombstone_for_nothing(world, autojump_clock):
    world[0].record = world[1].record = world.record(None, 1)
    await world.put(if_absent=True)


# --- bad requests -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [b"", b"no separator", b"\0key", b"bucket\0", b"\xff\0key"])
async def test_a_key_that_is_none_is_refused(world, autojump_clock, key):
    deadline = trio.current_time() + 5
    with pytest.raises(InvalidRequest):
        await world.coordinator.get(Get(key, Quorum(), 0), deadline=deadline)
    with pytest.raises(InvalidRequest):
        await world.coordinator.put(
            Put(key, b"v", b"", bytes(16), 0, Quorum(), 0), deadline=deadline
        )
    assert world.peers.asked == []


async def test_a_value_that_is_too_big_is_refused(world, autojump_clock):
    with pytest.raises(InvalidRequest, match="at most"):
        await world.put(bytes(VALUE_BYTES_MAX + 1))


async def test_a_context_that_is_none_is_refused(world, key, autojump_clock):
    put = Put(key, b"v", b"garbage", bytes(16), 0, Quorum(), 0)
    with pytest.raises(InvalidRequest):
        await world.coordinator.put(put, deadline=trio.current_time() + 5)
    assert world.peers.asked == []


@pytest.mark.parametrize(("first", "outcome"), [(LOST, "unknown"), (REFUSED, "not_applied")])
async def test_a_write_refused_here_may_have_happened_where_it_was_forwarded_to(
    outsider, first, outcome, autojump_clock
):
    outsider.links.answers.update({0: first, 1: REFUSED, 2: REFUSED})
    outsider.replica.hints._bytes_max = 0
    with pytest.raises(Overloaded) as caught:
        await outsider.put()
    assert caught.value.outcome == outcome


@pytest.mark.parametrize(("first", "doubted"), [(LOST, 1), (REFUSED, 0)])
async def test_who_may_have_a_forwarded_write_unread_is_in_doubt(
    outsider, first, doubted, autojump_clock
):
    under_way = outsider.coordinator._under_way
    for node in outsider.view.nodes:
        under_way.flushed(node, 0)
    outsider.links.answers.update({0: first, 1: STORED})
    await outsider.put()
    assert len(under_way.doubted(outsider.view.nodes)) == doubted
