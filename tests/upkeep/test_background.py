"""What becomes of all that is known of the copies when they are thrown away."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dynamo_py.config import NodeConfig
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DiskFull
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.forgettable import Forgettable
from dynamo_py.replica.proofs import Proofs
from dynamo_py.replica.trees import Trees
from dynamo_py.storage.engine import Space
from dynamo_py.upkeep.background import Background, Copies
from dynamo_py.upkeep.throttle import Throttle

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
