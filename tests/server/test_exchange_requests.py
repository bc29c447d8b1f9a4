"""What those are answered who compare copies: bounded, and nothing that is not there."""

from __future__ import annotations

import pytest
import trio.testing

from dynamo_py.errors import InvalidRequest
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.server.exchange_requests import RECORDS_MAX
from dynamo_py.testing.replica_pair import PARTITION, ReplicaPair
from dynamo_py.wire.messages import OtherWalk
from dynamo_py.wire.sync_messages import (
    GetLeaves,
    GetRecords,
    GetRoots,
    GetTree,
    PartitionWalk,
    Records,
    Roots,
    TreeHashes,
)

OTHER_WALK = 4711


@pytest.fixture
async def pair(nursery, autojump_clock) -> ReplicaPair:
    pair = ReplicaPair()
    await nursery.start(pair.run)
    return pair


@pytest.fixture
def side(pair):
    return pair.sides[0]


@pytest.fixture
def walk(side) -> int:
    return side.view.placement.walk(PARTITION)


async def ask(side, message):
    reply = AwaitedReply()
    side.requests.answer(message, reply)
    return await reply.wait()


async def test_roots_are_told_once_the_trees_are_built_and_by_the_walk_in_force(
    side, walk, autojump_clock
):
    asked = GetRoots([PartitionWalk(PARTITION, walk), PartitionWalk(PARTITION, OTHER_WALK)])
    assert await ask(side, asked) == Roots([None, None], [])
    tree = await side.building.wait_built(PARTITION)
    assert await ask(side, asked) == Roots([tree.root(), None], [])


async def test_the_hashes_below_several_nodes_come_in_the_order_asked(side, walk, autojump_clock):
    assert await ask(side, GetTree(PARTITION, walk, 0, [0])) == TreeHashes([])
    side.write(b"b\0k", b"v", b"w" * 16)
    tree = await side.building.wait_built(PARTITION)
    assert await ask(side, GetTree(PARTITION, walk, 0, [0])) == TreeHashes(tree.children(0, 0))
    found = await ask(side, GetTree(PARTITION, walk, 1, [7, 3]))
    assert found.hashes == tree.children(1, 7) + tree.children(1, 3)


@pytest.mark.parametrize(("level", "indices"), [(2, [0]), (0, [1]), (1, [32]), (1, [0] * 33)])
async def test_nodes_that_there_are_not_are_refused(side, walk, level, indices, autojump_clock):
    with pytest.raises(InvalidRequest):
        await ask(side, GetTree(PARTITION, walk, level, indices))


async def test_a_partition_that_there_is_not_is_refused(side, autojump_clock):
    with pytest.raises(InvalidRequest):
        await ask(side, GetRoots([PartitionWalk(99, 1)]))


async def test_records_are_answered_as_far_as_they_fit(side, walk, autojump_clock):
    keys = [b"b\0%03d" % number for number in range(RECORDS_MAX + 5)]
    for key in keys[1:]:
        side.write(key, b"v", key.rjust(16))
    found = await ask(side, GetRecords(PARTITION, walk, keys))
    assert isinstance(found, Records)
    assert (found.answered, [key for key, _ in found.rows]) == (RECORDS_MAX, keys[1:RECORDS_MAX])
    for key in keys[:3]:
        side.write(key, bytes(200_000), key.rjust(15) + b"2")
    found = await ask(side, GetRecords(PARTITION, walk, keys))
    assert found.answered == 2


@pytest.mark.parametrize(
    "message",
    [
        GetTree(PARTITION, OTHER_WALK, 0, [0]),
        GetLeaves(PARTITION, OTHER_WALK, [1], b"", None, []),
        GetRecords(PARTITION, OTHER_WALK, [b"k"]),
    ],
)
async def test_nothing_is_told_by_another_idea_of_the_primaries(side, message, autojump_clock):
    assert isinstance(await ask(side, message), OtherWalk)
    await trio.testing.wait_all_tasks_blocked()
