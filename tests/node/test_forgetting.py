"""Deletes in whole clusters: forgotten once all members have shown that nothing older is left."""

from __future__ import annotations

import trio

from dynamo_py.causality import decode_record
from dynamo_py.errors import Damaged
from dynamo_py.upkeep.forgetting import Forgetting

BUCKET = "bucket"
KEYS = [f"key{number}" for number in range(12)]
SOON = {"forget_after_s": 0.05, "exchange_interval_s": 0.2}


def routing_key(key: str) -> bytes:
    return f"{BUCKET}\0{key}".encode()


def held(node, key: str):
    """The node's own copy, pending changes included."""
    place = routing_key(key)
    return node.replica.get(node.view.partition_of(place), place)


def holders(cluster, keys=KEYS) -> list[str]:
    """The nodes, once for each of the keys of which they hold a copy."""
    return [node.config.name for node in cluster.nodes for key in keys if held(node, key)]


async def wait_forgotten(cluster, keys=KEYS) -> None:
    await cluster.wait_for(lambda: not holders(cluster, keys))


async def put_all(store, keys=KEYS) -> None:
    for key in keys:
        await store.bucket(BUCKET).put(key, b"value", w="all")


async def delete_all(store, keys=KEYS) -> None:
    for key in keys:
        await store.bucket(BUCKET).delete(key)


def forgotten(cluster) -> int:
    return sum(node.background.forgetting.dropped for node in cluster.nodes)


async def values(store, keys=KEYS) -> list[tuple[bytes, ...]]:
    return [(await store.bucket(BUCKET).get(key, r="all")).values for key in keys]


async def lines(store, word: str = "forgetting") -> list[str]:
    """What `cluster status` says that forgetting waits for."""
    status = await store.admin.status()
    return [line for line in status.waiting_for if line.startswith(word)]


async def test_deleted_keys_leave_nothing_behind_once_all_members_are_up(make_cluster):
    cluster = make_cluster(**SOON)
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2") as store:
        await put_all(store)
        await delete_all(store)
        await wait_forgotten(cluster)
        await cluster.wait_for(lambda: forgotten(cluster) >= len(KEYS))
        assert await values(store) == [()] * len(KEYS)
        for node in cluster.nodes:
            node.trees._check()
            assert not node.background.forgetting.waits()
        await cluster.wait_for(lambda: all(not n.forgettable.count for n in cluster.nodes))
        assert await lines(store) == []


async def test_a_value_that_expired_goes_the_same_way(make_cluster):
    cluster = make_cluster(**SOON)
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        for key in KEYS:
            await store.bucket(BUCKET).put(key, b"value", w="all", ttl=0.3)
        assert await values(store) == [(b"value",)] * len(KEYS)
        await wait_forgotten(cluster)


async def test_a_key_that_was_written_by_many_keeps_its_value_and_the_live_entry_alone(
    make_cluster,
):
    cluster = make_cluster(**SOON)
    await cluster.start_many(3)
    done = None
    for name in ("n1", "n2", "n3"):
        async with cluster.store_at(name) as store:
            bucket = store.bucket(BUCKET)
            done = await bucket.put("key", name.encode(), context=done, w="all")
    for name in ("n1", "n2"):  # Their processes' actors are no more, and named in vectors still.
        await cluster.stop(name)
        await cluster.start(name)
        await cluster.wait_settled()
        async with cluster.store_at(name) as store:
            found = await store.bucket(BUCKET).get("key")
            await store.bucket(BUCKET).put("key", b"again", context=found, w="all")

    def vectors() -> set[int]:
        records = [decode_record(held(node, "key")) for node in cluster.nodes]
        assert all(record.values(0)[0].value == b"again" for record in records)
        return {len(record.vector.entries) for record in records}

    await cluster.wait_for(lambda: vectors() == {1})
    async with cluster.store_at("n1") as store:
        assert await values(store, ["key"]) == [(b"again",)]
        assert len((await store.bucket(BUCKET).get("key")).siblings) == 1


async def test_nothing_is_forgotten_while_a_member_is_down_and_it_is_said_and_goes_on_later(
    make_cluster,
):
    cluster = make_cluster(**SOON)
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        await put_all(store)
        await cluster.crash("n4")
        await cluster.wait_down("n4")
        await delete_all(store)
        await cluster.wait_for(lambda: sum(w.keys for n in cluster.nodes for w in waits(n)) > 0)
        await trio.sleep(0.5)
        assert forgotten(cluster) == 0
        assert await lines(store) == [f"forgetting {len(KEYS)} keys waits for n4, which is down"]
        await cluster.start("n4")
        await wait_forgotten(cluster)
        await cluster.wait_up("n4")
        assert await values(store) == [()] * len(KEYS)


def waits(node):
    return node.background.forgetting.waits()


async def test_a_member_without_any_copy_holds_it_up_as_well(make_cluster):
    cluster = make_cluster(**SOON)
    await cluster.start_many(4)
    key = cluster.key_of(primaries={"n1", "n2", "n3"})
    async with cluster.store_at("n1") as store:
        await put_all(store, [key])
        await cluster.stop("n4")
        await cluster.wait_down("n4")
        await delete_all(store, [key])
        await trio.sleep(0.5)
        assert forgotten(cluster) == 0
        assert await lines(store) == ["forgetting 1 key waits for n4, which is down"]
        await cluster.start("n4")
        await wait_forgotten(cluster, [key])


async def test_a_hint_anywhere_holds_it_up(make_cluster):
    cluster = make_cluster(**SOON)
    await cluster.start_many(4)
    key = cluster.key_of(primaries={"n1", "n2", "n3"})
    place = routing_key(key)
    async with cluster.store_at("n1") as store:
        await put_all(store, [key])
        node, view = cluster["n4"], cluster["n4"].view
        old = held(cluster["n1"], key)
        node.hint_replay._view = lambda: _NobodyUp(node.view)
        node.replica.merge(
            view.partition_of(place), place, old, hinted_for=cluster["n1"]._me, on_commit=print
        )
        await delete_all(store, [key])
        await cluster.wait_for(
            lambda: any("hints" in w.reason for n in cluster.nodes for w in waits(n))
        )
        await trio.sleep(0.3)
        assert forgotten(cluster) == 0
        assert await lines(store) == ["forgetting 1 key waits for n4, which keeps hints for them"]
        node.hint_replay._view = lambda: node.view
        node.hint_replay.notify()
        await wait_forgotten(cluster, [key])
        assert await values(store, [key]) == [()]


class _NobodyUp:
    """A view by which every target is down: replay waits."""

    def __init__(self, view) -> None:
        self._view = view

    def __getattr__(self, name):
        return getattr(self._view, name)

    def is_up(self, node) -> bool:
        return False


async def test_keys_that_are_deleted_and_made_again_and_again_are_what_was_done_last(make_cluster):
    cluster = make_cluster(forget_after_s=0.0, exchange_interval_s=0.2)
    await cluster.start_many(3)

    async def churn(store, key: str) -> None:
        bucket = store.bucket(BUCKET)
        for number in range(9):
            done = await bucket.put(key, str(number).encode(), context=await bucket.get(key))
            await bucket.delete(key, context=done)
            if number % 4 == 0:
                await wait_forgotten(cluster, [key])
                assert (await bucket.get(key)).values == ()
        if key in KEYS[::2]:
            await bucket.put(key, b"last")

    async with cluster.store_at("n1", "n2", "n3") as store:
        async with trio.open_nursery() as nursery:
            for key in KEYS:
                nursery.start_soon(churn, store, key)
        await wait_forgotten(cluster, KEYS[1::2])
        assert await values(store, KEYS[::2]) == [(b"last",)] * len(KEYS[::2])
        await cluster.wait_for(lambda: forgotten(cluster) >= 3 * len(KEYS))


async def test_a_key_that_is_made_again_during_the_proof_is_not_lost(make_cluster, monkeypatch):
    cluster = make_cluster(**SOON)
    await cluster.start_many(3)
    let_go, written = Forgetting._let_go, []
    async with cluster.store_at("n1") as store:

        async def write_first(self, batch):
            if not written:
                written.append(sorted(batch.rows))
                await store.bucket(BUCKET).put("key0", b"again")
            return await let_go(self, batch)

        monkeypatch.setattr(Forgetting, "_let_go", write_first)
        await put_all(store, ["key0"])
        await delete_all(store, ["key0"])
        await cluster.wait_for(lambda: bool(written))
        await trio.sleep(0.5)
        assert written == [[routing_key("key0")]]
        assert await values(store, ["key0"]) == [(b"again",)]


async def test_what_was_stored_between_proof_and_confirmation_is_no_longer_proved(
    make_cluster, monkeypatch
):
    cluster = make_cluster(**SOON)
    await cluster.start_many(4)
    key = cluster.key_of(primaries={"n1", "n2", "n3"})
    place = routing_key(key)
    confirm, surfaced = Forgetting._confirm, []
    async with cluster.store_at("n1") as store:
        await put_all(store, [key])
        old = held(cluster["n1"], key)

        async def surface(self, batch, waits_for):
            if not surfaced:
                node = cluster["n4"]
                node.hint_replay._view = lambda: _NobodyUp(node.view)
                node.replica.merge(
                    batch.partition,
                    place,
                    old,
                    hinted_for=cluster["n1"]._me,
                    on_commit=surfaced.append,
                )
            await confirm(self, batch, waits_for)

        monkeypatch.setattr(Forgetting, "_confirm", surface)
        await delete_all(store, [key])
        await cluster.wait_for(lambda: bool(surfaced))
        await trio.sleep(0.4)
        assert forgotten(cluster) == 0
        assert len(holders(cluster, [key])) == 3


async def test_candidates_are_found_again_after_a_restart(make_cluster):
    cluster = make_cluster(forget_after_s=3600.0)
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await put_all(store)
        await delete_all(store)
    assert len(holders(cluster)) == 3 * len(KEYS)
    for name in ("n1", "n2", "n3"):
        await cluster.stop(name)
    for name in ("n1", "n2", "n3"):
        await cluster.start(name, **SOON)
    await wait_forgotten(cluster)


async def test_a_damaged_copy_is_mended_first(make_cluster):
    cluster = make_cluster(**SOON)
    await cluster.start_many(3)
    node = cluster["n2"]
    place = routing_key("key0")
    async with cluster.store_at("n1") as store:
        await put_all(store, ["key0"])
        read = node.committer.engine.get

        def damaged(space, partition, key):
            if key == place:
                raise Damaged("a row fails its checksum")
            return read(space, partition, key)

        node.proofs._read_committed = damaged
        await delete_all(store, ["key0"])
        await cluster.wait_for(
            lambda: any("damaged" in w.reason for n in cluster.nodes for w in waits(n))
        )
        assert len(holders(cluster, ["key0"])) == 3
        node.proofs._read_committed = read
        await wait_forgotten(cluster, ["key0"])
