"""A real cluster grows and shrinks under load, and a node is killed on the way."""

from __future__ import annotations

import trio

import dynamo_py
from bench.clusters import temporary_cluster
from dyn_cli.cluster import CONVERGED, SYNC, TRANSFERS
from dyn_cli.dev.processes import ProcessState, wait_state
from studies.at_rest import demand_filled, demand_rest
from studies.moved import most_uneven, ring_of
from studies.rewriting import Rewriters, Rewriting
from studies.stored_keys import Values, compare_copies_at

KEYS = 2_000
VALUE_BYTES = 200
PARTITIONS = 32
FOURTH = 4
LOAD = Rewriters(tasks=16, own_keys=8, shared_keys=8, think_s=0.1)
REST_S = 60.0
LOOK_AGAIN_S = 0.05


async def rest(cluster, *conditions):
    await demand_rest(cluster.addresses, conditions, within_s=REST_S, look_again_s=LOOK_AGAIN_S)


async def owners_of(store):
    return ring_of(await store.admin.ring()).owners


async def wait_some_tokens_given(store, name):
    """Until the node of that name owns a token: then it is in the middle of receiving more."""
    while True:
        told = await store.admin.ring()
        if name in {told.nodes[owner].name for owner in told.owners}:
            return
        await trio.sleep(0.01)


async def test_nothing_is_lost_while_a_node_joins_is_killed_and_leaves(tmp_path):
    async with (
        temporary_cluster(partitions=PARTITIONS, parent=tmp_path) as cluster,
        dynamo_py.connect(*cluster.addresses) as store,
    ):
        await demand_filled(cluster, store, keys=KEYS, value_bytes=VALUE_BYTES)

        joining = Rewriting(LOAD, "joining")
        async with joining.under_way(store):
            await cluster.add(is_staged=True)
            await store.admin.commit()
            await wait_some_tokens_given(store, "n4")
            assert joining.failed == 0
            await cluster.kill(FOURTH)
            await cluster.start(FOURTH)
            await rest(cluster, TRANSFERS, CONVERGED)
        assert most_uneven(await owners_of(store), 4) == 0
        assert await joining.judge(store) == []

        leaving = Rewriting(LOAD, "leaving")
        async with leaving.under_way(store):
            await store.admin.leave("n4")
            await rest(cluster, TRANSFERS, CONVERGED)
        assert leaving.failed == 0
        assert most_uneven(await owners_of(store), 3) < 1
        ended = cluster.node(FOURTH).process
        assert ended is not None
        assert await wait_state(ended, ProcessState.STOPPED, timeout_s=REST_S)
        assert await leaving.judge(store) == []
        assert await joining.judge(store) == []

        await rest(cluster, SYNC)
        compared = await compare_copies_at(
            cluster.addresses[:3], Values(VALUE_BYTES), keys=KEYS, in_flight=32
        )
        assert (compared.copies, compared.differing, compared.wrong) == (3 * KEYS, [], [])
