"""A barrier is passed once the work of before is over, and what it sent was handled."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DeadlineExceeded, NodeUnavailable
from dynamo_py.upkeep.barriers import Barriers
from dynamo_py.wire.forgetting_messages import Flush
from dynamo_py.wire.messages import Done

ME, A, B = b"m" * 16, b"a" * 16, b"b" * 16


class Home:
    """Barriers among three members, whose flushes are answered when a test says so."""

    def __init__(self) -> None:
        self.under_way = UnderWay()
        self.view = SimpleNamespace(
            me=ME, nodes={ME: 0, A: 0, B: 0}, name_of=lambda node: node[:1].decode()
        )
        self.flushes: dict[bytes, Any] = {}
        self.replies: list[Any] = []
        self.barriers = Barriers(self.under_way, cast(Any, self), lambda: cast(Any, self.view))

    def ask(self, view, node, message, *, wait_s, on_reply, trace_id=0) -> None:
        assert message == Flush()
        self.flushes[node] = on_reply

    def pass_barrier(self) -> None:
        self.barriers.when_passed(3, self.replies.append)

    def answer(self, node: bytes, answer: object = None) -> None:
        self.flushes.pop(node)(answer or Done())


@pytest.fixture
def home() -> Home:
    return Home()


def test_a_process_that_has_just_begun_has_all_others_flushed_and_later_none(home):
    home.pass_barrier()
    assert sorted(home.flushes) == [A, B]
    home.answer(A)
    assert home.replies == []
    home.answer(B)
    assert home.replies == [Done()]
    home.pass_barrier()
    assert home.flushes == {}
    assert home.replies == [Done(), Done()]


def test_only_those_that_did_not_answer_are_flushed_again(home):
    home.pass_barrier()
    home.answer(A)
    home.answer(B)
    home.under_way.note_answer(B, DeadlineExceeded("it was silent"))
    home.pass_barrier()
    assert list(home.flushes) == [B]


def test_nobody_is_flushed_before_the_work_of_before_is_over(home):
    ticket = home.under_way.begin(3)
    home.pass_barrier()
    assert home.flushes == {}
    home.under_way.note_answer(A, DeadlineExceeded("it was silent"))
    home.under_way.end(ticket)
    assert sorted(home.flushes) == [A, B]


def test_a_member_that_is_not_reached_is_named_once_and_stays_in_doubt(home):
    home.pass_barrier()
    home.answer(A, NodeUnavailable("no connection"))
    home.answer(B, NodeUnavailable("no connection"))
    (reply,) = home.replies
    assert isinstance(reply, NodeUnavailable)
    assert reply.message == "does not reach a"
    home.pass_barrier()
    assert sorted(home.flushes) == [A, B]


def test_a_flush_that_is_answered_at_once_is_an_answer(home):
    home.ask = lambda view, node, message, *, wait_s, on_reply, trace_id=0: on_reply(Done())
    home.barriers = Barriers(home.under_way, cast(Any, home), lambda: cast(Any, home.view))
    home.pass_barrier()
    assert home.replies == [Done()]


def test_the_wait_alone_flushes_nobody(home):
    finished = []
    home.barriers.when_finished(3, lambda: finished.append(True))
    assert finished == [True]
    assert home.flushes == {}
