"""Nodes that start again: they serve once it is known that their directory is no older one."""

from __future__ import annotations

import shutil
from functools import partial

import pytest

from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.wire.messages import Get, Quorum

BUCKET = "bucket"


async def test_alone_a_node_that_starts_again_serves_nobody_until_a_majority_is_there(cluster):
    """Nobody can say that its directory is not an old copy."""
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await store.bucket(BUCKET).put("k", b"v", w="all")
    for name in ("n1", "n2", "n3"):
        await cluster.stop(name)
    node = await cluster.start("n1")
    assert not node.is_ready
    assert node.facts().incomplete == 32
    async with cluster.store_at("n1") as store:
        bucket = store.bucket(BUCKET)
        for asked in (
            partial(bucket.get, "k", r=1, timeout=0.2),
            partial(bucket.put, "k", b"new", w=1, timeout=0.2),
        ):
            with pytest.raises(DynamoError) as refusal:
                await asked()
            assert refusal.value.outcome == "not_applied"
        assert not node.is_ready
        assert not node.confirming.confirmed.is_set()
        with pytest.raises(NodeUnavailable, match="has just started"):
            await node.requests.ask(Get(b"bucket\0k", Quorum(), 0), timeout_s=1)
        await cluster.start("n2")
        await cluster.wait_for(lambda: node.is_ready)
        found = await bucket.get("k", r=1)
        assert (found.values, found.degraded) == ((b"v",), False)
        await bucket.put("k", b"new", context=found.context)
        assert (await bucket.get("k")).values == (b"new",)


async def test_a_member_that_lost_its_disk_is_let_back_in_by_one_that_is_in_doubt(
    cluster, tmp_path
):
    """The one that comes back on an empty disk may be the one that is waited for."""
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await store.bucket(BUCKET).put("k", b"v", w="all")
    for name in ("n3", "n2", "n1"):
        await cluster.stop(name)
    shutil.rmtree(tmp_path / "n2")
    node = await cluster.start("n1")
    assert not node.is_ready
    await cluster.start("n2", seeds=cluster.seeds("n1"))
    await cluster.wait_for(lambda: not node.completeness.is_in_doubt)
    await cluster.wait_for(lambda: not cluster["n2"].completeness.is_in_doubt)
    async with cluster.store_at("n2") as store:
        assert (await store.bucket(BUCKET).get("k")).values == (b"v",)


async def test_a_directory_from_before_something_was_forgotten_is_emptied_and_filled_again(
    make_cluster, tmp_path, caplog
):
    cluster = make_cluster(forget_after_s=0.05, exchange_interval_s=0.2)
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        bucket = store.bucket(BUCKET)
        await bucket.put("stays", b"v", w="all")
        await bucket.put("goes", b"v", w="all")
        await cluster.stop("n3")
        shutil.copytree(tmp_path / "n3", tmp_path / "copy")
        await cluster.start("n3")
        await cluster.wait_settled()
        await bucket.delete("goes")
        await cluster.wait_for(lambda: all(n.committer.stats().records == 1 for n in cluster.nodes))
        # None of them remembers by gossip what n3 had: what they promised is on their disks.
        await cluster.stop("n3")
        for name in ("n1", "n2"):
            await cluster.stop(name)
        shutil.rmtree(tmp_path / "n3")
        shutil.copytree(tmp_path / "copy", tmp_path / "n3")
        returned = await cluster.start("n3")
        assert returned.committer.stats().records == 2
        for name in ("n1", "n2"):
            await cluster.start(name)
        await cluster.wait_settled()
        assert "discarded" in caplog.text
        await cluster.wait_for(lambda: all(n.committer.stats().records == 1 for n in cluster.nodes))
        assert (await bucket.get("stays", r="all")).values == (b"v",)
        assert (await bucket.get("goes", r="all")).values == ()


async def test_a_directory_that_is_rolled_back_is_noticed_and_filled_again(
    cluster, tmp_path, caplog
):
    await cluster.start_many(3)
    await cluster.stop("n2")
    shutil.copytree(tmp_path / "n2", tmp_path / "copy")
    await cluster.start("n2")
    await cluster.wait_settled()
    node = cluster["n2"]._me
    before = cluster["n1"].membership.progress_of(node)
    async with cluster.store_at("n1") as store:
        for number in range(30):
            await store.bucket(BUCKET).put(f"k{number}", b"v", w="all")
    others = [cluster["n1"], cluster["n3"]]
    await cluster.wait_for(
        lambda: all(other.membership.progress_of(node) > before for other in others)
    )
    await cluster.crash("n2")
    shutil.rmtree(tmp_path / "n2")
    shutil.copytree(tmp_path / "copy", tmp_path / "n2")
    returned = await cluster.start("n2")
    assert returned.committer.stats().records == 0
    assert not returned.is_ready
    await cluster.wait_settled()
    assert returned.committer.stats().records == 30
    await cluster.crash("n2")
    again = await cluster.start("n2")
    await cluster.wait_settled()
    assert again.completeness.statistics() == {"held": 32, "complete": 32}
    assert caplog.text.count("rolled back: ") == 1, "and not at the next start"
