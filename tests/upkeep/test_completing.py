"""Earning the right to vote: everything from every source, committed, before it is believed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.errors import Damaged, DynamoError, NodeUnavailable
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.compared import Glance
from dynamo_py.upkeep.completing import FILLS_MAX, RETRY_S, Completing

GONE = NodeUnavailable("no connection", outcome="not_applied")
WAIT_S = 30


class ScriptedExchanges:
    """Every glance finds a difference, unless it is said to be equal; then remembers."""

    def __init__(self) -> None:
        self.equal: set[tuple[int, bytes]] = set()
        self.troubles: dict[tuple[int, bytes], list[DynamoError]] = {}
        self.glances: list[tuple[bytes, list[int]]] = []
        self.exchanged: list[tuple[int, bytes]] = []
        self.distrusted: list[int] = []
        self.forgotten: list[int] = []
        self.at_once = 0
        self.at_once_max = 0
        self.meanwhile = lambda: None

    def forget(self, partition):
        self.forgotten.append(partition)

    def distrust(self, partition):
        self.distrusted.append(partition)

    def _trouble(self, place):
        if self.troubles.get(place):
            raise self.troubles[place].pop(0)

    async def glance(self, node, partitions):
        self.glances.append((node, list(partitions)))
        await trio.lowlevel.checkpoint()
        equal = [p for p in partitions if (p, node) in self.equal]
        return Glance(equal, [p for p in partitions if p not in equal])

    async def exchange(self, partition, node):
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await trio.lowlevel.checkpoint()
            self._trouble((partition, node))
            self.exchanged.append((partition, node))
            self.meanwhile()
        finally:
            self.at_once -= 1


@pytest.fixture
def start(make_home, nursery, autojump_clock):
    """Starts the loop on a node, given who owns the four tokens."""

    def begin(owners) -> Any:
        home = make_home(owners)
        completeness = Completeness(home.committer, 4)
        exchanges = ScriptedExchanges()
        taken: set[tuple[int, int]] = set()
        completing = Completing(
            completeness,
            cast(Any, exchanges),
            lambda: home.view,
            is_taken=lambda partition, walk: (partition, walk) in taken,
        )
        nursery.start_soon(completing.run)
        return SimpleNamespace(
            home=home,
            completeness=completeness,
            exchanges=exchanges,
            completing=completing,
            taken=taken,
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


async def test_a_gained_partition_is_exchanged_with_all_who_had_it_and_who_have_it(
    start, node_id, autojump_clock
):
    found = start([1, 2, 1, 2])
    gain(found)
    assert not found.completeness.is_complete(0)
    assert found.completing.is_filling(0)
    await wait_complete(found, 0)
    asked = [node for partition, node in found.exchanges.exchanged if partition == 0]
    assert asked == [node_id(1), node_id(2)]
    assert not found.completing.is_filling(0)


async def test_copies_that_are_equal_at_a_glance_are_not_exchanged(start, node_id, autojump_clock):
    found = start([1, 2, 1, 2])
    found.exchanges.equal = {(0, node_id(1)), (0, node_id(2))}
    gain(found)
    await wait_complete(found, 0)
    assert 0 not in {partition for partition, _ in found.exchanges.exchanged}


async def test_a_few_partitions_are_completed_at_once(start, node_id, autojump_clock):
    found = start([1, 1, 1, 1])
    before = found.home.give([0, 1, 0, 1], version=2)
    found.completing.on_placement(before)
    for partition in range(4):
        await wait_complete(found, partition)
    assert 1 < found.exchanges.at_once_max <= FILLS_MAX


async def test_an_exchange_does_not_count_for_a_copy_that_began_anew_meanwhile(
    start, node_id, autojump_clock
):
    found = start([1, 2, 1, 2])

    def begin_anew() -> None:
        found.exchanges.meanwhile = lambda: None
        found.completeness.begin(0, [node_id(1), node_id(3)])

    found.exchanges.meanwhile = begin_anew
    gain(found)
    await wait_complete(found, 0)
    asked = [node for partition, node in found.exchanges.exchanged if partition == 0]
    assert asked == [node_id(1), node_id(1), node_id(3)]


async def test_a_partition_that_is_lost_is_not_held_any_more(start, autojump_clock):
    found = start([0, 1, 0, 1])
    found.completeness.begin(0, ())
    before = found.home.give([1, 2, 1, 2], version=2)
    found.completing.on_placement(before)
    assert not found.completeness.is_held(0)
    assert 0 in found.exchanges.forgotten


async def test_a_copy_that_was_handed_over_by_this_walk_begins_complete(start, autojump_clock):
    found = start([1, 2, 1, 2])
    before = found.home.give([0, 1, 2, 1], version=2)
    found.taken.add((0, found.home.view.placement.walk(0)))
    found.completing.on_placement(before)
    assert found.completeness.is_complete(0)
    assert not found.completeness.is_complete(3), "that is gained too, and was not shown"
    await wait_complete(found, 3)
    assert {partition for partition, _ in found.exchanges.exchanged} == {3}


async def test_a_copy_that_was_handed_over_by_another_walk_begins_without_a_vote(
    start, node_id, autojump_clock
):
    found = start([1, 2, 1, 2])
    found.taken.add((0, found.home.view.placement.walk(0)))
    found.taken.add((1, found.home.view.placement.walk(0)))
    before = found.home.give([0, 3, 2, 1], version=2)
    found.completing.on_placement(before)
    assert found.completeness.sources(0) == (node_id(1), node_id(2), node_id(3)), "old and new"


async def test_a_removed_member_is_no_source_and_an_unknown_one_is(start, node_id, autojump_clock):
    found = start([1, 2, 1, 2])
    before = found.home.give([0, 3, 2, 1], version=2)
    found.home.see(1, 2, 3, removed=1)
    found.completing.on_placement(before)
    assert found.completeness.sources(0) == (node_id(2), node_id(3))
    found = start([1, 2, 1, 2])
    before = found.home.give([0, 3, 2, 1], version=2)
    found.home.see(1, 2, unknown=3)
    found.completing.on_placement(before)
    assert found.completeness.sources(0) == (node_id(1), node_id(2), node_id(3))
    await trio.sleep(10)
    assert found.completeness.sources(0) == (node_id(1), node_id(2), node_id(3))


async def test_a_source_that_is_removed_is_done_without(start, node_id, autojump_clock):
    found = start([1, 2, 1, 2])
    found.home.see(2)
    gain(found)
    found.home.see(2)
    await trio.sleep(10)
    assert found.completeness.sources(0) == (node_id(2),), "it may come back"
    found.home.see(removed=2)
    found.completing.notify()
    await wait_complete(found, 0)
    assert node_id(2) not in {node for _, node in found.exchanges.exchanged}


async def test_a_tree_that_is_needed_for_a_hand_over_stays_when_other_tokens_move(
    start, autojump_clock
):
    found = start([1, 2, 1, 2])
    found.completing.on_placement(found.home.give([1, 2, 1, 3], version=2))
    assert found.exchanges.forgotten == []


async def test_a_primary_that_stays_one_keeps_its_right_to_vote(start, autojump_clock):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completing.on_placement(found.home.give([0, 2, 1, 3], version=2))
    assert found.completeness.is_complete(0)


async def test_who_becomes_a_primary_is_a_source_of_a_copy_that_is_just_being_completed(
    start, node_id, autojump_clock
):
    """By an old table node 1 was one; it may have nothing left of what it gave to node 2."""
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, [node_id(1)])
    found.completing.on_placement(found.home.give([0, 2, 1, 3], version=2))
    assert found.completeness.sources(0) == (node_id(1), node_id(2))
    await wait_complete(found, 0)
    assert {node for partition, node in found.exchanges.exchanged if partition == 0} == {
        node_id(1),
        node_id(2),
    }


@pytest.mark.parametrize("trouble", [GONE, Damaged("a page that cannot be read")])
async def test_a_source_that_cannot_be_compared_now_is_compared_again(
    start, node_id, trouble, autojump_clock
):
    found = start([1, 2, 1, 2])
    found.exchanges.troubles[0, node_id(1)] = [trouble]
    gain(found)
    began = trio.current_time()
    await wait_complete(found, 0)
    assert trio.current_time() - began == pytest.approx(RETRY_S, abs=0.05)


async def test_a_source_that_is_down_is_waited_for_and_not_asked(start, node_id, autojump_clock):
    found = start([1, 2, 1, 2])
    gain(found)
    found.home.see(2)
    await trio.sleep(10)
    assert node_id(2) not in {node for node, _ in found.exchanges.glances}
    assert found.completeness.sources(0) == (node_id(2),)
    found.home.see()
    found.completing.notify()
    await wait_complete(found, 0)


async def test_damage_takes_the_right_to_vote_until_it_has_what_the_others_have(
    start, node_id, autojump_clock
):
    found = start([0, 1, 2, 3])
    found.completeness.begin(0, ())
    found.completing.on_damage(0)
    assert found.exchanges.distrusted == [0]
    assert found.completeness.sources(0) == (node_id(1),)
    await wait_complete(found, 0)
    assert {node for _, node in found.exchanges.exchanged} == {node_id(1)}


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
