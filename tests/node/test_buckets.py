"""Properties of buckets in a cluster: a setting reaches all and stays; expiry, and last writes."""

from __future__ import annotations

import dataclasses

import pytest
import trio

import dynamo_py
from dynamo_py.causality import decode_record
from dynamo_py.errors import InvalidRequest, SiblingsFound
from dynamo_py.wire.keys import routing_key

BUCKET = "bucket"
CARTS = dynamo_py.BucketProperties(r="all", w=2, resolver="cart", codec="json", ttl=60)
SAID = dataclasses.asdict(CARTS)


def has(node, *, bucket: str = "carts") -> bool:
    return node.view.buckets.get(bucket) is not None


async def until(condition) -> None:
    with trio.fail_after(20):
        while True:
            if condition():
                return
            await trio.sleep(0.005)


async def test_a_setting_made_on_one_node_reaches_the_others(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n3") as store:
        assert await store.admin.set_bucket("carts", **SAID) == CARTS
        await cluster.wait_for(lambda: all(has(node) for node in cluster.nodes))
        await cluster.wait_for(lambda: all(n.membership.is_converged for n in cluster.nodes))
    for name in ("n1", "n2", "n3"):
        async with cluster.store_at(name) as store:
            assert await store.admin.buckets() == {"carts": CARTS}


async def test_a_setting_survives_restarts_and_reaches_who_was_away_or_came_later(cluster):
    await cluster.start_many(2)
    await cluster.stop("n2")
    await cluster.wait_down("n2")
    async with cluster.store_at("n1") as store:
        await store.admin.set_bucket("carts", **SAID)
    await cluster.crash("n1")
    await cluster.start("n1")
    assert has(cluster["n1"])
    await cluster.start("n2")
    await cluster.wait_settled()
    await cluster.wait_for(lambda: has(cluster["n2"]))
    await cluster.start("n3")
    assert has(cluster["n3"]), "a node that joins starts with it"
    assert {n.view.buckets.digest for n in cluster.nodes} == {cluster["n1"].view.buckets.digest}


async def test_two_settings_of_one_bucket_on_two_nodes_come_to_one_everywhere(cluster):
    await cluster.start_many(3)

    async def say(name: str, **change) -> None:
        async with dynamo_py.connect(cluster.runs[name].addresses["client"]) as store:
            await store.admin.set_bucket("carts", **change)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: say("n1", r=1))
        nursery.start_soon(lambda: say("n2", r=3))
    await cluster.wait_for(lambda: len({n.view.buckets.digest for n in cluster.nodes}) == 1)
    assert has(cluster["n3"])


async def test_clients_that_are_connected_learn_of_a_setting_with_their_next_requests(cluster):
    await cluster.start_many(1)
    async with cluster.store_at("n1") as store, cluster.store_at("n1") as other:
        carts = store.bucket("carts")
        await carts.put("alice", b"[1]")
        await carts.put("alice", b"[2]")
        with pytest.raises(SiblingsFound):
            await carts.update("alice", lambda value: value)
        await other.admin.set_bucket("carts", resolver="union", codec="json")
        await carts.get("alice")
        await until(lambda: store._requests.properties_of("carts").codec == "json")
        await carts.update("alice", lambda value: [*value, 3])
        assert (await carts.get("alice")).one() == [1, 2, 3]


async def test_an_embedded_node_has_properties_of_buckets_too(tmp_path):
    async with dynamo_py.open_node(data_dir=tmp_path / "n") as node:
        await node.store.admin.set_bucket("lists", codec="json", resolver="last_write_wins")
        lists = node.store.bucket("lists")
        for k in range(200):
            await lists.put("k", [k])
        assert (await lists.get("k")).one() == [199]
        with pytest.raises(InvalidRequest, match="w=4: it can be 1 to 3"):
            await node.store.admin.set_bucket("lists", w=4)
    async with dynamo_py.open_node(data_dir=tmp_path / "n") as node:
        assert (await node.store.bucket("lists").get("k")).one() == [199]


async def test_requests_take_quorums_and_expiry_from_the_bucket(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await store.admin.set_bucket(BUCKET, w="all", r="all", ttl=3600)
        await cluster.wait_for(lambda: all(has(node, bucket=BUCKET) for node in cluster.nodes))
        bucket = store.bucket(BUCKET)
        assert len((await bucket.put("k", b"v")).acked) == 3
        assert len((await bucket.get("k")).replied) == 3
        assert len((await bucket.get("k", r=1)).replied) == 1
    node, key = cluster["n1"], routing_key(BUCKET, "k")
    (sibling,) = decode_record(node.replica.get(node.view.partition_of(key), key)).siblings
    left_ms = sibling.expires_ms - node.environment.clock.wall_ms()
    assert 3_500_000 < left_ms <= 3_600_000


# --- an expired value is its own tombstone -------------------------------------------------------


def copies(cluster, key: str) -> set[bytes | None]:
    """What the nodes hold of a key, each state once."""
    routing = routing_key(BUCKET, key)
    return {n.replica.get(n.view.partition_of(routing), routing) for n in cluster.nodes}


async def expired(store, cluster, key: str, ttl: float = 0.02) -> bytes:
    """Put a value that expires, on all nodes, and wait until it has; its record."""
    bucket = store.bucket(BUCKET)
    await bucket.put(key, b"short", ttl=ttl, w="all")
    (record,) = copies(cluster, key)
    assert record is not None
    gone_ms = decode_record(record).siblings[0].expires_ms
    await until(lambda: all(n.environment.clock.wall_ms() >= gone_ms for n in cluster.nodes))
    return record


async def test_an_expired_value_is_deleted_for_every_reader_and_the_same_bytes_everywhere(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1", "n2") as store:
        record = await expired(store, cluster, "k")
        bucket = store.bucket(BUCKET)
        found = await bucket.get("k", r="all")
        assert (found.exists, found.values) == (False, ())
        for name in ("n1", "n2", "n3"):
            assert not (await bucket.get("k", node=name)).exists
        assert [key async for key in bucket.scan()] == []
        assert (await bucket.delete("k")).acked == (), "there is nothing to delete"
        explained = await store.admin.explain(BUCKET, "k")
        assert [h.tombstone for h in explained.holdings] == [True] * 3
        assert [len(h.dots) for h in explained.holdings] == [1] * 3
        assert copies(cluster, "k") == {record}, "nothing was written to expire it"


async def test_a_put_takes_the_place_of_an_expired_value(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        bucket = store.bucket(BUCKET)
        for key in ("a", "b", "c", "d"):
            await expired(store, cluster, key)
        done = await bucket.put("a", b"new", context=await bucket.get("a"))
        assert done.siblings_count == 1
        await bucket.put("b", b"new", if_absent=True)
        assert (await bucket.get("b")).one() == b"new"
        assert (await bucket.overwrite("c", b"new")).siblings_count == 1
        seen: list[object] = []
        done = await bucket.update("d", lambda value: seen.append(value) or b"new")
        assert (seen, done.siblings_count) == ([None], 1)


async def test_a_replica_that_was_away_cannot_bring_an_expired_value_back(cluster):
    """It has the value that the expiring one superseded; repair is to leave it gone."""
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        bucket = store.bucket(BUCKET)
        done = await bucket.put("k", b"long", w="all")
        await cluster.stop("n3")
        await cluster.wait_down("n3")
        await bucket.put("k", b"short", context=done, ttl=0.02, w=2)
        record = cluster["n1"].replica.get(cluster.partition_of("k"), routing_key(BUCKET, "k"))
        await cluster.start("n3")
        await cluster.wait_up("n3")
        await bucket.get("k", r="all")
        await cluster.wait_for(lambda: copies(cluster, "k") == {record})
        gone_ms = decode_record(record).siblings[0].expires_ms
        await until(lambda: cluster["n1"].environment.clock.wall_ms() >= gone_ms)
        for name in ("n1", "n2", "n3"):
            assert not (await bucket.get("k", node=name)).exists


async def test_a_delete_beside_a_put_hides_it_where_the_last_write_wins(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        bucket = store.bucket(BUCKET)
        first = await bucket.put("k", b"one")
        await bucket.put("k", b"two", context=first)
        await bucket.delete("k", context=first, w="all")
        assert (await bucket.get("k")).values == (b"two",)
        await store.admin.set_bucket(BUCKET, resolver="last_write_wins")
        await cluster.wait_for(lambda: all(has(node, bucket=BUCKET) for node in cluster.nodes))
        await bucket.get("k")
        await until(lambda: store._requests.properties_of(BUCKET).resolver != "")
        found = await bucket.get("k")
        assert (found.exists, [s.value for s in found.siblings]) == (False, [b"two"])
        assert [key async for key in bucket.scan()] == []
        await bucket.put("k", b"three", if_absent=True)
        assert (await bucket.get("k")).one() == b"three"
