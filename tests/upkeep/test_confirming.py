"""A copy votes once a majority says that it is no older than it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.view import DOWN, UP
from dynamo_py.errors import DiskFull, NodeUnavailable
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.confirming import AGAIN_S, STRAGGLERS_S, TELL_S, TOLD_PER_S_MAX, Confirming
from dynamo_py.upkeep.progress import OwnProgress
from dynamo_py.wire.messages import Done
from dynamo_py.wire.starting_messages import AskProgress, Progress

GONE = NodeUnavailable("no connection", outcome="not_applied")
REMEMBERED = 10_000


class Members:
    """The other members: who is up, what each remembers of this node, what it has been told."""

    def __init__(self, home, count: int) -> None:
        self.home = home
        self.remembered: dict[bytes, Any] = {}
        self.told: list[int] = []
        self.asked: list[bytes] = []
        self.count = count
        self.see(*range(count))

    def see(self, *ups: int) -> None:
        """Only these are up."""
        me = self.home.view.me
        self.ids = [bytes([k + 1]) * 16 for k in range(self.count)]
        self.view = SimpleNamespace(
            me=me,
            nodes={
                node: SimpleNamespace(
                    node=node,
                    name=f"n{k}",
                    membership=MEMBER,
                    state=UP if k in ups else DOWN,
                    peer_address=f"host:{k}",
                )
                for k, node in enumerate(self.ids)
            },
        )
        self.view.others_up = [
            seen for node, seen in self.view.nodes.items() if seen.state == UP and node != me
        ]

    def tell_progress(self, sequence: int) -> None:
        self.told.append(sequence)

    def ask(self, view, node, message, *, wait_s, on_reply, trace_id=0) -> None:
        assert message == AskProgress(view.me)
        self.asked.append(node)
        answer = self.remembered.get(node, Progress(0))
        if answer is not None:
            on_reply(answer)


@pytest.fixture
def start(make_home, nursery, autojump_clock):
    """Starts the loop on node 0 of several, whose two copies were complete."""

    def begin(count=5, *, ups=None, remembered=None, runs=True) -> Any:
        home = make_home([0, 1, 2, 3])
        members = Members(home, count)
        members.see(*(range(count) if ups is None else ups))
        members.remembered = {
            bytes([k + 1]) * 16: said if said is None or said is GONE else Progress(said)
            for k, said in (remembered or {}).items()
        }
        completeness = Completeness(home.committer, 4)
        progress = OwnProgress(home.committer)
        begun: list[bool] = []

        def begin_again() -> None:
            begun.append(completeness.is_in_doubt)
            completeness.begin(0, [members.ids[1]])

        confirming = Confirming(
            progress,
            completeness,
            cast(Any, members),
            cast(Any, members),
            begin_again=begin_again,
        )
        completeness.begin(0, ())
        if runs:
            nursery.start_soon(confirming.run)
        return SimpleNamespace(
            home=home,
            members=members,
            completeness=completeness,
            confirming=confirming,
            progress=progress,
            begun=begun,
        )

    return begin


async def test_a_node_without_others_is_never_in_doubt(start, autojump_clock):
    found = start(1)
    assert found.completeness.is_complete(0)
    await trio.sleep(5)
    assert found.members.asked == []
    assert found.members.told[-1] == found.progress.now


async def test_a_node_with_others_does_not_vote_before_they_have_answered(start, autojump_clock):
    found = start(3)
    assert not found.completeness.is_complete(0)
    await trio.sleep(1)
    assert found.completeness.is_complete(0)
    assert found.begun == []
    assert sorted(found.members.asked) == found.members.ids[1:]


async def test_without_a_majority_nobody_votes_and_nothing_is_told(start, autojump_clock):
    found = start(5, ups=(1,))
    await trio.sleep(60)
    assert not found.completeness.is_complete(0)
    assert found.members.told == []
    found.members.see(1, 2)
    await trio.sleep(AGAIN_S + 0.1)
    assert found.completeness.is_complete(0)
    assert found.members.told != []


@pytest.mark.parametrize("answer", [GONE, Done()])
async def test_who_cannot_say_is_asked_again(start, autojump_clock, answer):
    found = start(3, ups=(1,), remembered={1: GONE})
    found.members.remembered = {found.members.ids[1]: answer}
    await trio.sleep(5)
    assert not found.completeness.is_complete(0)
    found.members.remembered.clear()
    await trio.sleep(AGAIN_S + 0.1)
    assert found.completeness.is_complete(0)


async def test_a_member_that_is_silent_is_asked_once_and_waited_for_a_while(start, autojump_clock):
    found = start(5, remembered={4: None})
    await trio.sleep(STRAGGLERS_S - 0.5)
    assert not found.completeness.is_complete(0), "it may be the one that knows"
    await trio.sleep(1)
    assert found.completeness.is_complete(0)
    assert found.members.asked.count(found.members.ids[4]) == 1


async def test_a_node_of_which_more_is_remembered_begins_again_before_it_votes(
    start, autojump_clock, caplog
):
    found = start(5, remembered={4: REMEMBERED})
    await trio.sleep(1)
    assert found.begun == [True]
    assert not found.completeness.is_in_doubt
    assert found.completeness.sources(0) == (found.members.ids[1],)
    assert all(told > REMEMBERED for told in found.members.told)
    assert found.members.told != []


async def test_what_was_found_at_the_opening_counts_and_not_what_came_since(start, autojump_clock):
    found = start(3, ups=(), remembered={1: 5})
    for number in range(20):
        found.home.replica.merge(
            0, b"k%d" % number, found.home.record(1), hinted_for=None, on_commit=lambda error: None
        )
        await trio.sleep(0.1)
    assert found.progress.now > 5
    found.members.see(1)
    await trio.sleep(1)
    assert found.begun == [True]


async def test_after_the_rollback_was_stored_it_is_not_noticed_again(start, autojump_clock):
    found = start(3, remembered={1: REMEMBERED})
    await trio.sleep(1)
    again = OwnProgress(found.home.committer)
    assert again.opened > REMEMBERED
    assert Completeness(found.home.committer, 4).sources(0) == (found.members.ids[1],)


async def test_until_the_rollback_is_stored_it_is_noticed_again(start, autojump_clock):
    found = start(3, remembered={1: REMEMBERED}, runs=False)
    committer = found.home.committer
    await committer.drain()
    committer._refuse(DiskFull("no room"))
    with pytest.raises(DiskFull):
        await found.confirming.run()
    assert not found.completeness.is_complete(0)
    assert OwnProgress(committer).opened < REMEMBERED
    committer._refusal = None
    with trio.move_on_after(1):
        await found.confirming.run()
    assert found.begun == [True, True]
    assert OwnProgress(committer).opened > REMEMBERED


async def test_news_is_told_once_a_second_at_most_and_only_news(start, autojump_clock):
    found = start(1)
    await trio.sleep(10 * TELL_S)
    before = len(found.members.told)
    assert before <= 2
    for number in range(50):
        found.home.replica.merge(
            0, b"k%d" % number, found.home.record(1), hinted_for=None, on_commit=lambda error: None
        )
        await trio.sleep(0.1)
    await trio.sleep(TELL_S)
    news = found.members.told[before:]
    assert 5 <= len(news) <= 7
    assert news[-1] == found.progress.now
    found.confirming.tell()
    assert len(found.members.told) == before + len(news)


async def test_in_a_large_cluster_each_tells_less_often(start, autojump_clock):
    found = start(100)
    await trio.sleep(5)
    before = len(found.members.told)
    for number in range(100):
        found.home.replica.merge(
            0, b"k%d" % number, found.home.record(1), hinted_for=None, on_commit=lambda error: None
        )
        await trio.sleep(1)
    assert len(found.members.told) - before == pytest.approx(100 * TOLD_PER_S_MAX / 100, abs=1)


async def test_what_is_told_on_purpose_is_not_told_while_in_doubt(start, autojump_clock):
    found = start(3, ups=())
    found.confirming.tell()
    assert found.members.told == []
