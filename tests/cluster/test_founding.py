"""Where a starting node's state comes from."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import pytest
import trio

from dynamo_py.cluster.founding import cluster_state
from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.state import founding_table, load
from dynamo_py.config import NodeConfig
from dynamo_py.errors import DiskFull, StorageError, WrongState
from dynamo_py.replica.completeness import Completeness
from dynamo_py.storage.engine import Space
from dynamo_py.wire.messages import Join, MemberEntry, Message
from dynamo_py.wire.starting_messages import Readmission

ME = b"m" * 16
FORMER = b"f" * 16
CONFIG = NodeConfig(name="n1", data_dir="/nowhere", partitions=8, weight=2, zone="z")


@dataclass
class Directory:
    node_id: bytes = ME
    cluster_id: bytes | None = None
    engine: Any = None

    def join_cluster(self, cluster_id: bytes, node_id: bytes) -> None:
        self.cluster_id, self.node_id = cluster_id, node_id


class Seed:
    """Links to one seed, which gives one answer."""

    def __init__(self, answer: Message) -> None:
        self.answer = answer
        self.asked: list[Message] = []

    async def wait_connected(self, address: str) -> None:
        await trio.lowlevel.checkpoint()

    async def ask(self, address: str, message: Message, *, wait_s: float) -> Message:
        await trio.lowlevel.checkpoint()
        self.asked.append(message)
        return self.answer


def start(directory, store, config=CONFIG, links=None):
    return cluster_state(
        config,
        directory,
        store,
        cast(Any, links),
        peer_address="host:1",
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


# --- joining ------------------------------------------------------------------------------------


TABLE = founding_table(
    cluster="dynamo",
    cluster_id=b"i" * 16,
    partitions=8,
    replicas=3,
    founder=MemberEntry(FORMER, 1, MEMBER, "n1", 1, ""),
)
JOINING = msgspec.structs.replace(CONFIG, seeds=("host:2",))


async def test_a_node_with_seeds_joins_and_holds_nothing_yet(store):
    directory, seed = Directory(), Seed(TABLE)
    state = await start(directory, store, JOINING, seed)
    assert seed.asked == [Join(ME, "n1", "z", 2, "host:1")]
    assert state.message() == TABLE == load(store.restarted())
    assert (directory.cluster_id, directory.node_id) == (TABLE.cluster_id, ME)
    assert Completeness(store, 8).held() == []


async def test_a_node_that_lost_its_directory_takes_its_former_id_and_holds_nothing(store):
    directory = Directory()
    state = await start(directory, store, JOINING, Seed(Readmission(FORMER, TABLE)))
    assert (directory.cluster_id, directory.node_id) == (TABLE.cluster_id, FORMER)
    assert load(store.restarted()) == state.message()
    assert Completeness(store, 8).held() == []


async def test_a_node_stopped_before_the_state_is_stored_asks_again_under_its_former_id(store):
    directory = Directory()
    store.refusal = DiskFull("no room")
    with pytest.raises(DiskFull):
        await start(directory, store, JOINING, Seed(Readmission(FORMER, TABLE)))
    store.refusal = None
    seed = Seed(TABLE)
    await start(directory, store.restarted(), JOINING, seed)
    assert seed.asked == [Join(FORMER, "n1", "z", 2, "host:1")]
    assert directory.node_id == FORMER


async def test_a_state_that_is_damaged_is_had_from_a_seed_again(store):
    directory = Directory(cluster_id=TABLE.cluster_id)
    store.damaged.add((Space.META, 0, b"cluster"))
    seed = Seed(TABLE)
    state = await start(directory, store, JOINING, seed)
    assert seed.asked == [Join(ME, "n1", "z", 2, "host:1")]
    assert state.message() == TABLE
    assert directory.node_id == ME


async def test_a_state_that_is_damaged_stops_a_node_without_seeds_and_says_what_to_do(store):
    store.damaged.add((Space.META, 0, b"cluster"))
    with pytest.raises(StorageError, match="is damaged: start the node with the peer address"):
        await start(Directory(cluster_id=TABLE.cluster_id), store)
    assert store.visible == {}
