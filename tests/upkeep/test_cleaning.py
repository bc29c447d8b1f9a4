"""Copies that are not needed here any more go: once all primaries have what is in them."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
import trio.testing

from dynamo_py.errors import Damaged, NodeUnavailable
from dynamo_py.replica.trees import Trees
from dynamo_py.storage.engine import Scanned, Space
from dynamo_py.testing.replica_pair import Unthrottled, key_of
from dynamo_py.upkeep import cleaning
from dynamo_py.upkeep.building import Building
from dynamo_py.upkeep.cleaning import RETRY_S, ROWS_AT_ONCE, Cleaning
from dynamo_py.upkeep.compared import Compared

GONE = NodeUnavailable("no connection", outcome="not_applied")
P = 0
"""Of nodes 1 and 2, with the owners below."""


class Primaries:
    """Exchanges that a test watches, and lets fail; a real tree."""

    def __init__(self, building) -> None:
        self.building = building
        self.done: list[tuple[int, bytes]] = []
        self.failed: dict[bytes, int] = {}
        self.troubles: dict[bytes, NodeUnavailable] = {}
        self.forgotten: list[int] = []
        self.meanwhile: Any = lambda node: None

    async def exchange(self, partition, peer, *, is_fetching):
        assert not is_fetching, "what is about to be removed needs nothing"
        await trio.lowlevel.checkpoint()
        self.meanwhile(peer)
        if peer in self.troubles:
            raise self.troubles[peer]
        self.done.append((partition, peer))
        return Compared(partition, peer, 0.0, failed=self.failed.get(peer, 0))

    def forget(self, partition):
        self.forgotten.append(partition)
        self.building.trees.drop(partition)


class Slices(Unthrottled):
    """A throttle that does something between slices."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile = lambda: None

    async def slice(self) -> None:
        await super().slice()
        self.meanwhile()


class Holder:
    """Node 0, which holds rows of partition 0, and is no primary of it."""

    def __init__(self, home, nursery) -> None:
        self.home, self._nursery = home, nursery
        self.trees = Trees(home.committer, on_damage=home.damaged.append)
        home.replica._on_change = self.trees.note
        self.throttle = Slices()
        building = Building(self.trees, Unthrottled())
        nursery.start_soon(building.run)
        self.primaries = Primaries(building)
        self.offered: set[int] = set()
        self.is_early = False
        self.cleaning = Cleaning(
            home.replica,
            cast(Any, self.primaries),
            self.throttle,
            lambda: home.view,
            is_offered=self.offered.__contains__,
            is_early=lambda: self.is_early,
        )

    def fill(self, count, *, partition=P, number=0) -> None:
        for each in range(count):
            self.home.replica.merge(
                partition,
                key_of(each),
                self.home.record(number),
                hinted_for=None,
                on_commit=lambda error: None,
            )

    def held(self, partition=P) -> int:
        page = self.home.replica.scan(partition, b"", 10_000)
        return len(page.rows) + len(page.damaged_keys)

    async def run(self) -> None:
        self._nursery.start_soon(self.cleaning.run)
        await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
async def holder(make_home, nursery, autojump_clock) -> Holder:
    made = Holder(make_home([1, 2, 1, 2]), nursery)
    made.fill(3)
    return made


async def test_a_copy_goes_when_every_primary_was_given_what_it_lacks(
    holder, node_id, autojump_clock
):
    holder.fill(2 * ROWS_AT_ONCE + 5)
    held = []
    holder.primaries.meanwhile = lambda node: held.append(holder.held())
    await holder.run()
    assert holder.primaries.done == [(P, node_id(1)), (P, node_id(2))]
    assert held == [2 * ROWS_AT_ONCE + 5] * 2, "nothing goes before"
    assert holder.held() == 0
    assert holder.primaries.forgotten == [P]
    assert holder.cleaning.statistics() == {"dropped": 2 * ROWS_AT_ONCE + 5, "left": 0}


async def test_a_primarys_copy_stays(holder, autojump_clock):
    holder.home.give([0, 1, 2, 1], version=2)
    await holder.run()
    assert (holder.held(), holder.primaries.done) == (3, [])


async def test_just_after_a_start_nothing_goes_that_may_be_offered_again(holder, autojump_clock):
    holder.is_early = True
    await holder.run()
    assert (holder.held(), holder.cleaning.left) == (3, 1), "whoever waits for it is told"
    holder.is_early = False
    await trio.sleep(2 * RETRY_S)
    assert (holder.held(), holder.cleaning.left) == (0, 0)


async def test_a_partition_that_is_offered_stays_until_it_is_not(holder, autojump_clock):
    holder.offered.add(P)
    await holder.run()
    assert (holder.held(), holder.primaries.done) == (3, [])
    holder.offered.clear()
    holder.cleaning.notify()
    await trio.testing.wait_all_tasks_blocked()
    assert holder.held() == 0


async def test_a_primary_that_is_down_is_waited_for(holder, node_id, autojump_clock):
    holder.home.see(2)
    await holder.run()
    await trio.sleep(10 * RETRY_S)
    assert holder.held() == 3
    assert holder.cleaning.left == 1
    holder.home.see()
    await trio.sleep(1.5 * RETRY_S)
    assert (holder.held(), holder.cleaning.left) == (0, 0)
    assert holder.primaries.done[-1] == (P, node_id(2))


async def test_a_primary_that_does_not_answer_or_take_all_is_tried_again(
    holder, node_id, autojump_clock
):
    holder.primaries.troubles[node_id(2)] = GONE
    await holder.run()
    await trio.sleep(10 * RETRY_S)
    assert holder.held() == 3
    holder.primaries.troubles.clear()
    holder.primaries.failed[node_id(1)] = 1
    await trio.sleep(10 * RETRY_S)
    assert holder.held() == 3
    holder.primaries.failed.clear()
    await trio.sleep(1.5 * RETRY_S)
    assert holder.held() == 0


async def test_what_comes_after_it_was_compared_is_not_removed(holder, node_id, autojump_clock):
    def write(node) -> None:
        if node == node_id(2):
            holder.primaries.meanwhile = lambda node: None
            holder.fill(1, number=7)

    holder.primaries.meanwhile = write
    await holder.run()
    assert holder.held() == 3
    assert holder.cleaning.left == 1
    await trio.sleep(1.5 * RETRY_S)
    assert holder.held() == 0
    assert len(holder.primaries.done) == 4, "it was compared again first"


async def test_what_comes_between_two_slices_is_not_removed(holder, autojump_clock):
    holder.fill(2 * ROWS_AT_ONCE)

    def write() -> None:
        if holder.primaries.done and holder.held() == ROWS_AT_ONCE:
            holder.throttle.meanwhile = lambda: None
            holder.fill(2 * ROWS_AT_ONCE, number=7)

    holder.throttle.meanwhile = write
    await holder.run()
    assert holder.held() == 2 * ROWS_AT_ONCE
    await trio.sleep(1.5 * RETRY_S)
    assert holder.held() == 0


@pytest.mark.parametrize("change", ["ring", "offer", "primary"])
async def test_it_stops_when_the_ring_changes_or_the_partition_is_offered(
    holder, change, autojump_clock
):
    holder.fill(3 * ROWS_AT_ONCE)

    def happen() -> None:
        if not holder.primaries.done or holder.held() != 2 * ROWS_AT_ONCE:
            return
        holder.throttle.meanwhile = lambda: None
        if change == "offer":
            holder.offered.add(P)
        else:
            owners = [1, 3, 1, 2] if change == "ring" else [0, 1, 1, 2]
            holder.home.give(owners, version=2)

    holder.throttle.meanwhile = happen
    await holder.run()
    assert holder.held() == 2 * ROWS_AT_ONCE
    assert holder.cleaning.left == 1


async def test_what_is_damaged_is_removed_too(holder, autojump_clock):
    engine = holder.home.committer.engine
    await holder.home.committer.drain()
    holder.home.committer.engine = Rotten(engine, key_of(1))
    holder.home.committer._cache = type(holder.home.committer._cache)()
    holder.trees.drop(P)
    await holder.run()
    await trio.sleep(10 * RETRY_S)
    assert engine.scan(Space.RECORDS, P, b"", 10).rows == ()
    assert holder.cleaning.dropped == 2


class Rotten:
    """An engine one record of which fails its checksum."""

    def __init__(self, engine, key) -> None:
        self._engine, self._key = engine, key

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def get(self, space, partition, key):
        if key == self._key:
            raise Damaged("a row fails its checksum")
        return self._engine.get(space, partition, key)

    def scan(self, space, partition, start, limit):
        page = self._engine.scan(space, partition, start, limit)
        rows = tuple(row for row in page.rows if row[0] != self._key)
        damaged = tuple(key for key, _ in page.rows if key == self._key)
        return Scanned(rows, damaged, page.next_start)


async def test_partitions_are_looked_at_in_slices(holder, monkeypatch, autojump_clock):
    monkeypatch.setattr(cleaning, "LOOKS_AT_ONCE", 1)
    holder.fill(1, partition=2)
    before = holder.throttle.slices
    assert await holder.cleaning._foreign() == [0, 2]
    assert holder.throttle.slices - before == 4
