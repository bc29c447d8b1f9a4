"""Who compares with whom, and when: each pair once, soon where something is to be mended."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.errors import NodeUnavailable
from dynamo_py.upkeep.compared import Compared, Glance
from dynamo_py.upkeep.exchanging import (
    AGAIN_FILLING_S,
    AGAIN_FIRST_S,
    EXCHANGES_MAX,
    SETTLE_S,
    Exchanging,
)

INTERVAL_S = 10.0


class ScriptedExchanges:
    """All copies are equal, but for those in ``differing``: pairs of partition and node."""

    def __init__(self) -> None:
        self.differing: dict[tuple[int, bytes], list[Compared]] = {}
        self.filling: set[int] = set()
        self.is_lost = False
        self.glances: list[tuple[float, bytes, list[int]]] = []
        self.exchanged: list[tuple[float, int, bytes]] = []
        self.exchange_s = 0.0
        self.at_once = 0
        self.at_once_max = 0

    async def glance(self, node, partitions):
        self.glances.append((trio.current_time(), node, list(partitions)))
        await trio.lowlevel.checkpoint()
        if self.is_lost:
            raise NodeUnavailable("gone")
        filling = [p for p in partitions if p in self.filling]
        differing = [p for p in partitions if (p, node) in self.differing and p not in filling]
        equal = [p for p in partitions if p not in differing and p not in filling]
        return Glance(equal, differing, filling)

    async def exchange(self, partition, node):
        self.exchanged.append((trio.current_time(), partition, node))
        self.at_once += 1
        self.at_once_max = max(self.at_once, self.at_once_max)
        await trio.sleep(self.exchange_s)
        self.at_once -= 1
        found = self.differing[partition, node]
        compared = found.pop(0)
        if not found:
            del self.differing[partition, node]
        return compared

    def statistics(self):
        return dict.fromkeys(("exchanges", "fetched", "pushed", "failed", "bytes", "clashes"), 0)

    def times(self, node) -> list[float]:
        return [at for at, whom, _ in self.glances if whom == node]


def differences(partition, node, count, *, overdue=None) -> Compared:
    return Compared(
        partition, node, 0.0, differences=count, overdue=count if overdue is None else overdue
    )


@pytest.fixture
def start(make_home, nursery, autojump_clock):
    """Starts the loop on node 0, given who owns the four tokens."""

    def begin(owners, *, me=None) -> Any:
        home = make_home(owners)
        if me is not None:
            home.view = replace(home.view, me=me)
        exchanges = ScriptedExchanges()
        mine: set[int] = set()
        exchanging = Exchanging(
            cast(Any, exchanges),
            lambda: home.view,
            interval_s=INTERVAL_S,
            is_filling=mine.__contains__,
        )
        nursery.start_soon(exchanging.run)
        return SimpleNamespace(home=home, exchanges=exchanges, exchanging=exchanging, mine=mine)

    return begin


def state_of(found, partition, node):
    return {(p, n): state for p, n, state in found.exchanging.pairs()}[partition, node]


async def test_each_pair_is_compared_by_the_lower_of_the_two(start, node_id, autojump_clock):
    found = start([0, 1, 2, 3])  # Two replicas: partition 0 is on nodes 0 and 1, 3 on 3 and 0.
    await trio.sleep(1)
    assert [(node, ps) for _, node, ps in found.exchanges.glances] == [
        (node_id(1), [0]),
        (node_id(3), [3]),
    ] or [(node, ps) for _, node, ps in found.exchanges.glances] == [
        (node_id(3), [3]),
        (node_id(1), [0]),
    ]
    assert found.exchanging.statistics() == {"pairs": 2, "in_sync": 2}
    found.exchanging._check()


async def test_the_higher_of_the_two_leaves_it_to_the_lower(start, node_id, autojump_clock):
    found = start([0, 1, 2, 3], me=node_id(1))  # It shares 0 with node 0, 1 with node 2.
    await trio.sleep(1)
    assert [(node, ps) for _, node, ps in found.exchanges.glances] == [(node_id(2), [1])]
    found.exchanging._check()


async def test_what_is_equal_is_compared_again_at_the_interval(start, node_id, autojump_clock):
    found = start([0, 1, 0, 1])
    await trio.sleep(3.5 * INTERVAL_S)
    times = found.exchanges.times(node_id(1))
    assert times == pytest.approx([0, INTERVAL_S, 2 * INTERVAL_S, 3 * INTERVAL_S], abs=0.1)


async def test_differences_are_looked_for_again_soon_until_there_are_none(
    start, node_id, autojump_clock
):
    found = start([0, 1, 0, 1])
    one = node_id(1)
    found.exchanges.differing[2, one] = [differences(2, one, 5), differences(2, one, 1)]
    await trio.sleep(0.1)
    assert state_of(found, 2, one).problem == "5 keys differed"
    assert state_of(found, 1, one).problem == ""
    await trio.sleep(INTERVAL_S / 2)
    first, second = AGAIN_FIRST_S, 2 * AGAIN_FIRST_S
    times = found.exchanges.times(one)
    assert times == pytest.approx([0, first, first + second], abs=0.1)
    assert state_of(found, 2, one).problem == ""


async def test_differences_that_never_end_do_not_take_all_the_time(start, node_id, autojump_clock):
    found = start([0, 1, 0, 1])
    one = node_id(1)
    found.exchanges.differing[2, one] = [differences(2, one, 1)] * 100
    await trio.sleep(200)
    assert 20 < len(found.exchanges.exchanged) < 30


async def test_writes_under_way_count_as_in_sync(start, node_id, autojump_clock):
    found = start([0, 1, 0, 1])
    one = node_id(1)
    found.exchanges.differing[2, one] = [differences(2, one, 5, overdue=0)]
    await trio.sleep(0.1)
    assert state_of(found, 2, one).problem == ""
    assert state_of(found, 2, one).differences == 5


async def test_a_node_that_does_not_answer_is_asked_again_and_nothing_is_in_sync(
    start, node_id, autojump_clock
):
    found = start([0, 1, 0, 1])
    found.exchanges.is_lost = True
    await trio.sleep(0.1)
    assert state_of(found, 2, node_id(1)).problem == "gone"
    found.exchanges.is_lost = False
    await trio.sleep(AGAIN_FIRST_S)
    assert state_of(found, 2, node_id(1)).problem == ""


async def test_a_node_that_is_up_again_is_compared_with_at_once(start, node_id, autojump_clock):
    found = start([0, 1, 0, 1])
    await trio.sleep(1)
    found.home.see(1)
    found.exchanging.on_view(found.home.view)
    await trio.sleep(3 * INTERVAL_S)
    assert len(found.exchanges.glances) == 1
    found.home.see()
    found.exchanging.on_view(found.home.view)
    await trio.sleep(0.1)
    assert len(found.exchanges.glances) == 2


async def test_a_change_of_the_table_forgets_pairs_that_are_no_more_and_compares_new_ones(
    start, node_id, autojump_clock
):
    found = start([0, 1, 2, 3])
    await trio.sleep(1)
    found.home.give([0, 2, 1, 3], version=2)
    found.exchanging.on_view(found.home.view)
    await trio.sleep(0.1)
    assert {(p, n) for p, n, _ in found.exchanging.pairs()} == {(0, node_id(2)), (3, node_id(3))}
    assert found.exchanges.times(node_id(2)) == [1.0], "it was never compared with before"
    assert len(found.exchanges.times(node_id(3))) == 1, "nothing is shared anew with it"


async def test_what_is_shared_anew_in_many_steps_is_compared_once_they_settle(
    start, node_id, autojump_clock
):
    found = start([1, 0, 2, 2])  # Partition 0 is shared with node 1, and so is 3 a little later.
    await trio.sleep(1)
    for version, owners in enumerate([[1, 0, 2, 1], [1, 0, 1, 1], [1, 0, 1, 0]], 2):
        found.home.give(owners, version=version)
        found.exchanging.on_view(found.home.view)
        await trio.sleep(SETTLE_S / 4)
    await trio.sleep(SETTLE_S)
    first, second = found.exchanges.times(node_id(1))
    assert (first, second) == (0.0, 1.0 + SETTLE_S), "counted from the first new one"


async def test_who_hurries_during_a_round_has_another_one_follow(start, node_id, autojump_clock):
    found = start([0, 1, 0, 1])
    one = node_id(1)
    found.exchanges.exchange_s = 2.0
    found.exchanges.differing[0, one] = [differences(0, one, 0)]
    await trio.sleep(1)
    found.exchanging.hurry()
    await trio.sleep(2)
    assert found.exchanges.times(one) == pytest.approx([0, 2], abs=0.1)


async def test_a_copy_that_is_being_completed_is_left_to_its_node(start, node_id, autojump_clock):
    found = start([0, 1, 0, 1])
    one = node_id(1)
    found.exchanges.filling = {1}
    found.exchanges.differing = {(p, one): [differences(p, one, 1)] for p in (1, 2)}
    found.mine.add(2)
    await trio.sleep(0.1)
    assert found.exchanges.exchanged == []
    assert {state_of(found, p, one).problem for p in (1, 2)} == {"a copy is being completed"}
    found.exchanges.filling = set()
    found.mine.clear()
    await trio.sleep(AGAIN_FIRST_S)
    assert sorted(p for _, p, _ in found.exchanges.exchanged) == [1, 2]


async def test_a_copy_that_was_completed_is_soon_found_to_be_however_long_that_took(
    start, node_id, autojump_clock
):
    found = start([0, 1, 0, 1])
    found.exchanges.filling = {1}
    await trio.sleep(8 * INTERVAL_S)
    found.exchanges.filling = set()
    await trio.sleep(AGAIN_FILLING_S)
    assert state_of(found, 1, node_id(1)).problem == ""


async def test_only_a_few_exchanges_are_under_way_at_once(start, node_id, autojump_clock):
    found = start([0, 1, 0, 2])
    found.exchanges.exchange_s = 1.0
    found.exchanges.differing = {
        (p, node_id(k)): [differences(p, node_id(k), 0)] for p in range(4) for k in (1, 2)
    }
    await trio.sleep(20)
    assert len(found.exchanges.exchanged) == 4
    assert found.exchanges.at_once_max == EXCHANGES_MAX
