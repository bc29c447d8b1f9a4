"""Copies that have come to differ in a cluster of real nodes become equal by themselves."""

from __future__ import annotations

import shutil

import trio

from dyn_cli.in_sync import InSync
from dynamo_py.storage.engine import Change, Space

BUCKET = "bucket"
KEYS = 40


async def wait_in_sync(cluster, store) -> InSync:
    condition = InSync()
    with trio.fail_after(20):
        while True:
            if not await condition.waits(store, await store.admin.status()):
                return condition
            await trio.sleep(0.02)


def lose(node, partition: int, key: bytes) -> None:
    """Take a record out of a node's store, as if it had never come."""
    held = node.replica.get(partition, key)
    assert held is not None
    node.committer.submit((Change(Space.RECORDS, partition, key, None),), lambda error: None)
    node.trees.note(partition, key, held, None)


def rows_of(node) -> dict[tuple[int, bytes], bytes]:
    rows = {}
    for partition in range(node.view.ring.partitions):
        page = node.committer.scan(Space.RECORDS, partition, b"", 1000)
        rows.update({(partition, key): record for key, record in page.rows})
    return rows


async def test_what_one_node_lacks_it_has_again_after_the_wait_for_sync(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        for number in range(KEYS):
            await store.bucket(BUCKET).put(f"k{number}", b"v", w="all")
        for number, name in enumerate(("n1", "n2", "n3") * 3):
            partition = cluster.partition_of(f"k{number}")
            lose(cluster[name], partition, f"{BUCKET}\0k{number}".encode())
        assert rows_of(cluster["n1"]) != rows_of(cluster["n2"])
        condition = await wait_in_sync(cluster, store)
    assert condition.progress.pairs == condition.progress.done == 32 * 3
    assert rows_of(cluster["n1"]) == rows_of(cluster["n2"]) == rows_of(cluster["n3"])
    figures = [cluster[name].figures() for name in ("n1", "n2", "n3")]
    assert sum(each["exchanged_records_total"] for each in figures) >= 9
    assert all(each["dot_clashes_total"] == 0 for each in figures)


async def test_a_node_whose_directory_was_wiped_is_filled_again(make_cluster, tmp_path):
    cluster = make_cluster(durability="commit")
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        for number in range(KEYS):
            await store.bucket(BUCKET).put(f"k{number}", bytes(1000), w="all")
        await cluster.stop("n3")
        for file in (tmp_path / "n3").glob("*"):
            if file.name != "node.json":
                file.unlink() if file.is_file() else shutil.rmtree(file)
        await cluster.start("n3", seeds=cluster.seeds("n1"))
        await cluster.wait_settled()
        await wait_in_sync(cluster, store)
    assert len(rows_of(cluster["n3"])) == KEYS
    assert rows_of(cluster["n3"]) == rows_of(cluster["n1"])


async def test_a_node_that_is_down_is_not_in_sync_and_says_why(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await wait_in_sync(cluster, store)
        await cluster.stop("n3")
        await cluster.wait_down("n3")
        condition = InSync()
        waits = await condition.waits(store, await store.admin.status())
    assert any("n3" in line for line in waits)
    assert condition.left
