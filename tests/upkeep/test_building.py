"""Trees are built when they are wanted, in slices, and waited for."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.replica.trees import PAGE_ROWS, Trees
from dynamo_py.testing.replica_pair import Unthrottled
from dynamo_py.upkeep.building import Building

WAIT_S = 10


@pytest.fixture
def building(make_home, nursery, autojump_clock):
    home = make_home([0, 1, 2, 3])
    trees = Trees(home.committer, on_damage=home.damaged.append)
    for number in range(2 * PAGE_ROWS + 1):
        home.replica.merge(
            0, b"b\0%d" % number, home.record(1), hinted_for=None, on_commit=lambda error: None
        )
    building = Building(trees, Unthrottled())
    nursery.start_soon(building.run)
    return building


async def test_a_tree_is_built_page_by_page_and_waited_for(building, autojump_clock):
    await trio.testing.wait_all_tasks_blocked()
    assert building._throttle.slices == 0
    with trio.fail_after(WAIT_S):
        tree = await building.wait_built(0)
    assert tree.root() != 0
    assert building._throttle.slices == 3


async def test_a_tree_that_is_begun_anew_while_it_is_waited_for_is_waited_for_again(
    building, nursery, autojump_clock
):
    building.trees.want(0)
    building.trees.build_page(0)
    building.trees.mark_dirty(0)
    with trio.fail_after(WAIT_S):
        await building.wait_built(0)
    assert building.trees.is_built(0)
    building.trees.mark_dirty(0)
    with trio.fail_after(WAIT_S):
        await building.wait_built(0)
    building.trees._check()


async def test_several_may_wait_for_several_trees(building, nursery, autojump_clock):
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as waiting:
            for partition in (0, 1, 2, 0):
                waiting.start_soon(building.wait_built, partition)
    assert building.trees.statistics()["built"] == 3
