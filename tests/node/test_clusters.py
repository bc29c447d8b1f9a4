"""Clusters of one, three and five nodes: found, join, converge, store, go on without some."""

from __future__ import annotations

import shutil

import pytest
import trio

from dynamo_py.errors import NodeUnavailable, WrongState
from dynamo_py.storage.engine import Change, Space
from dynamo_py.wire.messages import Get, Put, Quorum

BUCKET = "bucket"


async def test_one_node_founds_a_cluster_and_serves_it(cluster):
    await cluster.start_many(1)
    node = cluster["n1"]
    assert len(node.view.ring.tokens_of(node._me)) == 32
    assert node.completeness.statistics() == {"held": 32, "complete": 32}
    async with cluster.store_at("n1") as store:
        done = await store.bucket(BUCKET).put("k", b"v")
        assert (done.acked, done.degraded) == (("n1",), False)
        assert (await store.bucket(BUCKET).get("k")).values == (b"v",)


async def test_nodes_that_join_get_their_share_of_tokens_and_the_right_to_vote(cluster):
    await cluster.start_many(3)
    owned = [len(n.view.ring.tokens_of(n._me)) for n in cluster.nodes]
    assert sorted(owned) == [10, 11, 11]
    for node in cluster.nodes:
        assert node.completeness.statistics() == {"held": 32, "complete": 32}


async def test_what_is_put_at_one_node_is_read_at_another(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as one, cluster.store_at("n3") as other:
        done = await one.bucket(BUCKET).put("k", b"v", w="all")
        assert set(done.acked) == {"n1", "n2", "n3"}
        found = await other.bucket(BUCKET).get("k", r=1)
        assert found.values == (b"v",)
        assert not found.degraded
        await other.bucket(BUCKET).delete("k", context=found)
        assert not (await one.bucket(BUCKET).get("k")).exists


async def test_n_in_force_grows_with_the_members(cluster):
    await cluster.start("n1")
    assert cluster["n1"].view.ring.replicas_in_force == 1
    for count in (2, 3, 4):
        await cluster.start(f"n{count}")
        await cluster.wait_settled()
        assert {n.view.ring.replicas_in_force for n in cluster.nodes} == {min(count, 3)}
    assert all(len(primaries) == 3 for primaries in cluster.sets_of_primaries())


async def test_nodes_that_are_started_at_the_same_moment_all_get_in(cluster):
    await cluster.start("n1")
    async with trio.open_nursery() as nursery:
        for k in (2, 3, 4, 5):
            nursery.start_soon(cluster.start, f"n{k}")
    await cluster.wait_settled()
    owned = sorted(len(n.view.ring.tokens_of(n._me)) for n in cluster.nodes)
    assert owned == [6, 6, 6, 7, 7]


async def test_a_node_joins_a_cluster_that_holds_data_and_one_of_whose_members_is_down(cluster):
    await cluster.start_many(2)
    async with cluster.store_at("n1") as store:
        await store.bucket(BUCKET).put("k", b"v")
    await cluster.crash("n2")
    await cluster.start("n3")
    assert {seen.name for seen in cluster["n1"].view.nodes.values()} == {"n1", "n2", "n3"}


async def test_a_name_is_given_once(cluster, tmp_path):
    await cluster.start_many(1)
    with pytest.raises(WrongState, match="a node of the name 'n1' already"):
        await cluster.start(
            "n1",
            data_dir=str(tmp_path / "another"),
            seeds=cluster.seeds("n1"),
            listen=None,
            peer_listen="127.0.0.1:0",
        )


# --- going on without some ----------------------------------------------------------------------


async def test_a_node_that_is_stopped_and_started_has_kept_its_data(cluster):
    await cluster.start_many(3)
    keys = [f"k{number}" for number in range(50)]
    async with cluster.store_at("n1") as store:
        for key in keys:
            await store.bucket(BUCKET).put(key, key.encode(), w="all")
    held = cluster["n2"].committer.stats().records
    assert held == 50
    await cluster.stop("n2")
    await cluster.start("n2")
    await cluster.wait_settled()
    assert cluster["n2"].committer.stats().records == held
    assert cluster["n2"].completeness.statistics() == {"held": 32, "complete": 32}
    async with cluster.store_at("n2") as store:
        for key in keys:
            found = await store.bucket(BUCKET).get(key, node="n2")
            assert found.values == (key.encode(),)


async def test_all_nodes_find_each_other_again_after_all_were_stopped(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await store.bucket(BUCKET).put("k", b"v", w="all")
    for name in ("n1", "n2", "n3"):
        await cluster.stop(name)
    for name in ("n3", "n1", "n2"):
        await cluster.start(name)
    await cluster.wait_settled()
    async with cluster.store_at("n3") as store:
        assert (await store.bucket(BUCKET).get("k", r="all")).values == (b"v",)


async def test_two_of_three_nodes_go_on_and_the_third_catches_up_by_read_repair(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1", "n2", "n3") as store:
        bucket = store.bucket(BUCKET)
        before = await bucket.put("k", b"old", w="all")
        await cluster.crash("n3")
        began = trio.current_time()
        done = await bucket.put("k", b"new", context=before)
        assert "n3" not in done.acked
        assert (await bucket.get("k")).values == (b"new",)
        await cluster.wait_down("n3")
        assert trio.current_time() - began < 5, "noticed within 5 s"
        await cluster.start("n3")
        began = trio.current_time()
        await cluster.wait_up("n3")
        assert trio.current_time() - began < 5, "and the return too"
        assert (await bucket.get("k", node="n3")).values == (b"old",)
        assert (await bucket.get("k", r="all")).values == (b"new",)
        n1, n3 = cluster["n1"].replica, cluster["n3"].replica
        place = (cluster.partition_of("k"), f"{BUCKET}\0k".encode())
        await cluster.wait_for(lambda: n3.get(*place) == n1.get(*place))


async def test_a_node_that_stops_on_purpose_is_down_at_once(cluster):
    await cluster.start_many(3)
    await cluster.stop("n3")
    began = trio.current_time()
    await cluster.wait_down("n3")
    assert trio.current_time() - began < 1


# --- five nodes ---------------------------------------------------------------------------------


async def test_a_request_at_a_node_that_is_no_primary_is_forwarded_once(cluster):
    await cluster.start_many(5)
    primaries = cluster.sets_of_primaries()[0]
    outsider = sorted({f"n{k + 1}" for k in range(5)} - primaries)[0]
    key = cluster.key_of(primaries=primaries)
    routing = f"{BUCKET}\0{key}".encode()
    put = Put(routing, b"v", b"", bytes(16), 0, Quorum(), 0)
    stored = await cluster[outsider].requests.ask(put, timeout_s=5)
    assert set(stored.acked) <= primaries
    assert not stored.hinted
    assert cluster[outsider].is_empty(), "the outsider kept nothing"
    get = Get(routing, Quorum(), 0)
    fetched = await cluster[outsider].requests.ask(get, timeout_s=5)
    assert set(fetched.replied) <= primaries
    assert not fetched.degraded


async def test_with_two_of_five_gone_a_put_lands_on_fallbacks_and_is_read_back(cluster):
    await cluster.start_many(5)
    primaries = cluster.sets_of_primaries()[0]
    key = cluster.key_of(primaries=primaries)
    left, *gone = sorted(primaries)
    for name in gone:
        await cluster.crash(name)
    fallbacks = {f"n{k + 1}" for k in range(5)} - primaries
    async with cluster.store_at(left) as store:
        bucket = store.bucket(BUCKET)
        done = await bucket.put(key, b"v", w=3)
        assert set(done.acked) == {left, *fallbacks}
        assert {(h.holder in fallbacks, h.target in gone) for h in done.hinted} == {(True, True)}
        assert (done.degraded, done.primaries) == (True, 1)
        found = await bucket.get(key)
        assert found.values == (b"v",)
        assert found.degraded
    for name in sorted(fallbacks):
        hint = cluster[name].replica.get_hint(
            cluster.partition_of(key), f"{BUCKET}\0{key}".encode()
        )
        assert hint is not None
        assert {cluster.name_of(target) for target in hint.targets} <= set(gone)


async def test_with_all_three_primaries_gone_a_put_is_taken_all_the_same(cluster):
    await cluster.start_many(5)
    primaries = cluster.sets_of_primaries()[0]
    key = cluster.key_of(primaries=primaries)
    for name in sorted(primaries):
        await cluster.crash(name)
    left = sorted({f"n{k + 1}" for k in range(5)} - primaries)
    async with cluster.store_at(*left) as store:
        done = await store.bucket(BUCKET).put(key, b"v")
        assert sorted(done.acked) == left
        assert done.primaries == 0
        assert (await store.bucket(BUCKET).get(key)).values == (b"v",)


# --- the right to vote --------------------------------------------------------------------------


async def test_a_copy_that_lost_its_records_does_not_vote_until_it_has_them_again(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        bucket = store.bucket(BUCKET)
        await bucket.put("k", b"v", w="all")
        routing = f"{BUCKET}\0k".encode()
        partition = cluster.partition_of("k")
        loser = cluster["n2"]
        lost: list[object] = []
        loser.committer.submit((Change(Space.RECORDS, partition, routing, None),), lost.append)
        loser.background.completing.on_damage(partition)
        assert not loser.completeness.is_complete(partition)
        await cluster.wait_for(lambda: loser.completeness.is_complete(partition))
        assert lost == [None]
        assert (await bucket.get("k", node="n2")).values == (b"v",)


async def test_a_copy_cannot_be_completed_while_a_source_is_gone(cluster):
    await cluster.start_many(3)
    await cluster.crash("n3")
    loser = cluster["n2"]
    loser.background.completing.on_damage(0)
    n1, n3 = cluster["n1"]._me, cluster["n3"]._me
    await cluster.wait_for(lambda: loser.completeness.sources(0) == (n3,))
    async with cluster.store_at("n1") as store:
        key = cluster.key_in(0)
        assert (await store.bucket(BUCKET).get(key)).degraded
    await cluster.start("n3")
    await cluster.wait_for(lambda: loser.completeness.is_complete(0))
    assert n1 not in loser.completeness.sources(0)


# --- lost directories ---------------------------------------------------------------------------


async def test_a_node_that_lost_its_directory_comes_back_as_itself_and_is_refilled(
    cluster, tmp_path
):
    await cluster.start_many(3)
    keys = [f"k{number}" for number in range(30)]
    async with cluster.store_at("n1") as store:
        for key in keys:
            await store.bucket(BUCKET).put(key, key.encode(), w="all")
    node, n3 = cluster["n2"]._me, cluster["n3"]._me
    await cluster.stop("n2")
    shutil.rmtree(tmp_path / "n2")
    await cluster.wait_down("n2")
    await cluster.stop("n3")
    returned = await cluster.start("n2", seeds=cluster.seeds("n1"))
    assert returned._me == node
    assert len(returned.view.nodes) == 3
    await cluster.wait_for(lambda: {returned.completeness.sources(p) for p in range(32)} == {(n3,)})
    assert not returned.is_ready, "what n3 alone may have is missing"
    await cluster.start("n3")
    await cluster.wait_settled()
    assert returned.completeness.statistics() == {"held": 32, "complete": 32}
    async with cluster.store_at("n2") as store:
        for key in keys:
            assert (await store.bucket(BUCKET).get(key, node="n2")).values == (key.encode(),)
    await cluster.stop("n2")
    await cluster.start("n2")
    await cluster.wait_settled()
    assert cluster["n2"]._me == node


async def test_one_that_lost_its_directory_is_known_again_after_all_were_stopped(cluster, tmp_path):
    await cluster.start_many(3)
    node = cluster["n3"]._me
    for name in ("n1", "n2", "n3"):
        await cluster.stop(name)
    shutil.rmtree(tmp_path / "n3")
    await cluster.start("n1")
    await cluster.start("n2")
    returned = await cluster.start("n3", seeds=cluster.seeds("n1"))
    await cluster.wait_settled()
    assert returned._me == node
    assert {len(n.view.nodes) for n in cluster.nodes} == {3}


async def test_a_lost_node_at_another_address_is_refused_with_what_to_do(cluster, tmp_path):
    await cluster.start_many(2)
    address = cluster.runs["n2"].addresses["peer"]
    await cluster.stop("n2")
    shutil.rmtree(tmp_path / "n2")
    await cluster.wait_down("n2")
    with pytest.raises(WrongState, match=f"already, at {address}: .* start it at this address"):
        await cluster.start("n2", seeds=cluster.seeds("n1"), peer_listen="127.0.0.1:0")


# --- directories and ports ----------------------------------------------------------------------


async def test_a_directory_in_use_is_refused(cluster):
    await cluster.start_many(1)
    with pytest.raises(WrongState, match="in use by process"):
        await cluster.start("n1")
    assert cluster["n1"].is_ready


async def test_a_directory_of_another_cluster_is_refused(cluster):
    await cluster.start_many(1)
    await cluster.stop("n1")
    with pytest.raises(WrongState, match="belongs to the cluster 'dynamo', not to 'other'"):
        await cluster.start("n1", cluster="other")


async def test_a_node_of_another_cluster_of_the_same_name_is_not_let_in(make_cluster, tmp_path):
    one, other = make_cluster(), make_cluster(data_dir=str(tmp_path / "other"))
    await one.start_many(1)
    await other.start_many(1)
    await other.stop("n1")
    await other.start("n1", seeds=one.seeds("n1"))
    with pytest.raises(NodeUnavailable, match="another cluster of the name"):
        await other["n1"].links.wait_connected(one.runs["n1"].addresses["peer"])
    assert len(one["n1"].view.nodes) == len(other["n1"].view.nodes) == 1


async def test_a_directory_whose_records_are_lost_founds_no_second_cluster(cluster, tmp_path):
    await cluster.start_many(1)
    await cluster.stop("n1")
    for file in (tmp_path / "n1").glob("store.sqlite3*"):
        file.unlink()
    with pytest.raises(WrongState, match="its records are lost"):
        await cluster.start("n1")


@pytest.mark.parametrize("role", ["listen", "peer_listen", "http_listen"])
async def test_a_port_in_use_is_a_refusal_and_frees_the_directory(cluster, tmp_path, role):
    await cluster.start_many(1)
    taken = cluster.runs["n1"].addresses["client"]
    with pytest.raises(WrongState, match=f"cannot listen on {taken}: address already in use"):
        await cluster.start("n2", **{role: taken})
    assert not cluster["n1"].view.named("n2")
    await cluster.start("n2")
    await cluster.wait_settled()
