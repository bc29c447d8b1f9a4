"""The agreed state: what is decided is on disk before it is known, and told after that."""

from __future__ import annotations

import msgspec
import pytest
import trio

from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.state import ClusterState, founding_table, load, save
from dynamo_py.errors import Damaged, DiskFull, StorageError
from dynamo_py.storage.engine import Space
from dynamo_py.wire.buckets import BucketEntry, BucketProperties
from dynamo_py.wire.messages import MemberEntry, TableEntry

Q = 4
A, B, C, D = (letter * 16 for letter in (b"a", b"b", b"c", b"d"))
FOUNDER = MemberEntry(A, 1, MEMBER, "n1", 1, "")
JOINER = MemberEntry(B, 1, MEMBER, "n2", 1, "")
ROW = (Space.META, 0, b"cluster")


@pytest.fixture
def state(store) -> ClusterState:
    told = founding_table(
        cluster="c", cluster_id=b"i" * 16, partitions=Q, replicas=3, founder=FOUNDER
    )
    return ClusterState(store, told)


async def test_what_was_saved_is_loaded(store, state):
    await save(store, state.message())
    assert load(store.restarted()) == state.message()


async def test_a_new_disk_has_no_state(store):
    assert load(store) is None


@pytest.mark.parametrize("row", [b"", b"\x02anything", b"\x01", b"\x01garbage"])
async def test_a_row_of_another_format_is_refused_and_left_as_it_is(store, row):
    store.visible[ROW] = row
    with pytest.raises(StorageError, match="cannot be read by this version"):
        load(store)
    assert store.visible[ROW] == row


async def test_a_damaged_row_is_an_error_and_not_a_new_disk(store):
    store.damaged.add(ROW)
    with pytest.raises(Damaged):
        load(store)


async def test_what_others_tell_is_known_at_once(store, state):
    store.is_held = True
    changes = []
    state.on_change = changes.append
    before = state.placement
    assert state.merge([TableEntry(0, 0, 2, B)], [JOINER])
    assert state.table.owners == (B, A, A, A)
    assert state.members.get(B) == JOINER
    assert changes == [before]


async def test_news_that_is_none_changes_nothing(store, state):
    state.on_change = lambda before: pytest.fail("nothing has changed")
    assert not state.merge(state.table.entries, state.members.entries)
    assert not state.merge([], [])
    assert store.visible == {}


async def test_what_others_tell_is_known_even_where_the_store_refuses(store, state):
    store.refusal = DiskFull("no room")
    changes = []
    state.on_change = changes.append
    assert state.merge([], [JOINER])
    assert state.members.get(B) == JOINER
    assert len(changes) == 1


async def test_what_is_decided_is_on_disk_before_it_is_known(store, state):
    store.is_held = True
    known_when_on_disk = []

    def on_change(before):
        row = load(store.restarted())
        known_when_on_disk.append(row is not None and JOINER in row.members)

    state.on_change = on_change
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: state.decide(members=[JOINER]))
        await store.submitted.wait()
        assert state.members.get(B) is None
        store.commit()
    assert known_when_on_disk == [True]
    assert state.members.get(B) == JOINER


async def test_a_decision_that_cannot_be_stored_changes_nothing(store, state):
    store.is_held = True
    state.on_change = lambda before: pytest.fail("nothing has changed")

    async def decide() -> None:
        with pytest.raises(StorageError):
            await state.decide([TableEntry(0, 0, 2, B)], [JOINER])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(decide)
        await store.submitted.wait()
        store.fail(StorageError("the disk is gone"))
    assert state.table.owners == (A, A, A, A)
    assert state.members.get(B) is None
    store.is_held = False
    state.on_change = lambda before: None
    await state.decide([TableEntry(0, 0, 2, C)])
    found = load(store.restarted())
    assert found is not None
    assert found.members == [FOUNDER], "what failed is not stored with what comes later"


@pytest.mark.parametrize("second", ["decided", "told"])
async def test_two_changes_at_once_are_both_on_disk_before_either_is_known(store, state, second):
    """The later row must not take back the earlier one, nor a crash between the two."""
    store.is_held = True
    on_disk = []

    def on_change(before):
        row = load(store.restarted())
        is_known = JOINER in state.members.entries
        on_disk.append(not is_known or (row is not None and JOINER in row.members))

    state.on_change = on_change
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: state.decide(members=[JOINER]))
        await store.submitted.wait()
        if second == "decided":
            store.submitted = trio.Event()
            nursery.start_soon(lambda: state.decide([TableEntry(0, 0, 2, B)]))
            await store.submitted.wait()
        else:
            state.merge([TableEntry(0, 0, 2, B)], [])
        store.commit()
    assert on_disk == [True, True]
    found = load(store.restarted())
    assert found is not None
    assert JOINER in found.members
    assert found.entries[0].owner == B


async def test_digests_are_equal_for_equal_states(store, state):
    other = ClusterState(store, state.message())
    assert other.digest() == state.digest()
    state.merge([], [JOINER])
    assert other.digest() != state.digest()
    other.merge([], [JOINER])
    assert other.digest() == state.digest()


# --- properties of buckets -----------------------------------------------------------------------

CARTS = BucketEntry("carts", 1, BucketProperties(r=1, codec="json"))


async def test_properties_of_buckets_are_told_and_stored_with_the_rest(store, state):
    digest, placement = state.digest(), state.placement
    changes = []
    state.on_change = changes.append
    assert state.merge([], [], [CARTS])
    assert not state.merge([], [], [CARTS])
    assert changes == [placement]
    assert state.placement is placement, "nothing is placed otherwise"
    assert state.digest() != digest
    found = load(store.restarted())
    assert found is not None
    assert found.buckets == state.message().buckets == [CARTS]
    assert ClusterState(store, found).digest() == state.digest()


async def test_two_decisions_at_once_about_buckets_and_members_are_both_on_disk(store, state):
    store.is_held = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: state.decide(buckets=[CARTS]))
        await store.submitted.wait()
        assert state.buckets.get("carts") is None, "not before it is on disk"
        store.submitted = trio.Event()
        nursery.start_soon(lambda: state.decide(members=[JOINER]))
        await store.submitted.wait()
        store.commit()
    found = load(store.restarted())
    assert found is not None
    assert (found.buckets, JOINER in found.members) == ([CARTS], True)
    assert state.buckets.get("carts") == CARTS


async def test_a_row_from_before_there_were_properties_is_read(store, state):
    fields = msgspec.structs.astuple(state.message())[:-1]
    store.visible[ROW] = b"\x01" + msgspec.msgpack.encode(fields)
    assert load(store) == state.message()


async def test_a_placement_that_is_only_thought_of_changes_nothing(store, state):
    before = state.placement
    state.merge([], [JOINER])
    thought = state.placed_with([TableEntry(0, 0, 2, B)])
    assert thought.table.owners == (B, A, A, A)
    assert state.table is before.table
    assert state.merge_entries([TableEntry(0, 0, 2, B)])
    for partition in range(Q):
        assert state.placement.walk(partition) == thought.walk(partition)
    assert state.placement.walk(0) != before.walk(0)


async def test_a_placement_that_is_thought_of_knows_the_zones(store, state):
    zones = zip((A, B, C, D), ("z1", "z1", "z2", "z3"), strict=True)
    state.merge([], [MemberEntry(node, 2, MEMBER, node.hex(), 1, zone) for node, zone in zones])
    state.merge_entries([TableEntry(1, 0, 2, B), TableEntry(2, 0, 2, C)])
    thought = state.placed_with([TableEntry(3, 0, 2, D)])
    assert thought.preference_list(0).primaries == (A, C, D)
    state.merge_entries([TableEntry(3, 0, 2, D)])
    for partition in range(Q):
        assert state.placement.walk(partition) == thought.walk(partition)
