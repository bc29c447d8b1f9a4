"""Asking a replica when two nodes have two ideas of who the primaries are."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamo_py.coordinator.peers import Peers
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.wire.messages import (
    HandOff,
    Message,
    OtherWalk,
    ReplicaAck,
    ReplicaGet,
    ReplicaPut,
    Table,
    TableEntry,
)

ME, OTHER = b"m" * 16, b"o" * 16
MESSAGE = ReplicaGet(0, b"b\0k", 1)
ENTRY = TableEntry(0, 0, 2, OTHER)
TABLE = Table("c", b"c" * 16, 1, 1, [ENTRY], [])


@dataclass
class FakeLinks:
    answers: list[Message | DynamoError] = field(default_factory=list)
    requests: list[tuple[str, Message]] = field(default_factory=list)
    told: list[tuple[str, Message]] = field(default_factory=list)

    def request(self, address, message, *, wait_s, on_reply, trace_id):
        self.requests.append((address, message))
        on_reply(self.answers.pop(0))

    def tell(self, address, message):
        self.told.append((address, message))


@dataclass
class FakeTables:
    is_news: bool
    learned: list[list[TableEntry]] = field(default_factory=list)

    def merge_entries(self, entries):
        self.learned.append(list(entries))
        return self.is_news

    def message(self):
        return TABLE


def ask(node, answers, *, is_news=False):
    """What ``node`` was asked, what was told to it, and what came of it."""
    links, tables = FakeLinks(list(answers)), FakeTables(is_news)
    local: list[Message] = []
    replies: list[Message | DynamoError] = []

    def answer_locally(message, on_reply):
        local.append(message)
        on_reply(ReplicaAck(True))

    view = SimpleNamespace(me=ME, address_of=lambda node: node[:1].decode())
    peers = Peers(cast(Any, links), tables, answer_locally)
    peers.ask(cast(Any, view), node, MESSAGE, wait_s=1.0, on_reply=replies.append)
    return SimpleNamespace(links=links, tables=tables, local=local, replies=replies)


def test_this_node_is_asked_without_a_link():
    found = ask(ME, [])
    assert found.local == [MESSAGE]
    assert found.links.requests == []
    assert found.replies == [ReplicaAck(True)]


@pytest.mark.parametrize("answer", [ReplicaAck(True), NodeUnavailable("gone")])
def test_an_answer_or_an_error_is_handed_on(answer):
    found = ask(OTHER, [answer])
    assert found.links.requests == [("o", MESSAGE)]
    assert found.replies == [answer]


def test_newer_entries_are_learned_and_the_request_is_not_repeated_by_the_old_view():
    found = ask(OTHER, [OtherWalk([ENTRY])], is_news=True)
    assert found.tables.learned == [[ENTRY]]
    assert len(found.links.requests) == 1
    assert found.replies == [OtherWalk([ENTRY])]


def test_a_replica_that_is_behind_is_told_and_asked_once_more():
    found = ask(OTHER, [OtherWalk([]), ReplicaAck(True)])
    assert found.links.told == [("o", TABLE)]
    assert found.links.requests == [("o", MESSAGE)] * 2
    assert found.replies == [ReplicaAck(True)]


def test_a_replica_that_stays_of_its_opinion_is_not_asked_for_ever():
    found = ask(OTHER, [OtherWalk([]), OtherWalk([])])
    assert len(found.links.requests) == 2
    assert found.replies == [OtherWalk([])]


# --- what is under way -----------------------------------------------------------------------

PUT = ReplicaPut(3, b"b\0k", 1, b"record")


class HeldLinks(FakeLinks):
    """Links on which nothing is answered before a test says so."""

    def request(self, address, message, *, wait_s, on_reply, trace_id):
        self.requests.append((address, message))
        self.answer = on_reply


def sent(message) -> tuple[Peers, HeldLinks, list[bool]]:
    """A message on its way; the list has something in it once nothing is under way any more."""
    links, finished = HeldLinks(), []
    peers = Peers(cast(Any, links), FakeTables(False), lambda message, on_reply: None)
    view = SimpleNamespace(me=ME, address_of=lambda node: node[:1].decode())
    peers.under_way.flushed(OTHER, 0)
    peers.ask(cast(Any, view), OTHER, message, wait_s=1.0, on_reply=lambda reply: None)
    peers.under_way.when_finished(3, lambda: finished.append(True))
    return peers, links, finished


@pytest.mark.parametrize("message", [PUT, HandOff(3, b"b\0k", 1, b"record")])
def test_a_record_is_under_way_until_it_was_answered(message):
    peers, links, finished = sent(message)
    assert finished == []
    links.answer(ReplicaAck(True))
    assert finished == [True]
    assert peers.under_way.doubted([OTHER]) == {}


def test_a_record_that_is_sent_again_is_under_way_still():
    _, links, finished = sent(PUT)
    links.answer(OtherWalk([]))
    assert finished == []
    links.answer(ReplicaAck(True))
    assert finished == [True]


def test_who_was_sent_a_record_and_did_not_answer_is_in_doubt_before_the_work_has_ended():
    peers, links, _ = sent(PUT)
    doubted: list[list[bytes]] = []
    peers.under_way.when_finished(3, lambda: doubted.append(list(peers.under_way.doubted([OTHER]))))
    links.answer(NodeUnavailable("the link was lost"))
    assert doubted == [[OTHER]]


def test_a_question_carries_nothing():
    _, _, finished = sent(MESSAGE)
    assert finished == [True]
