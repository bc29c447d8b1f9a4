"""The background work as a whole: who is told of what, and what is thrown away."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dynamo_py.config import NodeConfig
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DiskFull
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.forgettable import Forgettable
from dynamo_py.replica.proofs import Proofs
from dynamo_py.replica.trees import Trees
from dynamo_py.storage.engine import Space
from dynamo_py.upkeep.background import Background, Copies
from dynamo_py.upkeep.targets import Targets
from dynamo_py.upkeep.throttle import Throttle
from dynamo_py.wire.handover_messages import Offer, Transfers

PARTITIONS = 4
KEY = b"bucket\0key"


class Found:
    """A node's background work, with a record and a hint in each partition."""

    def __init__(self, home) -> None:
        self.home = home
        store, replica = home.committer, home.replica
        self.trees = Trees(store, on_damage=lambda partition: None)
        replica._on_change = self.trees.note
        self.completeness = Completeness(store, PARTITIONS)
        self.background = Background(
            Copies(
                replica,
                self.trees,
                self.completeness,
                Forgettable(wall_ms=lambda: 0, after_ms=0),
                Proofs(store, replica.hints, store.engine.get, wall_ms=lambda: 0),
            ),
            cast(Any, SimpleNamespace(under_way=UnderWay())),
            lambda: home.view,
            Throttle(),
            NodeConfig(name="n0", data_dir="nowhere"),
            store=store,
            clock=cast(Any, SimpleNamespace(wall_ms=lambda: 0, monotonic=lambda: 0.0)),
            random_=random.Random(1),
            tell_hint_targets=lambda targets: None,
        )

    async def fill(self, target: bytes) -> None:
        replica = self.home.replica
        for partition in range(PARTITIONS):
            for hinted_for in (None, target):
                replica.merge(
                    partition,
                    KEY,
                    self.home.record(partition),
                    hinted_for=hinted_for,
                    on_commit=lambda error: None,
                )
            self.trees.want(partition)
            self.trees.build_page(partition)
        await self.home.committer.drain()

    def held(self) -> list[int]:
        """The partitions with a record."""
        replica = self.home.replica
        return [p for p in range(PARTITIONS) if replica.get(p, KEY) is not None]


@pytest.fixture
async def found(make_home, node_id, autojump_clock) -> Found:
    made = Found(make_home([0, 1, 2, 3]))
    for partition in range(PARTITIONS):
        made.completeness.begin(partition, [node_id(1)])
    await made.fill(node_id(2))
    return made


async def test_figures_and_trees_are_those_of_what_is_left(found):
    hints = found.home.replica.hints
    before = found.trees.tree(0).root()
    assert hints.kept_for(hints.targets()[0]).count == PARTITIONS
    assert await found.background.discard(found.home.committer) == 2 * PARTITIONS
    assert found.held() == []
    assert found.home.committer.is_empty(Space.HINTS)
    while not hints.count_page(PARTITIONS):
        pass
    assert hints.targets() == ()
    found.trees.build_page(0)
    assert found.trees.tree(0).root() != before
    found.trees._check()
    hints._check()
    found.background._check()


async def test_copies_that_no_other_node_has_are_kept(found, caplog):
    found.completeness.begin(2, [])
    assert await found.background.discard(found.home.committer) == 2 * PARTITIONS - 1
    assert found.held() == [2]
    assert found.home.committer.is_empty(Space.HINTS)
    assert "not discarded: no other node has a copy" in caplog.text


async def test_where_the_store_fails_nothing_that_was_known_is_believed(found):
    found.home.committer._refuse(DiskFull("no room"))
    with pytest.raises(DiskFull):
        await found.background.discard(found.home.committer)
    assert not found.trees.is_built(0)
    assert not found.home.replica.hints.is_counted


# --- hand-over ----------------------------------------------------------------------------------


@pytest.fixture
def background(found) -> Background:
    """In a ring in which partition 1 is of nodes 1 and 2, and this node is about to gain it."""
    taking = found.background.taking
    taking.offered(Offer(1, 1, bytes([2]) * 16, 1, 1))
    taking._taken[1] = found.home.view.placement.walk(1)
    return found.background


def gain(found) -> None:
    """Partition 1 is of nodes 0 and 2 now."""
    before = found.home.give([0, 0, 2, 3], version=2)
    found.background.on_placement(before)


def shown_by_the_next_walk(found) -> None:
    """The gainer has confirmed for the very walk that `gain` makes."""
    home, version = found.home, 2
    placement = home.placement
    home.give([0, 0, 2, 3], version=version)
    found.background.taking._taken[1] = home.placement.walk(1)
    home.placement = placement
    home.see()


async def test_a_confirmed_copy_begins_complete_and_its_confirmation_is_used_up(found, background):
    shown_by_the_next_walk(found)
    gain(found)
    assert found.completeness.is_complete(1)
    assert background.taking._taken == {}
    assert not background.taking.is_offered(1)


async def test_a_copy_that_was_confirmed_for_another_walk_begins_without_a_vote(
    found, background, node_id
):
    gain(found)
    assert found.completeness.sources(1) == (node_id(1), node_id(2))


@pytest.mark.parametrize("loss", ["record", "commit"])
async def test_a_copy_that_lost_something_since_begins_without_a_vote(
    found, background, node_id, loss
):
    shown_by_the_next_walk(found)
    if loss == "record":
        background.on_damage(1)
    else:
        background.commit_failed()
    gain(found)
    assert found.completeness.sources(1) == (node_id(1), node_id(2))


async def test_what_is_offered_is_not_cleaned_up_and_what_is_withdrawn_is_looked_at(
    found, background
):
    assert not background.cleaning._is_foreign(1)
    assert background.cleaning._is_foreign(0) is False, "this node is a primary of it"
    background.taking._copies.clear()
    assert background.cleaning._is_foreign(1)
    background.cleaning._work = trio.Event()
    background.taking.on_withdrawn()
    assert background.cleaning._work.is_set()


async def test_writes_go_through_the_mirror_once_the_loops_that_move_tokens_are_there(
    found, background, make_believed, node_id
):
    believed = make_believed([0, 1, 2, 3], home=found.home)
    loops = background.membership_loops(
        cast(Any, believed),
        cast(Any, None),
        cast(Any, None),
        is_empty=lambda: False,
        on_left=lambda: None,
    )
    assert [name for name, _ in loops] == ["handing over", "decreeing", "leaving"]
    handing_over = background.handing_over
    assert handing_over is not None
    assert found.home.replica.mirrored is handing_over._mirror
    assert isinstance(handing_over._targets, Targets)


async def test_transfers_say_what_comes_and_what_is_left_to_do(found, background):
    (coming,) = background.transfers().transfers
    assert (coming.partition, coming.giver, coming.receiver) == (1, "n1", "n0")
    assert background.transfers() == Transfers([coming], [], [], [])
    background.cleaning.left = 2
    background.handing_over = cast(Any, SimpleNamespace(left=3))
    assert background.transfers() == Transfers([coming], [("n0", 3)], [("n0", 2)], [])
