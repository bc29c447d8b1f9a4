"""Links that are full, lost or broken: every request is ended once, with the right outcome."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
import trio.testing

from dynamo_py.errors import (
    DynamoError,
    InvalidRequest,
    NodeUnavailable,
    Overloaded,
    ProtocolError,
)
from dynamo_py.net import link as link_module
from dynamo_py.net.link import Link
from dynamo_py.wire.codec import NUMBERS, encode_body
from dynamo_py.wire.frames import (
    FRAME_BYTES_MAX,
    REPLY,
    Frame,
    encode_frame,
)
from dynamo_py.wire.messages import (
    Done,
    Failure,
    GetRing,
    GetTable,
    Gossip,
    ReplicaAck,
)

# --- bounds ------------------------------------------------------------------------------------


async def test_past_the_bound_of_bytes_requests_are_refused(linked, new_answers, monkeypatch):
    monkeypatch.setattr(link_module, "OUTBOUND_BYTES_MAX", 10_000)
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.connection.hold()
        for name in range(20):
            ours.ask(answers, name, Gossip(bytes(1000)))
        refused = list(answers.given.values())
        assert [type(error) for error in refused] == [Overloaded] * 10
        assert {error.outcome for error in refused if isinstance(error, DynamoError)} == {
            "not_applied"
        }
        ours.link._check()
        ours.link.tell(Gossip(bytes(1000)))
        ours.connection.release()
        await theirs.wait_asked(10)
        await trio.testing.wait_all_tasks_blocked()
        assert len(theirs.asked) == 10
        assert ours.link.statistics() == {"pending": 10, "outbound_bytes": 0}
        ours.ask(answers, "later")
        await theirs.wait_asked(11)


async def test_past_the_bound_of_requests_they_are_refused(linked, new_answers, monkeypatch):
    monkeypatch.setattr(link_module, "REQUESTS_PER_LINK_MAX", 3)
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in range(4):
            ours.ask(answers, name)
        assert isinstance(answers.given[3], Overloaded)
        await theirs.wait_asked(3)
        theirs.link.reply(theirs.asked[0], Done())
        await answers.wait(2)
        ours.ask(answers, 4)
        await theirs.wait_asked(4)


async def test_who_does_not_read_its_replies_is_cut_off(linked, new_answers, monkeypatch):
    monkeypatch.setattr(link_module, "OUTBOUND_BYTES_MAX", 10_000)
    answers = new_answers()
    async with linked() as (ours, theirs):
        theirs.connection.hold()
        for name in range(20):
            ours.ask(answers, name)
        await theirs.wait_asked(20)
        for frame in theirs.asked:
            theirs.link.reply(frame, Gossip(bytes(1000)))
        assert theirs.link.lost is not None
        assert "does not read" in theirs.link.lost.message
        await answers.wait(20)
    assert {type(reply) for reply in answers.given.values()} == {NodeUnavailable}


async def test_a_request_too_large_for_a_frame_fails_alone(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.ask(answers, "large", Gossip(bytes(FRAME_BYTES_MAX)))
        assert isinstance(answers.given["large"], ProtocolError)
        ours.ask(answers, "small")
        await theirs.wait_asked(1)
        theirs.link.reply(theirs.asked[0], Gossip(bytes(FRAME_BYTES_MAX)))
        await answers.wait(2)
        assert isinstance(answers.given["small"], ProtocolError)
        assert ours.link.lost is None


# --- loss --------------------------------------------------------------------------------------


async def test_the_loss_of_a_link_ends_every_open_request_once(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in range(10):
            ours.ask(answers, name)
        await theirs.wait_asked(10)
        theirs.link.reply(theirs.asked[4], Done())
        await answers.wait(1)
        theirs.connection.cut()
        await answers.wait(10)
        ours.link.close(NodeUnavailable("again"))
    lost = [reply for name, reply in answers.given.items() if name != 4]
    assert {type(reply) for reply in lost} == {NodeUnavailable}
    assert {reply.outcome for reply in lost if isinstance(reply, DynamoError)} == {"unknown"}


async def test_a_lost_link_refuses_at_once_and_says_that_nothing_happened(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, _):
        ours.link.close(NodeUnavailable("over"))
        ours.ask(answers, 1)
        ours.link.tell(Gossip(b""))
        assert isinstance(answers.given[1], NodeUnavailable)
        assert answers.given[1].outcome == "not_applied"


async def test_a_cancelled_link_ends_its_requests(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, _):
        ours.ask(answers, 1)
    assert isinstance(answers.given[1], NodeUnavailable)


async def test_a_link_closed_by_a_callback_ends_the_other_requests(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        ours.ask(answers, "other")
        ours.link.request(
            GetTable(), wait_s=5, on_reply=lambda _: ours.link.close(NodeUnavailable("done with"))
        )
        await theirs.wait_asked(2)
        theirs.link.reply(theirs.asked[1], Done())
        theirs.link.reply(theirs.asked[0], Done())
        await answers.wait(1)
    assert isinstance(answers.given["other"], NodeUnavailable)


def broken_replies() -> dict[str, bytes]:
    """Replies to request 1 that cannot be understood, and streams that are none."""

    def reply(number: int, body: bytes) -> bytes:
        return encode_frame(number, body, flags=REPLY, request_id=1)

    wrong_facts = Failure("QuorumNotMet", "line", "unknown", {"required": "two"})
    return {
        "an unknown number": reply(200, b"\x90"),
        "a broken body": reply(NUMBERS[ReplicaAck], b"\x91\xc0"),
        "an empty body": reply(NUMBERS[ReplicaAck], b""),
        "wrong facts": reply(*encode_body(wrong_facts)),
        "text": b"HTTP/1.1 400 Bad Request\r\n\r\n",
        "a huge length": b"\xff\xff\xff\xff",
        "no length": bytes(4),
    }


@pytest.mark.parametrize("garbage", broken_replies().values(), ids=broken_replies().keys())
async def test_a_broken_reply_ends_every_request_once_with_an_unknown_outcome(
    linked, new_answers, garbage
):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in (1, 2, 3):
            ours.ask(answers, name)
        await theirs.wait_asked(3)
        await theirs.connection.send_all(garbage)
        await answers.wait(3)
        assert ours.link.lost is not None
    for error in answers.given.values():
        assert isinstance(error, NodeUnavailable)
        assert (error.outcome, error.retryable) == ("unknown", True)


async def test_a_reply_that_nobody_waits_for_is_dropped_unread(linked):
    async with linked() as (ours, theirs):
        await theirs.connection.send_all(encode_frame(200, b"?", flags=REPLY, request_id=9))
        ours.link.tell(Gossip(b""))
        await theirs.wait_asked(1)
        assert ours.link.lost is None


@pytest.mark.parametrize("error", [ProtocolError("no"), InvalidRequest("no")])
async def test_a_request_that_the_handler_cannot_read_ends_the_link(linked, new_answers, error):
    answers = new_answers()

    def handle(link: Link, frame: Frame) -> None:
        raise error

    async with linked() as (ours, theirs):
        theirs.link._handle = handle
        ours.ask(answers, 1)
        await answers.wait(1)
        assert theirs.link.lost is not None
    assert isinstance(answers.given[1], NodeUnavailable)


async def test_frames_arrive_in_the_order_in_which_they_were_sent(linked, new_answers):
    answers = new_answers()
    async with linked() as (ours, theirs):
        for name in range(30):
            ours.ask(answers, name, GetRing())
            ours.link.tell(Gossip(b""))
            if name % 7 == 0:
                await trio.testing.wait_all_tasks_blocked()
        await theirs.wait_asked(60)
        asked = [frame.request_id for frame in theirs.asked if frame.request_id]
        assert all(one < next_ for one, next_ in pairwise(asked))
