"""Pages of keys by quorum: no key between two pages is missed, no tombstone is shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.causality import Dot, Record, Sibling, encode_record, vector_of
from dynamo_py.cluster.buckets import NO_BUCKETS
from dynamo_py.config import CoordinatorConfig
from dynamo_py.coordinator.scan import LIMIT_MAX, Scanner
from dynamo_py.errors import InvalidRequest, NodeUnavailable, QuorumNotMet
from dynamo_py.wire.messages import ALL, GetPage, OtherWalk, Page, Quorum, Scan

DOT = Dot(1, 1, 1)
LIVE = encode_record(Record(vector_of([DOT]), (Sibling(DOT, b"", 0, bytes(16)),)))
HEDGE_S = CoordinatorConfig().hedge_s
REFUSED = NodeUnavailable("no connection", outcome="not_applied")


async def scan(world, *, partition=0, start=b"", limit=10, r=0, timeout_s=5.0):
    message = Scan(partition, b"", start, limit, Quorum(r), 0)
    return await world.coordinator.scan(message, deadline=trio.current_time() + timeout_s)


def rows(world, keys, *, next_start=None):
    return Page([(k, world.record(b"", i)) for i, k in enumerate(keys)], next_start, [])


async def test_the_keys_of_all_pages_come_once_and_in_order(world, autojump_clock):
    world[0].page = rows(world, [b"a", b"c"])
    world[1].page = rows(world, [b"a", b"b"])
    world[2].error = REFUSED
    page = await scan(world)
    assert (page.keys, page.next_start) == ([b"a", b"b", b"c"], None)


async def test_a_page_is_cut_at_the_first_end_so_that_no_key_between_is_missed(
    world, autojump_clock
):
    world[0].page = rows(world, [b"a", b"d"], next_start=b"d")
    world[1].page = rows(world, [b"a", b"b"], next_start=b"b")
    world[2].error = REFUSED
    page = await scan(world)
    assert (page.keys, page.next_start) == ([b"a", b"b"], b"b")


async def test_a_copy_that_may_not_vote_is_taken_in_and_does_not_count(world, autojump_clock):
    world[0].page = msgspec.structs.replace(rows(world, [b"a"]), complete=False)
    world[1].page = rows(world, [b"a", b"b"])
    world[2].page = rows(world, [b"c"])
    world[2].delay_s = 1.0
    assert (await scan(world)).keys == [b"a", b"b", b"c"]


async def test_copies_that_may_not_vote_are_better_than_no_answer(world, autojump_clock):
    world[0].page = world[1].page = msgspec.structs.replace(rows(world, [b"a"]), complete=False)
    world[2].error = REFUSED
    assert (await scan(world)).keys == [b"a"]


async def test_a_key_that_is_a_tombstone_after_merging_is_left_out(world, autojump_clock):
    dead = world.record(None, 1)
    world[0].page = Page([(b"a", dead)], None, [])
    world[1].page = Page([(b"a", dead), (b"b", world.record(b"", 2))], None, [])
    world[2].error = REFUSED
    assert (await scan(world)).keys == [b"b"]


async def test_a_scan_waits_for_r_primaries(world, autojump_clock):
    world[1].is_silent = True
    world[2].delay_s = 0.3
    await scan(world)
    assert world.peers.now_s == pytest.approx(HEDGE_S + 0.3)


async def test_no_more_copies_are_asked_than_are_needed(world, autojump_clock):
    world[0].page = world[1].page = rows(world, [b"a"])
    await scan(world)
    assert [asked.node for asked in world.peers.of(GetPage)] == [0, 1]


async def test_one_that_fails_is_followed_by_the_next_at_once(world, autojump_clock):
    world[0].page = world[2].page = rows(world, [b"a"])
    world[1].error = REFUSED
    assert (await scan(world)).keys == [b"a"]
    assert world.peers.now_s < HEDGE_S


async def test_a_page_is_bounded_whatever_is_asked_for(world, autojump_clock):
    world[0].page = world[1].page = rows(world, [b"a"])
    await scan(world, limit=1_000_000)
    assert {asked.message.limit for asked in world.peers.of(GetPage)} == {LIMIT_MAX}


async def test_too_few_primaries_are_told_with_their_facts(world, autojump_clock):
    world[1].error = world[2].error = REFUSED
    with pytest.raises(QuorumNotMet) as caught:
        await scan(world)
    assert (caught.value.required, caught.value.acked) == (2, ("n0",))


async def test_a_scan_that_nobody_answers_ends_with_the_deadline(world, autojump_clock):
    world[1].is_silent = world[2].is_silent = True
    with pytest.raises(QuorumNotMet):
        await scan(world, r=ALL, timeout_s=2)
    assert world.peers.now_s == pytest.approx(2.0, abs=0.01)


async def test_an_outdated_walk_is_planned_again(world, autojump_clock):
    world[0].other_walks = [OtherWalk([])]
    world[0].page = world[1].page = world[2].page = rows(world, [b"a"])
    assert (await scan(world)).keys == [b"a"]


async def test_a_partition_that_is_not_there_is_refused(world, autojump_clock):
    with pytest.raises(InvalidRequest):
        await scan(world, partition=16)
    assert world.peers.of(GetPage) == []


class TwoReplicas:
    """Answers at once, from two sets of keys, in pages of two sizes."""

    def __init__(self, held: list[set[bytes]], limits: list[int]) -> None:
        self.held = held
        self.limits = limits
        self.route = lambda partition: SimpleNamespace(primaries=(0, 1), nearest_first=(0, 1))
        self.placement = SimpleNamespace(walk=lambda partition: 1)
        self.ring = SimpleNamespace(partitions=1)
        self.buckets = NO_BUCKETS

    def ask(self, view, node, message, *, wait_s, on_reply):
        left = sorted(key for key in self.held[node] if key > message.start)
        cut = left[: self.limits[node]]
        next_start = cut[-1] if len(left) > len(cut) else None
        on_reply(Page([(key, LIVE) for key in cut], next_start, []))


@given(
    held=st.lists(
        st.sets(st.text("abc", min_size=1, max_size=3).map(str.encode)), min_size=2, max_size=2
    ),
    limits=st.lists(st.integers(1, 4), min_size=2, max_size=2),
)
def test_however_pages_are_cut_every_key_of_any_replica_comes_once(held, limits):
    replicas = cast(Any, TwoReplicas(held, limits))
    scanner = Scanner(replicas, monotonic=lambda: 0.0, wall_ms=lambda: 0, hedge_s=0.05)

    async def main() -> list[bytes]:
        found: list[bytes] = []
        start: bytes | None = b""
        while start is not None:
            message = Scan(0, b"", start, 10, Quorum(ALL), 0)
            page = await scanner.scan(replicas, message, deadline=1.0)
            found += page.keys
            start = page.next_start
        return found

    assert trio.run(main) == sorted(held[0] | held[1])
