"""Work under way, and who may still have something unread."""

from __future__ import annotations

import pytest

from dynamo_py.coordinator import under_way as module
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import (
    DeadlineExceeded,
    NodeUnavailable,
    Overloaded,
    StorageError,
)
from dynamo_py.wire.messages import Done

A, B = b"a" * 16, b"b" * 16


@pytest.fixture
def under_way() -> UnderWay:
    return UnderWay()


def waits_for(under_way: UnderWay, partition: int) -> list[bool]:
    """Has something in it once the work on ``partition`` of now has ended."""
    finished: list[bool] = []
    under_way.when_finished(partition, lambda: finished.append(True))
    return finished


def test_where_nothing_is_under_way_nothing_is_waited_for(under_way):
    under_way.begin(4)
    assert waits_for(under_way, 3) == [True]


def test_work_on_the_partition_and_on_any_is_waited_for(under_way):
    here, anywhere = under_way.begin(3), under_way.begin(None)
    finished = waits_for(under_way, 3)
    under_way.end(here)
    assert finished == []
    under_way.end(anywhere)
    assert finished == [True]
    under_way._check()


def test_what_begins_later_is_not(under_way):
    before = under_way.begin(3)
    finished = waits_for(under_way, 3)
    under_way.begin(3)
    under_way.end(before)
    assert finished == [True]
    assert under_way.statistics() == {"under_way": 1, "waiting": 0}


def test_work_that_fails_has_ended(under_way):
    finished = []

    def fail() -> None:
        with under_way.work_on(3):
            finished.append(waits_for(under_way, 3))
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert finished == [[True]]


def test_barriers_without_end_are_refused(under_way, monkeypatch):
    monkeypatch.setattr(module, "WAITERS_MAX", 2)
    under_way.begin(3)
    for _ in range(2):
        waits_for(under_way, 3)
    with pytest.raises(Overloaded):
        waits_for(under_way, 3)


def test_at_first_every_node_is_in_doubt(under_way):
    assert under_way.doubted([A, B]) == {A: 0, B: 0}
    under_way.flushed(A, 0)
    assert under_way.doubted([A, B]) == {B: 0}


@pytest.mark.parametrize(
    ("answer", "is_doubted"),
    [
        (Done(), False),
        (StorageError("it has answered"), False),
        (NodeUnavailable("never sent", outcome="not_applied"), False),
        (NodeUnavailable("the link was lost"), True),
        (DeadlineExceeded("it was silent"), True),
    ],
)
def test_a_node_that_did_not_answer_is_in_doubt_until_it_is_flushed(under_way, answer, is_doubted):
    under_way.flushed(A, 0)
    under_way.note_answer(A, answer)
    doubted = under_way.doubted([A])
    assert bool(doubted) is is_doubted
    for node, doubt in doubted.items():
        under_way.flushed(node, doubt)
    assert under_way.doubted([A]) == {}
    under_way._check()


def test_a_doubt_that_came_after_the_flush_was_sent_stays(under_way):
    doubt = under_way.doubted([A])[A]
    under_way.note_answer(A, DeadlineExceeded("it was silent"))
    under_way.flushed(A, doubt)
    assert A in under_way.doubted([A])
