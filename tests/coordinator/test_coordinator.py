"""Where a request is carried out: here, or at a primary, and never forwarded twice."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.causality import Dot, Sibling, decode_record, encode_record, timestamp_at
from dynamo_py.causality.attempts import ATTEMPTS_MAX
from dynamo_py.config import VALUE_BYTES_MAX
from dynamo_py.coordinator.coordinator import FORWARD_S
from dynamo_py.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
    QuorumNotMet,
    WrongState,
)
from dynamo_py.wire.messages import Get, Put, Quorum, ReplicaGet, ReplicaPut, Stored

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


async def test_every_attempt_says_how_old_the_first_one_is(outsider, autojump_clock):
    outsider.links.answers.update({0: None, 1: LOST, 2: STORED})
    await outsider.put(attempt=3, age_ms=700)
    first, second, third = (put.age_ms for _, put in outsider.links.asked)
    assert 700 <= first < 710
    waited_ms = FORWARD_S * 1000
    assert 700 + waited_ms <= second <= third < 720 + waited_ms


async def test_what_others_may_have_forgotten_is_not_minted_by_a_repeat(world, key, autojump_clock):
    record = decode_record(world.record(b"0", 1))
    for number in range(1, ATTEMPTS_MAX + 2):
        dot, timestamp = Dot(9, 1, number), timestamp_at(1_700_000_000_000) + number
        sibling = Sibling(dot, b"%d" % number, timestamp, bytes([number] * 16))
        record = record.update(record.context(), sibling)
    world[1].record = encode_record(record)
    with pytest.raises(DeadlineExceeded, match="not repeated") as caught:
        await world.put(b"again", write_id=REPEATED, attempt=1, age_ms=1)
    assert caught.value.outcome == "unknown"
    assert b"again" not in world.values_of(world.replica.get(0, key))


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


# --- repeated puts -------------------------------------------------------------------------------

REPEATED = (7).to_bytes(16, "big")
"""The write id of ``world.record(value, 7)``."""


async def test_a_first_attempt_asks_nobody_what_they_know(world, autojump_clock):
    await world.put()
    assert world.peers.of(ReplicaGet) == []


@pytest.mark.parametrize("value", [b"v", None])
async def test_a_repeated_put_is_not_minted_again_where_a_quorum_knows_the_earlier_attempt(
    world, key, value, autojump_clock
):
    world[1].record = record = world.record(value, 7)
    stored = await world.put(value, write_id=REPEATED, attempt=1)
    await world.settle()
    assert stored.siblings == 1
    assert world.replica.get(0, key) == world[1].record == world[2].record == record


async def test_a_repeated_put_that_was_superseded_stays_so(world, key, autojump_clock):
    earlier = decode_record(world.record(b"earlier", 7))
    later = Sibling(Dot(9, 1, 1), b"later", 8, bytes(16))
    world[1].record = encode_record(earlier.update(earlier.context(), later))
    stored = await world.put(b"earlier", write_id=REPEATED, attempt=1)
    assert world.values_of(world.replica.get(0, key)) == [b"later"]
    assert "n0" in stored.acked


async def test_a_repeated_put_that_nobody_knows_is_minted_with_its_mark(world, key, autojump_clock):
    world[1].record = world.record(b"other", 1)
    await world.put(b"v", write_id=REPEATED, attempt=1)
    assert [asked.node for asked in world.peers.of(ReplicaGet)] == [0, 1]
    siblings = decode_record(world.replica.get(0, key)).siblings
    assert sorted((s.value, s.retried) for s in siblings) == [(b"other", False), (b"v", True)]


async def test_a_repeated_put_is_not_minted_where_no_quorum_says_what_it_knows(
    make_world, key, autojump_clock
):
    world = make_world(nodes=3)
    world[1].error = world[2].error = REFUSED
    with pytest.raises(QuorumNotMet, match="not repeated") as caught:
        await world.put(attempt=1)
    assert (caught.value.outcome, caught.value.required) == ("unknown", 2)
    assert (caught.value.acked, caught.value.retryable) == ((), True)
    assert world.replica.get(0, key) is None
    assert world.peers.of(ReplicaPut) == []


async def test_a_coordinator_that_knows_the_earlier_attempt_itself_asks_nobody(
    world, key, autojump_clock
):
    await world.put()
    held = world.replica.get(0, key)
    await world.put(attempt=1)
    assert world.peers.of(ReplicaGet) == []
    assert world.replica.get(0, key) == held


async def test_a_repeated_put_that_needs_one_alone_is_carried_out_by_one_alone(
    make_world, key, autojump_clock
):
    world = make_world(nodes=3)
    world[1].error = world[2].error = REFUSED
    stored = await world.put(w=1, attempt=1)
    assert stored.acked == ["n0"]


async def test_a_repeated_put_finds_stand_ins_in_time_for_both_of_its_halves(world, autojump_clock):
    """Who reaches W for the write reaches R for the read: silent primaries cost each its budget."""
    world[1].is_silent = world[2].is_silent = world[4].is_silent = True
    stored = await world.put(attempt=1, timeout_s=2.0)
    assert stored.acked == ["n0", "n3"]


async def test_a_node_that_stands_in_keeps_the_earlier_attempt_that_it_finds_as_its_hint(
    make_world, key, autojump_clock
):
    world = make_world(me=4)
    world.links.answers.update({0: LOST, 1: REFUSED, 2: REFUSED})
    world[0].error = world[1].error = REFUSED
    world[2].record = record = world.record(b"v", 7)
    await world.put(b"v", write_id=REPEATED)
    assert world.replica.get(0, key) is None
    assert world.replica.get_hint(0, key).record == record


async def test_an_attempt_after_a_forwarding_of_unknown_end_counts_as_a_repeated_one(
    make_world, key, autojump_clock
):
    world = make_world(me=4)
    world.links.answers.update({0: LOST, 1: REFUSED, 2: REFUSED})
    for k in range(4):
        world[k].error = REFUSED
    with pytest.raises(QuorumNotMet, match="not repeated") as caught:
        await world.put()
    assert caught.value.outcome == "unknown"
    assert world.replica.get_hint(0, key) is None


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


async def test_if_absent_lets_a_write_through_again_that_was_superseded(world, autojump_clock):
    earlier = decode_record(world.record(b"earlier", 7))
    later = Sibling(Dot(9, 1, 1), b"later", 8, bytes(16))
    world[0].record = world[1].record = encode_record(earlier.update(earlier.context(), later))
    await world.put(if_absent=True, write_id=REPEATED, attempt=1)
    await world.settle()
    assert world.values_of(world[1].record) == [b"later"]


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
