"""What other nodes ask of this one's replica: answered once, by one idea of the primaries."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, cast

import pytest

from dynamo_py.causality import (
    Dot,
    HybridClock,
    Minter,
    Record,
    Sibling,
    decode_record,
    encode_record,
    vector_of,
)
from dynamo_py.cluster.members import MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import ClusterView, Placement
from dynamo_py.errors import (
    Damaged,
    DiskFull,
    InvalidRequest,
    NodeUnavailable,
    ProtocolError,
    StorageError,
    WrongState,
)
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.replica import Replica
from dynamo_py.replica.store import OnCommit
from dynamo_py.server.forgetting_requests import ForgettingRequests
from dynamo_py.server.handover_requests import HandoverRequests
from dynamo_py.server.replica_requests import ANY_WALK, ReplicaRequests
from dynamo_py.storage.engine import Change, EngineStats, Scanned, Space
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.wire.forgetting_messages import (
    AskPromised,
    AskProof,
    Barrier,
    Confirm,
    Forget,
    Promised,
)
from dynamo_py.wire.handover_messages import AskTaken, GetSizes, GetTransfers, Offer, Offered
from dynamo_py.wire.messages import (
    Done,
    GetPage,
    HandOff,
    Message,
    OtherWalk,
    Page,
    ReplicaAck,
    ReplicaGet,
    ReplicaPut,
    ReplicaRecord,
    TableEntry,
)
from dynamo_py.wire.sync_messages import GetLeaves, GetRecords, GetRoots, GetTree
from ring import Ring

ME, OTHER = b"m" * 16, b"o" * 16
KEY = b"b\0k"
DOT = Dot(1, 1, 1)
RECORD = encode_record(Record(vector_of([DOT]), (Sibling(DOT, b"v", 0, bytes(16)),)))
NEWER = 77
"""The walk of a coordinator that knows another table."""


class Store:
    """A memory engine that is told when to commit."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.is_damaged = False
        self.refusal: StorageError | None = None
        self.waiting: list[OnCommit] = []
        self.durables: list[bool] = []

    def stats(self) -> EngineStats:
        return self.engine.stats()

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        return self.engine.scan(space, partition, start, limit)

    def is_empty(self, space: Space) -> bool:
        return self.engine.is_empty(space)

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        if self.is_damaged and space is Space.RECORDS:
            raise Damaged("a row fails its checksum")
        return self.engine.get(space, partition, key)

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.engine.apply(changes)
        self.durables.append(durable)
        self.waiting.append(on_commit)

    def commit(self, error=None):
        for on_commit in self.waiting:
            on_commit(error)
        self.waiting.clear()


class Home:
    def __init__(
        self,
        *,
        is_durable: bool = True,
        me: bytes = ME,
        forgetting: ForgettingRequests | None = None,
        handover: HandoverRequests | None = None,
    ) -> None:
        self.store = Store()
        replica = Replica(
            self.store,
            Minter(random.Random(1)),
            HybridClock(lambda: 0),
            wall_ms=lambda: 0,
            on_damage=lambda partition: None,
        )
        table = OwnershipTable([TableEntry(t, 0, 1, (ME, OTHER)[t % 2]) for t in range(4)])
        placement = Placement(table, Ring(table.owners, 2))
        view = ClusterView(me, "c", b"c" * 16, placement, MemberMap(), {})
        self.walk = placement.walk(1)
        self.entries = placement.walk_entries(1)
        self.completeness = Completeness(self.store, 4)
        self.requests = ReplicaRequests(
            replica,
            self.completeness,
            lambda: view,
            is_durable=is_durable,
            forgetting=forgetting,
            handover=handover,
        )

    def ask(self, message):
        """All that the request is answered with, now and later."""
        replies: list[object] = []
        self.requests.answer(message, replies.append)
        return replies

    def ask_now(self, message):
        (reply,) = self.ask(message)
        return reply


@pytest.fixture
def home() -> Home:
    return Home()


def test_a_record_is_acknowledged_when_it_is_committed_and_then_read(home):
    replies = home.ask(ReplicaPut(1, KEY, home.walk, RECORD))
    assert replies == []
    home.store.commit()
    assert replies == [ReplicaAck(True, complete=False)], "the copy may not vote"
    assert home.ask_now(ReplicaGet(1, KEY, home.walk)) == ReplicaRecord(RECORD, False, [])


def test_an_acknowledgement_does_not_claim_an_fsync_that_there_was_not():
    home = Home(is_durable=False)
    replies = home.ask(ReplicaPut(1, KEY, home.walk, RECORD))
    home.store.commit()
    (ack,) = replies
    assert isinstance(ack, ReplicaAck)
    assert not ack.durable


def test_a_commit_that_fails_is_the_answer(home):
    replies = home.ask(ReplicaPut(1, KEY, home.walk, RECORD))
    failure = StorageError("the disk is gone")
    home.store.commit(failure)
    assert replies == [failure]


def test_an_answer_says_whether_the_copy_may_vote(home):
    home.completeness.begin(1, ())
    assert home.ask_now(ReplicaGet(1, KEY, home.walk)) == ReplicaRecord(None, True, [])


def asked_by_others(home: Home) -> list[Message]:
    return [
        ReplicaGet(1, KEY, home.walk),
        ReplicaPut(1, KEY, home.walk, RECORD),
        ReplicaPut(1, KEY, home.walk, RECORD, OTHER),
        HandOff(1, KEY, home.walk, RECORD),
        GetPage(1, home.walk, b"", b"", 10, False),
        GetRoots([]),
        GetTree(1, home.walk, 0, [0]),
        GetLeaves(1, home.walk, [0], b"", None, []),
        GetRecords(1, home.walk, [KEY]),
        AskProof(1, home.walk, OTHER, 1, [KEY]),
        Barrier(1),
        Confirm(1, home.walk, OTHER, 1, 1, 1, []),
        Forget(1, home.walk, 1, []),
        Offer(1, home.walk, OTHER, 1, 1),
        AskTaken(1, home.walk, OTHER, NEWER),
        GetSizes(),
        GetTransfers(),
    ]


def test_in_doubt_nothing_is_taken_shown_or_answered(home):
    home.completeness.begin(1, ())
    home.store.durables.clear()
    home.completeness.doubt()
    for message in asked_by_others(home):
        refusal = home.ask_now(message)
        assert isinstance(refusal, NodeUnavailable), message
        assert refusal.outcome == "not_applied"
    assert home.store.durables == [], "nothing was stored"
    home.completeness.confirm()
    assert home.ask_now(ReplicaGet(1, KEY, home.walk)) == ReplicaRecord(None, True, [])


def test_what_is_promised_is_said_in_doubt_too_or_nobody_would_ever_serve():
    asked: list[Message] = []

    class Forgetting:
        def answer(self, message, reply, other_walk):
            asked.append(message)
            reply(Promised(7))

    home = Home(forgetting=cast(Any, Forgetting()))
    home.completeness.doubt()
    assert home.ask_now(AskPromised(OTHER)) == Promised(7)
    assert asked == [AskPromised(OTHER)]


class Handover:
    """Answers of a gainer, by the message that was asked."""

    def __init__(self) -> None:
        self.asked: list[Message] = []

    def answer(self, message, reply):
        self.asked.append(message)
        reply(Offered(True, ""))


def test_a_hand_over_goes_by_one_idea_of_the_primaries():
    handover = Handover()
    home = Home(handover=cast(Any, handover))
    for other in (Offer(1, NEWER, OTHER, 1, 1), AskTaken(1, NEWER, OTHER, NEWER)):
        assert home.ask_now(other) == OtherWalk(home.entries)
    assert handover.asked == []
    for message in (
        Offer(1, home.walk, OTHER, 1, 1),
        AskTaken(1, home.walk, OTHER, NEWER),
        GetSizes(),
        GetTransfers(),
    ):
        assert home.ask_now(message) == Offered(True, "")
        assert handover.asked.pop() == message
    assert isinstance(home.ask_now(Offer(4, home.walk, OTHER, 1, 1)), InvalidRequest)


def test_a_hand_over_is_refused_where_nothing_is_handed_over(home):
    for message in (Offer(1, home.walk, OTHER, 1, 1), GetSizes()):
        assert isinstance(home.ask_now(message), InvalidRequest)


def test_a_hint_is_read_with_its_targets(home):
    home.ask(ReplicaPut(1, KEY, home.walk, RECORD, OTHER))
    assert home.ask_now(ReplicaGet(1, KEY, home.walk)) == ReplicaRecord(RECORD, False, [OTHER])


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_hint_that_comes_home_is_answered_when_it_is_on_disk_whatever_the_durability(is_durable):
    home = Home(is_durable=is_durable)
    for _ in range(2):  # the second time nothing has to change
        replies = home.ask(HandOff(1, KEY, home.walk, RECORD))
        assert replies == []
        home.store.commit()
        assert replies == [Done()]
    assert home.store.durables == [True, True]
    assert home.ask_now(ReplicaGet(1, KEY, home.walk)) == ReplicaRecord(RECORD, False, [])


def test_a_hint_whose_commit_fails_is_not_confirmed(home):
    replies = home.ask(HandOff(1, KEY, home.walk, RECORD))
    home.store.commit(StorageError("the disk is gone"))
    assert [type(reply) for reply in replies] == [StorageError]


def test_a_hint_is_not_taken_by_a_node_that_is_no_primary():
    home = Home(me=b"x" * 16)
    assert isinstance(home.ask_now(HandOff(1, KEY, home.walk, RECORD)), WrongState)
    assert home.store.engine.is_empty(Space.RECORDS)


def test_nothing_is_done_for_a_coordinator_with_another_idea_of_the_primaries(home):
    for message in (
        ReplicaPut(1, KEY, NEWER, RECORD),
        ReplicaPut(1, KEY, NEWER, RECORD, OTHER),
        ReplicaGet(1, KEY, NEWER),
        GetPage(1, NEWER, b"", b"", 10, False),
        HandOff(1, KEY, NEWER, RECORD),
    ):
        assert home.ask_now(message) == OtherWalk(home.entries)
    assert home.store.engine.is_empty(Space.RECORDS)
    assert home.store.engine.is_empty(Space.HINTS)


def test_a_nodes_own_copy_can_be_asked_for_whoever_the_primaries_are(home):
    assert home.ask_now(ReplicaGet(1, KEY, ANY_WALK)) == ReplicaRecord(None, False, [])


def test_a_page_has_the_records_in_order_and_without_values_if_bare(home):
    for key in (b"b\0y", b"b\0x"):
        home.ask(ReplicaPut(1, key, home.walk, RECORD))
    page = home.ask_now(GetPage(1, home.walk, b"b\0", b"", 1, False))
    assert page == Page([(b"b\0x", RECORD)], b"b\0x", [], complete=False)
    home.completeness.begin(1, ())
    bare = home.ask_now(GetPage(1, home.walk, b"b\0", b"b\0x", 10, True))
    assert bare.complete
    ((key, record),) = bare.rows
    assert key == b"b\0y"
    assert decode_record(record).siblings[0].value == b""


@pytest.mark.parametrize(
    "message",
    [
        ReplicaGet(4, KEY, 0),
        ReplicaPut(4, KEY, 0, RECORD),
        GetPage(10**6, 0, b"", b"", 1, True),
        Done(),
    ],
)
def test_what_cannot_be_asked_is_refused(home, message):
    assert isinstance(home.ask_now(message), InvalidRequest)


def test_a_damaged_record_is_answered_as_damaged_and_never_as_missing(home):
    home.store.is_damaged = True
    assert isinstance(home.ask_now(ReplicaGet(1, KEY, home.walk)), Damaged)


def test_a_store_that_refuses_is_the_answer(home):
    home.store.refusal = DiskFull("no room")
    assert home.ask(ReplicaPut(1, KEY, home.walk, RECORD)) == [home.store.refusal]


def test_what_is_no_record_is_the_senders_error(home):
    for target in (None, OTHER):
        reply = home.ask_now(ReplicaPut(1, KEY, home.walk, b"garbage", target))
        assert isinstance(reply, ProtocolError)
