"""Listings of leaves: what the other does not know, of the keys that were looked at."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from dynamo_py.causality import decode_context, decode_record
from dynamo_py.errors import DynamoError, Overloaded
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.replica.hash_tree import digest_of, leaf_of
from dynamo_py.testing.replica_pair import Unthrottled
from dynamo_py.upkeep.listing import PAGE_ROWS, PAGES_MAX, WAITING_MAX, Listings
from dynamo_py.wire.messages import Message
from dynamo_py.wire.sync_messages import GetLeaves, Leaves

P = 0
ALL = list(range(1024))
KEYS = [b"b\0%03d" % number for number in range(100)]


@pytest.fixture
def home(make_home, autojump_clock) -> Any:
    home = make_home([0, 1, 2, 3])
    for key in KEYS:
        home.replica.merge(P, key, home.record(1), hinted_for=None, on_commit=lambda error: None)
    return home


@pytest.fixture
def listings(home, nursery) -> Listings:
    found = Listings(home.replica, Unthrottled())
    nursery.start_soon(found.run)
    return found


async def ask(listings: Listings, *, leaves=ALL, start=b"", end=None, known=()) -> Leaves:
    reply = AwaitedReply()
    listings.answer(GetLeaves(P, 0, list(leaves), start, end, list(known)), reply)
    answer = await reply.wait()
    assert isinstance(answer, Leaves)
    return answer


async def test_a_row_has_the_key_its_vector_and_its_digest(listings, home, autojump_clock):
    found = await ask(listings, start=KEYS[0], end=KEYS[1])
    (row,) = found.rows
    assert (row.key, row.digest) == (KEYS[1], digest_of(KEYS[1], home.record(1)))
    assert decode_context(row.context).vector == decode_record(home.record(1)).vector
    assert found.reached is None


async def test_only_the_leaves_asked_for_are_listed(listings, autojump_clock):
    leaves = sorted({leaf_of(key) for key in KEYS[:3]})
    found = await ask(listings, leaves=leaves)
    assert {row.key for row in found.rows} == {k for k in KEYS if leaf_of(k) in leaves}


async def test_what_is_known_is_left_out_and_what_is_not_here_is_named(
    listings, home, autojump_clock
):
    known = [digest_of(KEYS[5], home.record(1)), 4711, digest_of(KEYS[6], home.record(1)), 4712]
    found = await ask(listings, known=known)
    assert {row.key for row in found.rows} == set(KEYS) - {KEYS[5], KEYS[6]}
    assert found.unknown == [1, 3]


async def test_an_answer_is_bounded_in_rows_and_in_what_is_read(
    listings, home, monkeypatch, autojump_clock
):
    monkeypatch.setattr("dynamo_py.upkeep.listing.ROWS_MAX", 10)
    found = await ask(listings)
    assert ([row.key for row in found.rows], found.reached) == (KEYS[:10], KEYS[9])
    for number in range(PAGE_ROWS * PAGES_MAX):
        home.replica.merge(
            P, b"c\0%d" % number, home.record(1), hinted_for=None, on_commit=lambda error: None
        )
    found = await ask(listings, leaves=[])
    assert found.rows == []
    assert found.reached is not None


async def test_an_urgent_listing_waits_neither_for_the_others_nor_for_the_throttle(home, nursery):
    class Stopped:
        async def slice(self) -> None:
            await trio.sleep_forever()

    found = Listings(home.replica, Stopped())
    nursery.start_soon(found.run)
    replies: list[Message | DynamoError] = []
    found.answer(GetLeaves(P, 0, ALL, b"", None, []), replies.append)
    await trio.testing.wait_all_tasks_blocked()
    assert replies == []
    reply = AwaitedReply()
    found.answer(GetLeaves(P, 0, ALL, b"", None, [], urgent=True), reply)
    answer = await reply.wait()
    assert isinstance(answer, Leaves)
    assert [row.key for row in answer.rows] == KEYS
    assert replies == []


async def test_more_than_a_few_that_wait_are_refused(listings, autojump_clock):
    replies: list[Message | DynamoError] = []
    for _ in range(WAITING_MAX):
        listings.answer(GetLeaves(P, 0, ALL, b"", None, []), replies.append)
    with pytest.raises(Overloaded):
        listings.answer(GetLeaves(P, 0, ALL, b"", None, []), replies.append)
    await trio.testing.wait_all_tasks_blocked()
    assert len(replies) == WAITING_MAX
    assert listings.statistics() == {"waiting": 0}
