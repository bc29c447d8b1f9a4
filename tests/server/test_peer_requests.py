"""Frames from peers find their way: to the replica, to membership, or onward."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamo_py.errors import NodeUnavailable, ProtocolError
from dynamo_py.server.peer_requests import PeerRequests
from dynamo_py.wire.codec import encode_body
from dynamo_py.wire.forgetting_messages import Flush
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.messages import (
    Done,
    Failure,
    Get,
    GetHints,
    GetNodeFacts,
    GetPage,
    GetTable,
    Gossip,
    HintFigures,
    Join,
    NodeFacts,
    Put,
    Quorum,
    ReplicaGet,
    ReplicaPut,
    Table,
)
from dynamo_py.wire.starting_messages import AskProgress, Progress
from dynamo_py.wire.sync_messages import GetSync, PairSync, Sync

NODE = b"n" * 16
TABLE = Table("c", b"c" * 16, 1, 1, [], [])
FACTS = NodeFacts("n1", 1, "t", "m", 1, 2, 3, 4, 5)
HINTS = HintFigures([], 0, [], [])
SYNC = Sync([PairSync(1, "n1", "n2", 0, 0, "")], [])


def frame_of(kind: int, body: bytes) -> Frame:
    """A frame as it comes from a peer."""
    return Frame(kind, 0, request_id=1, wait_ms=1000, trace_id=0, timestamp=0, body=body)


class Room:
    """`PeerRequests`, with all around it."""

    def __init__(self) -> None:
        self.replies: list[object] = []
        self.replica: list[object] = []
        self.answer: object = Done()
        self.gossip: list[bytes] = []
        self.tables: list[Table] = []
        self.joins: list[Join] = []
        self.forwarded: list[object] = []
        membership = SimpleNamespace(
            receive=self.gossip.append,
            receive_table=self.tables.append,
            progress_of={NODE: 7}.__getitem__,
            state=SimpleNamespace(message=lambda: TABLE),
        )
        self.requests = PeerRequests(
            cast(Any, SimpleNamespace(answer=self._answer)),
            cast(Any, membership),
            facts=lambda: FACTS,
            hints=lambda: HINTS,
            sync=lambda hurry: SYNC if hurry else Sync([], []),
            admit=lambda link, frame, join: self.joins.append(join),
            forwarded=lambda link, frame, message: self.forwarded.append(message),
        )

    def _answer(self, message, reply) -> None:
        self.replica.append(message)
        reply(self.answer)

    def reply(self, frame, message) -> None:
        self.replies.append(message)

    def send(self, message) -> None:
        kind, body = encode_body(message)
        self.requests.handle(cast(Any, self), frame_of(kind, body))


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.mark.parametrize(
    "message",
    [
        ReplicaPut(0, b"b\0k", 0, b""),
        ReplicaGet(0, b"b\0k", 0),
        GetPage(0, 0, b"", b"", 1, True),
    ],
)
def test_the_replicas_answer_is_the_reply(room, message):
    room.send(message)
    assert room.replica == [message]
    assert room.replies == [Done()]


def test_the_replicas_error_is_a_reply_too(room):
    room.answer = NodeUnavailable("gone")
    room.send(ReplicaGet(0, b"b\0k", 0))
    (reply,) = room.replies
    assert isinstance(reply, Failure)
    assert reply.kind == "NodeUnavailable"


def test_gossip_is_handed_over_and_not_answered(room):
    room.send(Gossip(b"rumour"))
    assert room.gossip == [b"rumour"]
    assert room.replies == []


def test_a_table_that_is_told_is_taken_in_and_one_that_is_asked_for_given(room):
    room.send(TABLE)
    room.send(GetTable())
    assert room.tables == [TABLE]
    assert room.replies == [Done(), TABLE]


def test_a_node_says_what_it_holds(room):
    room.send(GetNodeFacts())
    room.send(GetHints())
    room.send(GetSync(True))
    assert room.replies == [FACTS, HINTS, SYNC]


def test_a_node_says_how_far_it_remembers_another_to_have_come(room):
    room.send(AskProgress(NODE))
    assert room.replies == [Progress(7)]


class OtherLink:
    """A link that notes what had been replied when it was closed."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.closed: list[list[object]] = []

    def close(self, reason) -> None:
        self.closed.append(list(self.room.replies))


def test_a_flush_ends_the_older_links_of_its_node_before_it_is_answered(room):
    older, other = OtherLink(room), OtherLink(room)
    callers = room.requests._callers
    callers.add(cast(Any, older), NODE)
    callers.add(cast(Any, other), b"o" * 16)
    callers.add(cast(Any, room), NODE)
    room.send(Flush())
    assert (older.closed, other.closed) == ([[]], [])
    assert room.replies == [Done()]


def test_a_join_and_a_forwarded_request_are_handed_over(room):
    join = Join(NODE, "n2", "", 1, "host:1")
    put = Put(b"b\0k", b"v", b"", bytes(16), 0, Quorum(), 0)
    get = Get(b"b\0k", Quorum(), 0)
    for message in (join, put, get):
        room.send(message)
    assert room.joins == [join]
    assert room.forwarded == [put, get]
    assert room.replies == []


def test_a_body_that_is_no_message_ends_the_link(room):
    kind, _ = encode_body(GetTable())
    with pytest.raises(ProtocolError):
        room.requests.handle(cast(Any, room), frame_of(kind, b"garbage"))
