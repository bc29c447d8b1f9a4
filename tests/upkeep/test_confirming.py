"""A node serves once a majority says that its store is no older than it was."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.view import DOWN, UP
from dynamo_py.errors import DiskFull, NodeUnavailable
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.confirming import (
    AGAIN_S,
    ASK_S,
    STRAGGLERS_S,
    TELL_S,
    TOLD_PER_S_MAX,
    Confirming,
)
from dynamo_py.upkeep.progress import OwnProgress
from dynamo_py.wire.forgetting_messages import AskPromised, Promised
from dynamo_py.wire.messages import Done
from dynamo_py.wire.starting_messages import AskProgress, Progress

GONE = NodeUnavailable("no connection", outcome="not_applied")
REMEMBERED = 10_000
DISCARDED = 7


class Members:
    """The other members: who is up, what each remembers of this node, what it has been told."""

    def __init__(self, home, count: int) -> None:
        self.home = home
        self.remembered: dict[bytes, Any] = {}
        self.promised: dict[bytes, Any] = {}
        self.told: list[int] = []
        self.asked: list[bytes] = []
        """Who was asked for the progress."""
        self.asked_promised: list[bytes] = []
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
        assert wait_s == ASK_S
        if isinstance(message, AskPromised):
            assert message == AskPromised(view.me)
            self.asked_promised.append(node)
            answer = self.promised.get(node, Promised(0))
        else:
            assert message == AskProgress(view.me)
            self.asked.append(node)
            answer = self.remembered.get(node, Progress(0))
        if answer is not None:
            on_reply(answer)


@pytest.fixture
def start(make_home, nursery, autojump_clock):
    """Starts the loop on node 0 of several, whose two copies were complete."""

    def begin(count=5, *, ups=None, remembered=None, promised=None, runs=True) -> Any:
        home = make_home([0, 1, 2, 3])
        members = Members(home, count)
        members.see(*(range(count) if ups is None else ups))
        members.remembered = {
            bytes([k + 1]) * 16: said if said is None or said is GONE else Progress(said)
            for k, said in (remembered or {}).items()
        }
        members.promised = {
            bytes([k + 1]) * 16: Promised(said) for k, said in (promised or {}).items()
        }
        completeness = Completeness(home.committer, 4)
        progress = OwnProgress(home.committer)
        begun: list[bool] = []

        stored: list[tuple[bytes, ...]] = []

        async def discard() -> int:
            await home.committer.drain()
            stored.append(Completeness(home.committer, 4).sources(0))
            return DISCARDED

        def begin_again() -> None:
            begun.append(completeness.is_in_doubt)
            completeness.begin(0, [members.ids[1]])

        confirming = Confirming(
            progress,
            completeness,
            cast(Any, members),
            cast(Any, members),
            begin_again=begin_again,
            discard=discard,
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
            discarded=stored,
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
    assert found.discarded == []
    assert sorted(found.members.asked) == found.members.ids[1:]
    assert sorted(found.members.asked_promised) == found.members.ids[1:]
    assert found.confirming.confirmed.is_set()


async def test_without_a_majority_nobody_votes_and_nothing_is_told(start, autojump_clock):
    found = start(5, ups=(1,))
    await trio.sleep(60)
    assert not found.completeness.is_complete(0)
    assert not found.confirming.confirmed.is_set()
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


@pytest.mark.parametrize("lacking", ["remembered", "promised"])
async def test_one_that_answers_only_one_question_has_not_said_what_it_knows(
    start, autojump_clock, lacking
):
    found = start(3, ups=(), runs=True)
    members = found.members
    getattr(members, lacking)[members.ids[1]] = None
    members.see(1)
    await trio.sleep(30)
    assert not found.completeness.is_complete(0)
    assert len(members.asked) == len(members.asked_promised) == 1, "not again while it may answer"


async def test_only_what_was_not_answered_is_asked_again(start, autojump_clock):
    found = start(3, ups=())
    members = found.members
    members.promised[members.ids[1]] = GONE
    members.see(1)
    await trio.sleep(1)
    assert not found.completeness.is_complete(0)
    assert len(members.asked) == 1
    assert len(members.asked_promised) > 1
    members.promised.clear()
    await trio.sleep(AGAIN_S + 0.1)
    assert found.completeness.is_complete(0)


async def test_a_node_of_which_more_is_remembered_begins_again_before_it_votes(
    start, autojump_clock, caplog
):
    found = start(5, remembered={4: REMEMBERED})
    await trio.sleep(1)
    assert found.begun == [True]
    assert found.discarded == [], "it is older, and than no proof"
    assert not found.completeness.is_in_doubt
    assert found.completeness.sources(0) == (found.members.ids[1],)
    assert all(told > REMEMBERED for told in found.members.told)
    assert found.members.told != []


async def test_a_store_that_is_older_than_its_part_in_a_proof_is_thrown_away_before_it_serves(
    start, autojump_clock, caplog
):
    found = start(5, promised={4: REMEMBERED})
    await trio.sleep(1)
    assert found.begun == [True]
    assert found.discarded == [(found.members.ids[1],)], "the copies are incomplete on disk first"
    assert not found.completeness.is_in_doubt
    assert "discarded" in caplog.text
    assert min(found.members.told) > REMEMBERED


async def test_a_store_that_has_come_as_far_as_in_the_proof_is_kept(start, autojump_clock):
    found = start(5, promised={}, runs=False)
    for number in range(20):
        found.home.replica.merge(
            0, b"k%d" % number, found.home.record(1), hinted_for=None, on_commit=lambda error: None
        )
        await trio.sleep(0.1)
    again = Confirming(
        OwnProgress(found.home.committer),
        found.completeness,
        cast(Any, found.members),
        cast(Any, found.members),
        begin_again=lambda: found.begun.append(True),
        discard=found.confirming._discard,
    )
    opened = again._progress.opened
    found.members.promised = {found.members.ids[4]: Promised(opened)}
    with trio.move_on_after(1):
        await again.run()
    assert found.begun == []
    assert found.discarded == []
    assert found.completeness.is_complete(0)


async def test_until_all_is_thrown_away_nothing_is_confirmed(start, autojump_clock):
    found = start(3, promised={1: REMEMBERED}, runs=False)
    outcomes: list[DiskFull | None] = [DiskFull("no room"), None]

    async def discard() -> int:
        assert found.completeness.is_in_doubt
        await trio.lowlevel.checkpoint()
        error = outcomes.pop(0)
        if error is not None:
            raise error
        return DISCARDED

    found.confirming._discard = discard
    with pytest.raises(DiskFull):
        await found.confirming.run()
    assert not found.completeness.is_complete(0)
    assert not found.confirming.confirmed.is_set()
    assert OwnProgress(found.home.committer).opened < REMEMBERED
    with trio.move_on_after(1):
        await found.confirming.run()
    assert outcomes == []
    assert found.confirming.confirmed.is_set()
    assert OwnProgress(found.home.committer).opened > REMEMBERED


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
