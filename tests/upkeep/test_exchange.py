"""Exchanges: copies become equal whatever happened, for bytes that grow with the difference."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py.causality import (
    NOTHING_SEEN,
)
from dynamo_py.testing.replica_pair import NODES, PARTITION, ReplicaPair, key_of, play
from dynamo_py.upkeep.compared import Glance
from dynamo_py.upkeep.exchange import SETTLE_S
from dynamo_py.wire.messages import GetPage, ReplicaPut
from dynamo_py.wire.sync_messages import GetLeaves, GetRecords, GetRoots, GetTree

# --- equal afterwards ---------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "blind", "delete", "again", "send"]),
        st.integers(0, 1),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=25,
)


def take(pair: ReplicaPair, step: tuple[str, int, int, int]) -> None:
    """One thing that may happen to one key on one side: all that clients and coordinators do."""
    kind, at, number, which = step
    side, other, key = pair.sides[at], pair.sides[1 - at], key_of(number)
    copy = side.copy(key)
    context = NOTHING_SEEN if copy is None or kind == "blind" else copy.context()
    if kind == "send":
        held = side.replica.get(PARTITION, key)
        if held is not None:
            other.merge(key, held)
    elif kind == "again":
        side.write(key, b"again", b"%016d" % (number * 10 + which), retried=True)
    else:
        value = None if kind == "delete" else b"%d" % which
        write_id = b"%s%015d" % (kind[:1].encode(), number * 10 + which)
        side.write(key, value, write_id, context=context)


@given(steps)
@settings(max_examples=80, deadline=None)
def test_any_two_states_are_equal_after_an_exchange_from_each_side(history):
    async def test(pair):
        for step in history:
            take(pair, step)
        await pair.exchange(0)
        await pair.exchange(1)
        assert pair.sides[0].rows() == pair.sides[1].rows()
        found = await pair.exchange()
        assert (found.differences, found.is_in_sync) == (0, True)

    play(test)


@given(steps, steps)
@settings(max_examples=40, deadline=None)
def test_states_that_change_during_an_exchange_are_equal_after_the_next_ones(history, during):
    async def test(pair):
        for step in history:
            take(pair, step)
        pending = list(during)

        def meanwhile(message):
            if pending:
                take(pair, pending.pop())

        pair.meanwhile = meanwhile
        await pair.exchange(0)
        await pair.exchange(1)
        pair.meanwhile = lambda message: None
        await pair.exchange(0)
        await pair.exchange(1)
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)


@given(st.integers(0, 2**32), st.integers(0, 700), st.integers(0, 700))
@settings(max_examples=6, deadline=None)
def test_copies_of_many_keys_become_the_union_of_both(seed, mine, theirs):
    """Over several ranges of keys, each of several pages, with known digests cut off between."""

    async def test(pair):
        generator = random.Random(seed)
        for at, count in enumerate((mine, theirs)):
            for number in generator.sample(range(2000), count):
                take(pair, ("write", at, number, 0))
        names = {*pair.sides[0].rows(), *pair.sides[1].rows()}
        await pair.exchange()
        assert pair.sides[0].rows() == pair.sides[1].rows()
        assert set(pair.sides[0].rows()) == names

    play(test)


@pytest.mark.parametrize("known_max", [1, 7, 100])
@pytest.mark.parametrize("rows_max", [1, 5, 100])
def test_a_range_that_ends_anywhere_loses_no_key(monkeypatch, known_max, rows_max):
    monkeypatch.setattr("dynamo_py.upkeep.exchange.KNOWN_MAX", known_max)
    monkeypatch.setattr("dynamo_py.upkeep.listing.ROWS_MAX", rows_max)
    monkeypatch.setattr("dynamo_py.upkeep.listing.PAGE_ROWS", 3)
    monkeypatch.setattr("dynamo_py.upkeep.listing.PAGES_MAX", 2)

    async def test(pair):
        pair.both_write(60)
        for number in range(0, 90, 2):
            take(pair, ("write", 0, number, 1))
        for number in range(1, 120, 3):
            take(pair, ("write", 1, number, 2))
        found = await pair.exchange()
        assert pair.sides[0].rows() == pair.sides[1].rows()
        mine, theirs = set(range(0, 90, 2)), set(range(1, 120, 3))
        assert (found.pushed, found.fetched) == (len(mine), len(theirs))
        assert found.differences == len(mine | theirs)

    play(test)


# --- no more than is needed ---------------------------------------------------------------------


def test_equal_copies_cost_one_question_and_less_than_200_bytes():
    async def test(pair):
        pair.both_write(500)
        await pair.exchange()
        pair.asked.clear()
        found = await pair.exchange()
        assert [type(message) for message in pair.asked] == [GetRoots]
        assert found.bytes < 200
        assert found.is_in_sync

    play(test)


def test_one_difference_among_many_keys_costs_some_kilobytes():
    async def test(pair):
        pair.both_write(15_625, bytes_each=100)
        await pair.exchange()
        take(pair, ("write", 0, 77, 1))
        found = await pair.exchange()
        assert (found.differences, found.pushed, found.fetched) == (1, 1, 0)
        assert found.bytes < 2000
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)


def test_bytes_grow_with_the_difference_and_not_with_the_data():
    async def test(pair):
        pair.both_write(4000)
        await pair.exchange()
        costs = []
        for count in (1, 10, 100):
            for number in range(count):
                take(pair, ("write", 1, number, 1))
            costs.append((await pair.exchange()).bytes / count)
        assert costs[0] > costs[1] > costs[2]
        assert costs[2] < 400

    play(test)


@pytest.mark.parametrize(
    ("newer", "asked"), [(0, ReplicaPut), (1, GetRecords)], ids=["mine", "theirs"]
)
def test_a_record_goes_only_to_who_is_behind(newer, asked):
    async def test(pair):
        pair.both_write(3)
        take(pair, ("write", newer, 1, 1))
        await pair.exchange()
        kinds = {type(message) for message in pair.asked} & {ReplicaPut, GetRecords}
        assert kinds == {asked}
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)


@pytest.mark.parametrize("count", [1, 300])
def test_where_nothing_is_to_be_fetched_the_other_gets_all_and_gives_nothing(count):
    """For a copy that is about to be removed: many of them lack much that is written since."""

    async def test(pair):
        pair.both_write(5)
        take(pair, ("blind", 0, 1, 1))
        take(pair, ("blind", 1, 1, 2))
        take(pair, ("write", 0, 2, 1))
        for number in range(10, 10 + count):
            take(pair, ("write", 1, number, 1))
        before = pair.sides[0].rows()
        peer = NODES[1]
        found = await pair.sides[0].exchanges.exchange(PARTITION, peer, is_fetching=False)
        assert pair.sides[0].rows() == before
        assert (found.fetched, found.pushed) == (0, 2)
        assert not any(isinstance(message, GetRecords | GetPage) for message in pair.asked)
        copy = pair.sides[1].copy(key_of(1))
        assert {s.value for s in copy.siblings} >= {b"1", b"2"}
        assert pair.sides[1].rows()[key_of(2)] == before[key_of(2)]

    play(test)


def test_a_copy_without_anything_has_nothing_to_give():
    async def test(pair):
        for number in range(1500):
            take(pair, ("write", 1, number, 1))
        peer = NODES[1]
        await pair.sides[0].exchanges.exchange(PARTITION, peer, is_fetching=False)
        assert pair.sides[0].rows() == {}
        assert {type(message) for message in pair.asked} == {GetRoots, GetTree}

    play(test)


def test_concurrent_records_go_both_ways_and_are_counted_once():
    async def test(pair):
        take(pair, ("blind", 0, 1, 1))
        take(pair, ("blind", 1, 1, 2))
        found = await pair.exchange()
        assert (found.differences, found.fetched, found.pushed) == (1, 1, 1)
        copy = pair.sides[1].copy(key_of(1))
        assert {s.value for s in copy.siblings} == {b"1", b"2"}

    play(test)


def test_a_key_that_goes_both_ways_is_overdue_once():
    async def test(pair):
        take(pair, ("blind", 0, 1, 1))
        take(pair, ("blind", 1, 1, 2))
        await trio.sleep(6)
        assert (await pair.exchange()).overdue == 1

    play(test)


def test_records_that_do_not_fit_into_one_answer_are_asked_for_again():
    async def test(pair):
        pair.both_write(5)
        for number in range(4):
            pair.sides[1].write(key_of(number), bytes(200_000), b"%016d" % (90 + number))
        assert (await pair.exchange()).fetched == 4
        assert sum(isinstance(message, GetRecords) for message in pair.asked) == 2
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)


def test_an_exchange_is_over_when_all_that_came_is_committed():
    async def test(pair):
        pair.both_write(5)
        await pair.exchange()
        take(pair, ("write", 1, 1, 1))
        await pair.sides[1].committer.drain()
        committer = pair.sides[0].committer
        offload, is_released = committer._offload, trio.Event()

        async def held(work):
            await is_released.wait()
            return await offload(work)

        committer._offload = held
        ended = []

        async def begin() -> None:
            ended.append(await pair.exchange())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)
            await trio.sleep(5)
            assert ended == []
            is_released.set()
        assert ended[0].fetched == 1

    play(test)


@pytest.mark.parametrize("count", [200, 3000])
def test_where_there_is_nothing_here_whole_pages_are_read_and_no_leaves_compared(count):
    async def test(pair):
        for number in range(count):
            take(pair, ("write", 1, number, 1))
        found = await pair.exchange()
        assert {type(message) for message in pair.asked} == {GetRoots, GetTree, GetPage}
        assert {m.level for m in pair.asked if isinstance(m, GetTree)} == {0}
        assert found.fetched == count
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)


def test_what_an_exchange_sends_is_counted_before_it_is_over():
    """A node that is killed meanwhile has told how much that was."""

    async def test(pair):
        for number in range(1000):
            take(pair, ("write", 1, number, 1))
        exchanges = pair.sides[0].exchanges
        seen = []
        pair.meanwhile = lambda message: seen.append(exchanges.statistics()["bytes"])
        found = await pair.exchange()
        assert 0 < seen[0] < seen[len(seen) // 2] < seen[-1] < found.bytes
        assert exchanges.statistics()["bytes"] == found.bytes

    play(test)


def test_a_write_under_way_is_no_difference_once_it_has_arrived():
    async def test(pair):
        pair.both_write(50)
        await pair.exchange()
        written = pair.sides[0].write(key_of(1), b"new", b"n" * 16)

        async def arrive() -> None:
            await trio.sleep(SETTLE_S / 2)
            pair.sides[1].merge(key_of(1), written.encoded)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(arrive)
            found = await pair.exchange()
        assert (found.differences, found.pushed) == (0, 0)
        assert GetTree in {type(message) for message in pair.asked}
        assert GetLeaves not in {type(m) for m in pair.asked[-3:]}

    play(test)


def test_who_fetches_nothing_waits_for_no_write_under_way():
    """Such a copy is to be removed: what is written meanwhile does not reach it any more."""

    async def test(pair):
        pair.both_write(50)
        await pair.exchange()
        take(pair, ("write", 1, 1, 1))
        before_s = trio.current_time()
        await pair.sides[0].exchanges.exchange(PARTITION, NODES[1], is_fetching=False)
        assert trio.current_time() - before_s < SETTLE_S

    play(test)


def test_a_difference_in_a_record_of_just_now_is_mended_and_does_not_count_as_overdue():
    async def test(pair):
        await trio.sleep(100)
        take(pair, ("write", 0, 1, 1))
        found = await pair.exchange()
        assert (found.differences, found.overdue, found.is_in_sync) == (1, 0, True)
        take(pair, ("write", 1, 2, 1))
        await trio.sleep(6)
        found = await pair.exchange()
        assert (found.differences, found.overdue, found.is_in_sync) == (1, 1, False)

    play(test)


def test_the_equal_ones_of_many_partitions_are_told_in_one_question():
    async def test(pair):
        mine = pair.sides[0]
        assert (await mine.exchanges.glance(NODES[1], [0, 1])).equal == [0, 1]
        pair.asked.clear()
        await mine.exchanges.glance(NODES[1], [0, 1])
        assert len(pair.asked) == 1
        take(pair, ("write", 0, 1, 1))
        assert await mine.exchanges.glance(NODES[1], [0, 1]) == Glance([1], [0])

    play(test)


def test_an_exchange_that_writes_wait_for_asks_neither_sides_throttle_for_a_slice():
    async def test(pair):
        pair.both_write(20)
        for number in range(10):
            take(pair, ("write", 0, number, 1))
            take(pair, ("write", 1, number + 10, 2))
        for side in pair.sides:
            await side.building.wait_built(PARTITION)
            side.throttle.slice = trio.sleep_forever
        with trio.fail_after(60):
            found = await pair.exchange(is_patient=False)
        assert found.differences == 20
        assert pair.sides[0].rows() == pair.sides[1].rows()

    play(test)
