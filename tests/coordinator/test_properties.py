"""What a bucket says is done where a request says nothing: quorums, expiry, the last write."""

from __future__ import annotations

import dataclasses

import pytest
import trio

from dynamo_py.causality import Dot, Record, Sibling, decode_record, encode_record, vector_of
from dynamo_py.cluster.buckets import BucketMap
from dynamo_py.errors import InvalidRequest, QuorumNotMet, WrongState
from dynamo_py.wire.buckets import BucketEntry, BucketProperties
from dynamo_py.wire.messages import ALL, Page, Put, Quorum, ReplicaGet, ReplicaPut, Scan, Stored

NOW_MS = 1_700_000_000_000
BUCKET = "b"


def say(world, **properties) -> None:
    """Give the key's bucket these properties."""
    entry = BucketEntry(BUCKET, 1, BucketProperties(**properties))
    world.view = dataclasses.replace(world.view, buckets=BucketMap([entry]))


def conflict(*siblings: tuple[bytes | None, int, int]) -> bytes:
    """A record with these siblings: value, timestamp, time of expiry."""
    made = tuple(
        Sibling(Dot(k + 1, 1, 1), value, stamp, bytes([k + 1]) * 16, expires_ms=expires)
        for k, (value, stamp, expires) in enumerate(siblings)
    )
    return encode_record(Record(vector_of([s.dot for s in made]), made))


@pytest.mark.parametrize(("said", "acked"), [({"w": 1}, 1), ({"w": ALL}, 3), ({"dw": 3}, 3)])
async def test_a_put_waits_for_as_many_as_its_bucket_says(world, autojump_clock, said, acked):
    say(world, **said)
    stored = await world.put()
    assert len(stored.acked) == acked


async def test_what_a_put_says_itself_counts_before_what_its_bucket_says(world, autojump_clock):
    say(world, w=ALL)
    assert len((await world.put(w=1)).acked) == 1


async def test_primaries_that_a_bucket_asks_for_are_waited_for(make_world, autojump_clock):
    world = make_world(downs=[1])
    world[1].is_silent = True
    say(world, pw=3)
    with pytest.raises(QuorumNotMet):
        await world.put(timeout_s=1.0)


async def test_a_get_asks_as_many_as_its_bucket_says(world, autojump_clock):
    say(world, r=1)
    assert (await world.get()).replied == ["n0"]
    say(world, r=3)
    assert len((await world.get()).replied) == 3
    assert len((await world.get(r=1)).replied) == 1


async def test_a_quorum_that_fewer_replicas_in_force_cannot_meet_is_refused(
    make_world, autojump_clock
):
    world = make_world(nodes=2)
    say(world, w=3)
    with pytest.raises(InvalidRequest, match="w=3"):
        await world.put()


async def test_another_bucket_is_left_alone(world, autojump_clock):
    entry = BucketEntry("bb", 1, BucketProperties(r=3, w=3))
    world.view = dataclasses.replace(world.view, buckets=BucketMap([entry]))
    world[2].delay_s = 3.0
    assert len((await world.put()).acked) == 2


async def test_values_expire_as_the_bucket_says_unless_the_put_says_it(world, key, autojump_clock):
    say(world, ttl_ms=5000)
    await world.put()
    (sibling,) = decode_record(world.replica.get(0, key)).siblings
    assert sibling.expires_ms == NOW_MS + 5000
    await world.put(write_id=b"2" * 16, ttl_ms=70)
    expiries = {s.expires_ms for s in decode_record(world.replica.get(0, key)).siblings}
    assert expiries == {NOW_MS + 5000, NOW_MS + 70}
    assert world[1].record is not None
    await world.put(None, write_id=b"3" * 16)
    (gone,) = [s for s in decode_record(world.replica.get(0, key)).siblings if s.value is None]
    assert gone.expires_ms == 0


async def test_what_is_forwarded_says_it_for_a_node_that_does_not_know_yet(
    make_world, autojump_clock
):
    outsider = make_world(me=4)
    say(outsider, w=3, ttl_ms=9)
    outsider.links.answers[0] = Stored(b"", ["n0"], [], False, 1, 1)
    await outsider.put()
    ((_, forwarded),) = outsider.links.asked
    assert isinstance(forwarded, Put)
    assert (forwarded.quorum, forwarded.ttl_ms) == (Quorum(3, 0, 0), 9)


# --- an expired value is its own tombstone --------------------------------------------------------


async def test_an_expired_value_is_absent(world, autojump_clock):
    for k in range(3):
        world[k].record = conflict((b"old", 1, NOW_MS))
    await world.put(if_absent=True)
    for k in range(3):
        world[k].record = conflict((b"still there", 1, NOW_MS + 1))
    with pytest.raises(WrongState):
        await world.put(write_id=b"2" * 16, if_absent=True)


async def test_read_repair_hands_an_expired_value_on_as_it_is(world, autojump_clock):
    expired = conflict((b"old", 1, NOW_MS - 1))
    world[0].record = expired
    fetched = await world.get(r=3)
    await world.settle()
    assert fetched.record == expired
    assert world[1].record == world[2].record == expired
    assert {a.message.record for a in world.peers.of(ReplicaPut)} == {expired}


# --- the last write wins --------------------------------------------------------------------------


async def test_where_the_last_write_wins_a_put_supersedes_what_its_coordinator_holds(
    world, key, autojump_clock
):
    say(world, resolver="last_write_wins")
    await world.put(b"one")
    stored = await world.put(b"two", write_id=b"2" * 16)
    assert stored.siblings == 1
    assert world.values_of(world.replica.get(0, key)) == [b"two"]


async def test_what_a_younger_delete_hides_is_absent_where_the_last_write_wins(
    world, autojump_clock
):
    for k in range(3):
        world[k].record = conflict((b"old", 1, 0), (None, 2, 0))
    with pytest.raises(WrongState):
        await world.put(if_absent=True)
    say(world, resolver="last_write_wins")
    await world.put(if_absent=True)
    assert world.peers.of(ReplicaGet)


async def test_a_scan_leaves_out_what_a_younger_delete_hides_where_the_last_write_wins(
    world, autojump_clock
):
    rows = [
        (b"b\0deleted", conflict((b"", 1, 0), (None, 2, 0))),
        (b"b\0there", conflict((None, 1, 0), (b"", 2, 0))),
        (b"b\0expired", conflict((b"", 1, NOW_MS))),
    ]
    for k in range(3):
        world[k].page = Page(rows, None, [])

    async def keys() -> list[bytes]:
        scan = Scan(0, b"b\0", b"", 10, Quorum(), 0)
        deadline = trio.current_time() + 5
        return (await world.coordinator.scan(scan, deadline=deadline)).keys

    assert await keys() == [b"b\0deleted", b"b\0there"]
    say(world, resolver="last_write_wins")
    assert await keys() == [b"b\0there"]
