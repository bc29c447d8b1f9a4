"""Links: any number of requests over one connection, each answered exactly once."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from dynamo_py.errors import (
    DeadlineExceeded,
    DynamoError,
    NodeUnavailable,
    WrongState,
)
from dynamo_py.wire.codec import encode_body
from dynamo_py.wire.frames import (
    FRAME_BYTES_MAX,
    STALE_RING,
    FrameDecoder,
)
from dynamo_py.wire.messages import (
    Done,
    GetTable,
    Gossip,
    Message,
    ReplicaAck,
)

# --- asking and answering ----------------------------------------------------------------------


async def test_replies_find_their_requests_in_any_order(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in range(20):
            ours.ask(answers, name, Gossip(bytes([name])))
        await theirs.wait_asked(20)
        for frame in theirs.asked[::-1]:
            theirs.link.reply(frame, Gossip(frame.body))
        await answers.wait(20)
    expected = {name: Gossip(encode_body(Gossip(bytes([name])))[1]) for name in range(20)}
    assert answers.given == expected


async def test_both_sides_may_ask(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.ask(answers, "ours")
        theirs.ask(answers, "theirs")
        await ours.wait_asked(1)
        await theirs.wait_asked(1)
        ours.link.reply(ours.asked[0], Done())
        theirs.link.reply(theirs.asked[0], ReplicaAck(True))
        await answers.wait(2)
    assert answers.given == {"ours": ReplicaAck(True), "theirs": Done()}


async def test_many_requests_leave_in_few_sends(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in range(1000):
            ours.ask(answers, name)
        await theirs.wait_asked(1000)
        assert len(ours.connection.sends) == 1
        for frame in theirs.asked:
            theirs.link.reply(frame, Done())
        await answers.wait(1000)
        assert len(theirs.connection.sends) == 1
    assert set(map(type, answers.given.values())) == {Done}


async def test_what_is_asked_during_a_send_leaves_together_with_the_next(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.connection.hold()
        ours.ask(answers, "first")
        await trio.testing.wait_all_tasks_blocked()
        for name in range(50):
            ours.ask(answers, name)
        ours.connection.release()
        await theirs.wait_asked(51)
        assert len(ours.connection.sends) == 2


async def test_a_failure_is_given_as_the_error_it_stands_for(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.ask(answers, 1)
        await theirs.wait_asked(1)
        theirs.link.fail(theirs.asked[0], WrongState("not today"))
        await answers.wait(1)
    assert isinstance(answers.given[1], WrongState)
    assert answers.given[1].message == "not today"


async def test_equal_replies_that_follow_one_another_leave_as_one_frame(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in range(100):
            ours.ask(answers, name)
        await theirs.wait_asked(100)
        for frame in theirs.asked[:60]:
            theirs.link.reply_together(frame, ReplicaAck(True))
        theirs.link.reply(theirs.asked[60], Done())
        for frame in theirs.asked[61:]:
            theirs.link.reply_together(frame, ReplicaAck(durable=frame.request_id % 2 == 0))
        await answers.wait(100)
        frames = FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX).feed(
            b"".join(theirs.connection.sends)
        )
    assert [len(frame.others) + 1 for frame in frames] == [60, 1] + [1] * 39
    ids = [frame.request_id for frame in theirs.asked]
    assert [i for frame in frames for i in (frame.request_id, *frame.others)] == ids
    expected = {name: ReplicaAck(True) for name in range(60)} | {60: Done()}
    expected |= {name: ReplicaAck(ids[name] % 2 == 0) for name in range(61, 100)}
    assert answers.given == expected


async def test_of_equal_replies_one_may_come_too_late(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.ask(answers, "impatient", wait_s=1.0)
        ours.ask(answers, "patient", wait_s=1000.0)
        await theirs.wait_asked(2)
        ours.link.sweep(trio.current_time() + 10)
        for frame in theirs.asked:
            theirs.link.reply_together(frame, ReplicaAck(True))
        await answers.wait(2)
        assert ours.link.lost is None
    assert isinstance(answers.given["impatient"], DeadlineExceeded)
    assert answers.given["patient"] == ReplicaAck(True)


async def test_a_reply_together_to_what_wants_none_is_not_sent(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.link.tell(Gossip(b"news"))
        ours.ask(answers, "asked")
        await theirs.wait_asked(2)
        for frame in theirs.asked:
            theirs.link.reply_together(frame, ReplicaAck(True))
        await answers.wait(1)
        frames = FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX).feed(
            b"".join(theirs.connection.sends)
        )
    assert [(frame.request_id, frame.others) for frame in frames] == [(1, ())]


async def test_a_telling_expects_no_reply(linked):
    async with linked() as (ours, theirs):
        ours.link.tell(Gossip(b"news"))
        await theirs.wait_asked(1)
        assert theirs.asked[0].request_id == 0
        theirs.link.reply(theirs.asked[0], Done())
        await trio.testing.wait_all_tasks_blocked()
        assert theirs.connection.sends == []


async def test_the_time_to_wait_and_the_trace_travel_along(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name, wait_s in enumerate([2.5, 0.0001, float("inf")]):
            ours.link.request(
                GetTable(), wait_s=wait_s, on_reply=answers.of(name), trace_id=name + 7
            )
        await theirs.wait_asked(3)
        assert [frame.wait_ms for frame in theirs.asked] == [2500, 1, 2**32 - 1]
        assert [frame.trace_id for frame in theirs.asked] == [7, 8, 9]
        for frame in theirs.asked:
            theirs.link.reply(frame, Done())
        await answers.wait(3)
    (sent,) = theirs.connection.sends
    frames = FrameDecoder(frame_bytes_max=FRAME_BYTES_MAX).feed(sent)
    assert [(f.trace_id, f.wait_ms, f.is_reply) for f in frames] == [
        (7, 0, True),
        (8, 0, True),
        (9, 0, True),
    ]


async def test_every_frame_carries_the_hybrid_timestamp(linked, new_answers):
    class Ticking:
        def __init__(self) -> None:
            self.given = 100
            self.observed: list[int] = []

        def now(self) -> int:
            self.given += 1
            return self.given

        def observe(self, timestamp: int) -> None:
            self.observed.append(timestamp)

    ticking = Ticking()
    answers = new_answers()
    async with linked(timestamps=ticking) as (ours, theirs):
        ours.ask(answers, 1)
        ours.link.tell(Gossip(b""))
        await theirs.wait_asked(2)
        theirs.link.reply(theirs.asked[0], Done())
        await answers.wait(1)
    assert ticking.observed == [101, 102, 103]


async def test_a_reply_that_says_so_has_the_ring_fetched(linked, new_answers):
    stale: list[str] = []
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.link.on_stale_ring = lambda: stale.append("stale")
        ours.ask(answers, 1)
        ours.ask(answers, 2)
        await theirs.wait_asked(2)
        theirs.link.reply(theirs.asked[0], Done())
        theirs.link.reply(theirs.asked[1], Done(), flags=STALE_RING)
        await answers.wait(2)
    assert stale == ["stale"]


async def test_request_ids_go_round_past_nought(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.link._next_id = 2**32 - 1
        ours.ask(answers, 1)
        ours.ask(answers, 2)
        await theirs.wait_asked(2)
        assert [frame.request_id for frame in theirs.asked] == [2**32 - 1, 1]


# --- deadlines ---------------------------------------------------------------------------------


async def test_requests_whose_time_is_up_are_ended_by_the_sweep(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        now = trio.current_time()
        for name, wait_s in [("short", 1), ("long", 50)]:
            ours.ask(answers, name, wait_s=wait_s)
        await theirs.wait_asked(2)
        assert ours.link.sweep(now + 0.5) == pytest.approx(now + 1, abs=0.5)
        assert answers.given == {}
        assert ours.link.sweep(now + 10) == pytest.approx(now + 50, abs=5)
        assert isinstance(answers.given["short"], DeadlineExceeded)
        assert answers.given["short"].outcome == "unknown"
        for frame in theirs.asked:
            theirs.link.reply(frame, Done())
        await answers.wait(2)
        assert answers.given["long"] == Done()
        assert ours.link.sweep(now + 10_000) is None
        assert ours.link.lost is None


async def test_a_callback_of_the_sweep_may_close_the_link(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, _):
        reason = NodeUnavailable("enough")
        record = answers.of("first")

        def close(reply: Message | DynamoError) -> None:
            record(reply)
            ours.link.close(reason)

        ours.link.request(GetTable(), wait_s=1, on_reply=close)
        ours.ask(answers, "second", wait_s=1)
        assert ours.link.sweep(trio.current_time() + 10) is None
    assert isinstance(answers.given["first"], DeadlineExceeded)
    assert answers.given["second"] is reason


async def test_what_was_held_up_for_longer_than_it_waits_is_not_carried_out(
    linked, new_answers, autojump_clock
):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.ask(answers, "first")
        await theirs.wait_asked(1)
        ours.connection.hold()
        ours.ask(answers, "late", wait_s=2.0)
        ours.ask(answers, "in time", wait_s=60.0)
        await trio.sleep(10)
        ours.link.sweep(trio.current_time())
        ours.connection.release()
        await theirs.wait_asked(2)
        await trio.testing.wait_all_tasks_blocked()
        (held,) = theirs.asked[1:]
        assert 50_000 <= held.wait_ms < 52_000, "what it asks others ends when its asker gives up"
        assert held.held_ms == 60_000 - held.wait_ms
    assert isinstance(answers.given["late"], DeadlineExceeded)
    assert answers.given["late"].outcome == "unknown", "its asker cannot know"
