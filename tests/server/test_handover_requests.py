"""What gainers answer to those who give tokens, and anybody to those who plan."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dynamo_py.causality import Dot, Record, Sibling, encode_record, vector_of
from dynamo_py.errors import Overloaded
from dynamo_py.replica.trees import Trees
from dynamo_py.server.handover_requests import HandoverRequests
from dynamo_py.storage.engine import Change, Space
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.wire.handover_messages import (
    AskTaken,
    GetSizes,
    GetTransfers,
    Offer,
    Offered,
    PartitionSize,
    Sizes,
    Taken,
    TransferFigures,
    Transfers,
)

GIVER = b"g" * 16
KEY = b"b\0k"
DOT = Dot(1, 1, 1)
RECORD = encode_record(Record(vector_of([DOT]), (Sibling(DOT, b"v", 0, bytes(16)),)))
ON_ITS_WAY = Transfers([TransferFigures(1, "n1", "n2", 1, 2, 3, 4, 5, "copying")], [], [], [])


class FakeTaking:
    """A gainer that has copied everything, and confirms when it is told to."""

    def __init__(self) -> None:
        self.offers: list[Offer] = []
        self.waiting: list[Any] = []
        self.is_full = False

    def offered(self, offer):
        self.offers.append(offer)
        return Offered(True, "")

    def ask_taken(self, asked, reply):
        if self.is_full:
            raise Overloaded("too many", retry_after=1.0)
        self.waiting.append(reply)


class Home:
    """A node that is a primary of partitions 0 and 2."""

    def __init__(self) -> None:
        self.engine = MemoryEngine()
        self.engine.apply([Change(Space.RECORDS, p, KEY, RECORD) for p in range(3)])
        self.trees = Trees(cast(Any, self.engine), on_damage=lambda partition: None)
        self.taking = FakeTaking()
        self.requests = HandoverRequests(
            cast(Any, self.taking), self.trees, lambda: [0, 2], lambda: ON_ITS_WAY
        )

    def ask(self, message) -> list[object]:
        replies: list[object] = []
        self.requests.answer(message, replies.append)
        return replies


@pytest.fixture
def home() -> Home:
    return Home()


def test_an_offer_is_answered_at_once_with_how_far_the_copy_is(home):
    offer = Offer(1, 7, GIVER, 10, 1000)
    assert home.ask(offer) == [Offered(True, "")]
    assert home.taking.offers == [offer]


def test_a_confirmation_is_answered_when_it_is_there(home):
    replies = home.ask(AskTaken(1, 7, GIVER, 8))
    assert replies == []
    home.taking.waiting[0](Taken())
    assert replies == [Taken()]


def test_one_confirmation_too_many_is_refused(home):
    home.taking.is_full = True
    with pytest.raises(Overloaded):
        home.ask(AskTaken(1, 7, GIVER, 8))


def test_sizes_are_those_of_the_primarys_copies_once_they_are_counted(home):
    assert home.ask(GetSizes()) == [Sizes([])]
    assert home.trees.unbuilt() == [0, 2], "they are begun"
    home.trees.build_page(2)
    size = len(KEY) + len(RECORD)
    assert home.ask(GetSizes()) == [Sizes([PartitionSize(2, 1, size)])]
    home.trees.build_page(0)
    both = [PartitionSize(0, 1, size), PartitionSize(2, 1, size)]
    assert home.ask(GetSizes()) == [Sizes(both)]


def test_transfers_are_told(home):
    assert home.ask(GetTransfers()) == [ON_ITS_WAY]
