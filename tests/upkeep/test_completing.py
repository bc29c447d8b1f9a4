"""Earning the right to vote: everything from every source, committed, before it is believed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.errors import Damaged, DynamoError, NodeUnavailable
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.completing import PAGE_ROWS, RETRY_S, Completing
from dynamo_py.wire.messages import Done, GetPage, Message, OtherWalk, Page

GONE = NodeUnavailable("no connection", outcome="not_applied")
WAIT_S = 30


class ScriptedPeers:
    """Answers each node's requests from its list, the last one for ever; then remembers."""

    def __init__(self) -> None:
        self.answers: dict[bytes, list[Message | DynamoError]] = {}
        self.asked: list[tuple[bytes, GetPage]] = []

    def ask(self, view, node, message, *, wait_s, on_reply, trace_id=0) -> None:
        self.asked.append((node, message))
        answers = self.answers.get(node, [Page([], None, [])])
        on_reply(answers.pop(0) if len(answers) > 1 else answers[0])


@pytest.fixture
def start(make_home, nursery, autojump_clock):
    """Starts the loop on a node, given who owns the four tokens."""

    def begin(owners) -> Any:
        home = make_home(owners)
        completeness = Completeness(home.committer, 4)
        peers = ScriptedPeers()
        completing = Completing(home.replica, completeness, cast(Any, peers), lambda: home.view)
        nursery.start_soon(completing.run)
        return SimpleNamespace(
            home=home, completeness=completeness, peers=peers, completing=completing
        )

    return begin


async def wait_complete(found, partition) -> None:
    with trio.fail_after(WAIT_S):
        while True:
            if found.completeness.is_complete(partition):
                return
            await trio.sleep(0.01)


def gain(found) -> None:
    """Nodes 1 and 2 were the primaries of partition 0; now node 0 and 1 are."""
    before = found.home.give([0, 1, 2, 1], version=2)
    found.completing.on_placement(before)


async def test_a_gained_partition_is_read_from_all_who_had_it_and_who_have_it(
    start, node_id, autojump_clock
):
    found = start([1, 2, 1, 2])
    found.peers.answers[node_id(1)] = [
        Page([(b"a", found.home.record(1))], b"a", []),
        Page([(b"b", found.home.record(2))], None, []),
    ]
    found.peers.answers[node_id(2)] = [Page([(b"b", found.home.record(3))], None, [])]
    gain(found)
    assert not found.completeness.is_complete(0)
    await wait_complete(found, 0)
    asked = [(node, m.start) for node, m in found.peers.asked if m.partition == 0]
    assert asked == [(node_id(1), b""), (node_id(1), b"a"), (node_id(2), b"")]
    assert {(m.walk, m.limit, m.bare) for _, m in found.peers.asked if m.partition == 0} == {
        (found.home.view.placement.walk(0), PAGE_ROWS, False)
    }
    assert found.home.replica.get(0, b"a") == found.home.record(1)
    assert found.home.replica.get(0, b"b") is not None


async def test_a_partition_that_is_lost_is_not_held_any_more(start, autojump_clock):
    found = start([0, 1, 0, 1])
    found.completeness.begin(0, ())
    before = found.home.give([1, 2, 1, 2], version=2)
    found.completing.on_placement(before)
    assert not found.completeness.is_held(0)


async def test_a_primary_that_stays_one_keeps_its_right_to_vote(start, autojump_clock):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completing.on_placement(found.home.give([0, 2, 1, 3], version=2))
    assert found.completeness.is_complete(0)


@pytest.mark.parametrize("trouble", [GONE, OtherWalk([]), Damaged("a page that cannot be read")])
async def test_a_source_that_cannot_be_read_now_is_read_again(
    start, node_id, trouble, autojump_clock
):
    found = start([1, 2, 1, 2])
    found.peers.answers[node_id(1)] = [trouble, Page([(b"a", found.home.record(1))], None, [])]
    gain(found)
    began = trio.current_time()
    await wait_complete(found, 0)
    assert trio.current_time() - began == pytest.approx(RETRY_S, abs=0.05)
    assert found.home.replica.get(0, b"a") is not None


async def test_a_source_that_answers_something_else_is_no_bug_of_ours(
    start, node_id, autojump_clock
):
    found = start([1, 2, 1, 2])
    found.peers.answers[node_id(1)] = [Done(), Page([], None, [])]
    gain(found)
    await wait_complete(found, 0)


async def test_a_source_that_is_down_is_waited_for_and_not_asked(start, node_id, autojump_clock):
    found = start([1, 2, 1, 2])
    gain(found)
    found.home.see(2)
    await trio.sleep(10)
    assert node_id(2) not in {node for node, _ in found.peers.asked}
    assert found.completeness.sources(0) == (node_id(2),)
    found.home.see()
    found.completing.notify()
    await wait_complete(found, 0)


async def test_damage_takes_the_right_to_vote_until_the_other_primaries_were_read(
    start, node_id, autojump_clock
):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completing.on_damage(0)
    assert found.completeness.sources(0) == (node_id(1),)
    await wait_complete(found, 0)
    assert {node for node, _ in found.peers.asked} == {node_id(1)}


async def test_damage_in_a_copy_that_is_being_completed_does_not_start_it_over(
    start, node_id, autojump_clock
):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, [node_id(3)])
    found.completing.on_damage(0)
    assert found.completeness.sources(0) == (node_id(3),)


async def test_damage_counts_while_the_copies_are_in_doubt_too(start, node_id, autojump_clock):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completeness.doubt()
    found.completing.on_damage(0)
    assert found.completeness.sources(0) == (node_id(1),)


async def test_records_that_are_older_than_believed_are_all_completed_again(
    start, node_id, autojump_clock
):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completeness.begin(3, [node_id(2)])
    found.completing.begin_again()
    assert found.completeness.sources(0) == (node_id(1),)
    assert found.completeness.sources(3) == (node_id(2), node_id(3)), "and who was one before"
    assert not found.completeness.is_held(1)
    await wait_complete(found, 0)
    await wait_complete(found, 3)


async def test_at_the_start_what_is_not_known_to_be_complete_is_completed(start, autojump_clock):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completing.begin_what_is_missing()
    assert found.completeness.is_complete(0)
    assert found.completeness.incomplete() == [3]
    await wait_complete(found, 3)
    assert not found.completeness.is_held(1)
