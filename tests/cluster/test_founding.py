"""Where a starting node's state comes from."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, cast

import pytest

from dynamo_py.cluster.founding import cluster_state
from dynamo_py.cluster.state import load
from dynamo_py.config import NodeConfig
from dynamo_py.errors import DiskFull, WrongState
from dynamo_py.replica.completeness import Completeness

ME = b"m" * 16
CONFIG = NodeConfig(name="n1", data_dir="/nowhere", partitions=8, weight=2, zone="z")


@dataclass
class Directory:
    node_id: bytes = ME
    cluster_id: bytes | None = None
    engine: Any = None

    def join_cluster(self, cluster_id: bytes) -> None:
        self.cluster_id = cluster_id


def start(directory, store, config=CONFIG):
    return cluster_state(
        config,
        directory,
        store,
        cast(Any, None),
        peer_address="",
        random_=random.Random(1),
    )


async def test_a_node_without_seeds_founds_a_cluster_and_owns_all_of_it(store):
    directory = Directory()
    state = await start(directory, store)
    assert set(state.table.owners) == {ME}
    assert (state.partitions, state.replicas) == (8, 3)
    (founder,) = state.members.entries
    assert (founder.name, founder.weight, founder.zone) == ("n1", 2, "z")
    assert directory.cluster_id == state.cluster_id
    assert Completeness(store, 8).statistics() == {"held": 8, "complete": 8}
    assert load(store.restarted()) == state.message()


async def test_a_node_that_starts_again_goes_on_in_its_cluster_whatever_it_is_told(store):
    directory = Directory()
    before = await start(directory, store)
    told = NodeConfig(name="n1", data_dir="/nowhere", partitions=16, seeds=("127.0.0.1:1",))
    after = await start(directory, store.restarted(), told)
    assert after.message() == before.message()


async def test_a_directory_whose_records_are_lost_founds_no_second_cluster(store):
    directory = Directory(cluster_id=b"c" * 16)
    with pytest.raises(WrongState, match="its records are lost"):
        await start(directory, store)
    assert store.visible == {}


async def test_a_founding_that_did_not_reach_the_disk_can_be_done_again(store):
    """The directory belongs to a cluster only once that cluster's state is stored."""
    directory = Directory()
    real_submit = store.submit

    def refuse_the_state(changes, on_commit, *, durable=False):
        if any(change.key == b"cluster" for change in changes):
            raise DiskFull("no room")
        real_submit(changes, on_commit, durable=durable)

    store.submit = refuse_the_state
    with pytest.raises(DiskFull):
        await start(directory, store)
    assert directory.cluster_id is None
    await start(directory, store.restarted())


async def test_a_node_stopped_between_the_state_and_the_directory_belongs_to_its_cluster(store):
    directory = Directory()
    before = await start(directory, store)
    directory.cluster_id = None
    after = await start(directory, store.restarted())
    assert after.cluster_id == before.cluster_id == directory.cluster_id
