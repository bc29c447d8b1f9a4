"""A node in the caller's own process: its data stays, its errors are the caller's own."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import pytest
import trio

import dynamo_py
from dynamo_py.errors import InvalidRequest, WrongState

HOLDER = """
import os, sys, trio, dynamo_py

async def main():
    async with dynamo_py.open_node(data_dir=sys.argv[1], partitions=4):
        os.write(1, b"open")
        await trio.to_thread.run_sync(sys.stdin.read)

trio.run(main)
"""


async def test_what_was_put_is_there_on_the_next_run(tmp_path):
    async with dynamo_py.open_node(data_dir=tmp_path / "data", partitions=4) as node:
        assert node.addresses == {}, "alone it listens nowhere"
        done = await node.store.bucket("b").put("k", b"v")
        assert done.acked == ("data",), "a node is named after its directory"
    async with dynamo_py.open_node(data_dir=tmp_path / "data") as node:
        assert node.node.view.ring.partitions == 4, "fixed when the cluster was founded"
        found = await node.store.bucket("b").get("k")
        assert found.values == (b"v",)
        await node.store.bucket("b").put("k", b"w", context=found)
        assert (await node.store.bucket("b").get("k")).values == (b"w",)
        assert [key async for key in node.store.bucket("b").scan()] == ["k"]


async def test_an_exception_of_the_body_leaves_as_it_is(tmp_path):
    error = LookupError("mine")

    async def body() -> None:
        async with dynamo_py.open_node(data_dir=tmp_path / "data", partitions=4) as node:
            await node.store.bucket("b").put("k", b"v")
            raise error

    with pytest.raises(LookupError) as caught:
        await body()
    assert caught.value is error
    async with dynamo_py.open_node(data_dir=tmp_path / "data") as node:
        assert (await node.store.bucket("b").get("k")).values == (b"v",)


async def test_the_body_may_be_cancelled(tmp_path):
    with trio.CancelScope() as scope:
        async with dynamo_py.open_node(data_dir=tmp_path / "data", partitions=4) as node:
            await node.store.bucket("b").put("k", b"v")
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with dynamo_py.open_node(data_dir=tmp_path / "data") as node:
        assert (await node.store.bucket("b").get("k")).values == (b"v",)


async def test_a_directory_is_open_in_one_process_at_a_time(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "data")]
    async with trio.open_nursery() as nursery:
        holder = await nursery.start(
            partial(trio.run_process, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert await holder.stdout.receive_some() == b"open"
        with pytest.raises(WrongState, match=f"in use by process {holder.pid}"):
            async with dynamo_py.open_node(data_dir=tmp_path / "data"):
                pytest.fail("the directory is in use")
        await holder.stdin.aclose()
    async with dynamo_py.open_node(data_dir=tmp_path / "data"):
        pass


async def test_a_wrong_field_is_refused_and_nothing_is_made(tmp_path):
    with pytest.raises(InvalidRequest, match="unknown setting: partition"):
        async with dynamo_py.open_node(data_dir=tmp_path / "data", partition=4):
            pytest.fail("there is no such field")
    with pytest.raises(InvalidRequest, match="power of two"):
        async with dynamo_py.open_node(data_dir=tmp_path / "data", partitions=5):
            pytest.fail("five is no power of two")
    assert not (tmp_path / "data").exists()


async def test_with_seeds_a_node_joins_their_cluster(cluster, tmp_path):
    await cluster.start_many(1)
    seeds = cluster.seeds("n1")
    async with dynamo_py.open_node(
        data_dir=tmp_path / "data", seeds=seeds, durability="none"
    ) as node:
        assert set(node.addresses) == {"peer"}
        await node.store.bucket("b").put("k", b"v", w=2)
        async with cluster.store_at("n1") as store:
            assert (await store.bucket("b").get("k", node="n1")).values == (b"v",)
