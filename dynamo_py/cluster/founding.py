"""Where a starting node's cluster state comes from: its disk, its own founding, or a seed.

Only a node that was given no seeds founds a cluster. A directory that belongs to a cluster
never founds another one, even where its records are lost.
"""

from __future__ import annotations

import random

from dynamo_py.cluster.joining import ask_to_join
from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.removal import refuse_if_removed
from dynamo_py.cluster.state import ClusterState, founding_table, load, save
from dynamo_py.config import NodeConfig
from dynamo_py.errors import Damaged, DynamoError, StorageError, WrongState
from dynamo_py.log import get_logger
from dynamo_py.net.links import Links
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.store import Store
from dynamo_py.storage.node_storage import NodeStorage
from dynamo_py.wire.messages import Join, MemberEntry, Table

log = get_logger(__name__)


async def cluster_state(
    config: NodeConfig,
    storage: NodeStorage,
    store: Store,
    links: Links,
    *,
    peer_address: str,
    random_: random.Random,
) -> ClusterState:
    """The state to start from. Raises `WrongState` where a cluster refuses this node.

    `NodeRemoved` where it is a member no more.
    And `StorageError` where what is stored cannot be read, and no seed is given to ask.
    """
    known = _loaded(store, config)
    if known is None:
        if config.seeds:
            known = await _join(config, storage, links, peer_address)
        elif storage.cluster_id is None:
            known = _found(config, storage, store, random_)
        else:
            raise WrongState(
                f"{config.data_dir} belongs to a cluster, but its records are lost: start the"
                " node with the peer address of another node as seed"
            )
        # Before the directory says that it belongs to the cluster: stopped in between, the
        # node goes on from here, where the other way round it would have lost its records.
        await save(store, known)
    refuse_if_removed(known, storage.node_id)
    storage.join_cluster(known.cluster_id, storage.node_id)
    return ClusterState(store, known)


def _loaded(store: Store, config: NodeConfig) -> Table | None:
    """What this node's disk says of its cluster; None where that is to be had from a seed."""
    try:
        return load(store)
    except Damaged as error:
        if not config.seeds:
            raise StorageError(
                "the stored state of the cluster is damaged: start the node with the peer address"
                " of another node as seed"
            ) from error
        # The others know all of it that was ever told, and under this id it is a member.
        log.error("damaged state of the cluster", reason=error.message)
        return None


def _found(config: NodeConfig, storage: NodeStorage, store: Store, random_: random.Random) -> Table:
    completeness = Completeness(store, config.partitions)
    for partition in range(config.partitions):
        completeness.begin(partition, ())
    cluster_id = random_.getrandbits(128).to_bytes(16, "big")
    log.info("cluster founded", cluster=config.cluster, id=cluster_id.hex())
    return founding_table(
        cluster=config.cluster,
        cluster_id=cluster_id,
        partitions=config.partitions,
        replicas=config.replicas,
        founder=MemberEntry(storage.node_id, 1, MEMBER, config.name, config.weight, config.zone),
    )


async def _join(config: NodeConfig, storage: NodeStorage, links: Links, peer_address: str) -> Table:
    join = Join(
        storage.node_id,
        config.name,
        config.zone,
        config.weight,
        peer_address,
        is_staged=config.stage,
    )
    told: set[str] = set()

    def on_wait(error: DynamoError) -> None:
        if error.message not in told:
            told.add(error.message)
            log.info("waiting for a seed", reason=error.message)

    admitted = await ask_to_join(links, config.seeds, join, on_wait=on_wait)
    table = admitted.table
    # Before the state is stored, which is of use under this id alone.
    storage.join_cluster(table.cluster_id, admitted.node)
    log.info("cluster joined", cluster=table.cluster, id=table.cluster_id.hex())
    return table
