"""Hints in whole clusters: kept while a node is away, brought home, and gone only then."""

from __future__ import annotations

import trio

from dynamo_py.errors import QuorumNotMet, StorageError
from dynamo_py.storage.engine import Space
from dynamo_py.wire.messages import HintFigures, TableEntry

BUCKET = "bucket"
AWAY = "n4"
KEYS = [f"key{number}" for number in range(40)]


def hints_of(cluster) -> int:
    """Hints of all nodes that run, committed and counted ones alike."""
    assert all(node.replica.hints.is_counted for node in cluster.nodes)
    counted = sum(len(node.replica.hints.targets()) for node in cluster.nodes)
    return counted + sum(node.committer.stats().hints for node in cluster.nodes)


def is_counted(cluster) -> bool:
    return all(node.replica.hints.is_counted for node in cluster.nodes)


async def wait_home(cluster) -> None:
    await cluster.wait_for(lambda: is_counted(cluster) and not hints_of(cluster))


async def put_all(store, keys=KEYS, *, value=b"") -> list[str]:
    """Puts each key; those that a node keeps for `AWAY`."""
    hinted = []
    for key in keys:
        done = await store.bucket(BUCKET).put(key, value or key.encode(), w="all")
        if any(hint.target == AWAY for hint in done.hinted):
            hinted.append(key)
    return hinted


async def own_copies(cluster, store, keys, name) -> list[str]:
    """Which of the keys the node holds itself."""
    bucket = store.bucket(BUCKET)
    return [key for key in keys if (await bucket.get(key, node=name)).values == (key.encode(),)]


async def without_one(cluster, store) -> list[str]:
    """Four nodes of which one is away; the keys that are kept for it."""
    await cluster.stop(AWAY)
    await cluster.wait_down(AWAY)
    hinted = await put_all(store)
    assert len(hinted) > 10
    return hinted


async def test_what_was_put_while_a_node_was_away_comes_home_without_anybody_reading(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        hinted = await without_one(cluster, store)
        assert sum(node.committer.stats().hints for node in cluster.nodes) == len(hinted)
        found = await store.admin.hints()
        assert sum(kept.hints for kept in found.kept) == len(hinted)
        assert {kept.target for kept in found.kept} == set(found.silent) == {AWAY}
        assert all(kept.bytes and kept.eta_s == -1 for kept in found.kept)
        await cluster.start(AWAY)
        await wait_home(cluster)
        assert await own_copies(cluster, store, hinted, AWAY) == hinted
        await cluster.wait_up(AWAY)
        assert await store.admin.hints() == HintFigures([], 0, [], [])


async def test_reads_are_degraded_while_hints_wait_for_one_that_votes_and_not_afterwards(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        hinted = await without_one(cluster, store)
        away = cluster[AWAY]._me
        await cluster.wait_for(lambda: all(node.view.hinted == {away} for node in cluster.nodes))
        for node in cluster.nodes:
            node.hint_replay._view = lambda node=node: _NobodyUp(node.view)
        await cluster.start(AWAY)
        await cluster.wait_up(AWAY)
        await cluster.wait_for(lambda: cluster[AWAY].view.hinted == {away})
        bucket = store.bucket(BUCKET)
        assert (await bucket.get(hinted[0], r="all")).degraded
        for node in cluster.nodes:
            node.hint_replay._view = lambda node=node: node.view
            node.hint_replay.notify()
        await wait_home(cluster)
        await cluster.wait_for(lambda: not any(node.view.hinted for node in cluster.nodes))
        assert not (await bucket.get(hinted[0], r="all")).degraded


class _NobodyUp:
    """A view by which every target is down: replay waits."""

    def __init__(self, view) -> None:
        self._view = view

    def __getattr__(self, name):
        return getattr(self._view, name)

    def is_up(self, node) -> bool:
        return False


async def test_a_holder_that_was_restarted_meanwhile_hands_back_what_it_kept(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        hinted = await without_one(cluster, store)
        for name in ("n1", "n2", "n3"):
            await cluster.stop(name)
            await cluster.start(name)
        assert sum(node.committer.stats().hints for node in cluster.nodes) == len(hinted)
        await cluster.start(AWAY)
        await wait_home(cluster)
    async with cluster.store_at(AWAY) as store:
        assert await own_copies(cluster, store, hinted, AWAY) == hinted


async def test_a_target_whose_commits_fail_confirms_nothing_and_loses_nothing(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        hinted = await without_one(cluster, store)
        for node in cluster.nodes:
            node.hint_replay._view = lambda node=node: _NobodyUp(node.view)
        target = await cluster.start(AWAY)
        await cluster.wait_up(AWAY)
        engine, failures = target.committer.engine, []
        apply = engine.apply

        def fail_at_first(batch):
            if any(change.space is Space.RECORDS for change in batch) and not failures:
                failures.append(batch)
                raise StorageError("the disk hiccups")
            apply(batch)

        engine.apply = fail_at_first
        for node in cluster.nodes:
            node.hint_replay._view = lambda node=node: node.view
            node.hint_replay.notify()
        await cluster.wait_for(lambda: bool(failures))
        await wait_home(cluster)
        assert await own_copies(cluster, store, hinted, AWAY) == hinted


async def test_hints_for_a_node_that_is_a_primary_no_more_go_to_those_that_are(cluster):
    await cluster.start_many(5)
    async with cluster.store_at("n1", "n2", "n3", "n5") as store:
        hinted = await without_one(cluster, store)
        state = cluster["n1"].membership.state
        gone, others = cluster[AWAY]._me, [node._me for node in cluster.nodes]
        decree = [
            TableEntry(token, 1, 1, others[token % len(others)])
            for token, owner in enumerate(state.table.owners)
            if owner == gone
        ]
        await state.decide(decree)
        await cluster.wait_for(lambda: len({node.view.table.digest for node in cluster.nodes}) == 1)
        await wait_home(cluster)
        view = cluster["n1"].view
        for key in hinted:
            place = (cluster.partition_of(key), f"{BUCKET}\0{key}".encode())
            for primary in view.preference_list(place[0]).primaries:
                holder = next(node for node in cluster.nodes if node._me == primary)
                assert holder.replica.get(*place) is not None, key


async def test_a_full_store_refuses_and_the_write_says_that_too_few_have_it(make_cluster):
    cluster = make_cluster(hint_bytes=1024**2)
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        await cluster.stop(AWAY)
        await cluster.wait_down(AWAY)
        value = bytes(200_000)
        kept = refused = 0
        for key in KEYS:
            if refused == 3:
                break
            if AWAY not in cluster.sets_of_primaries()[cluster.partition_of(key)]:
                continue
            try:
                await store.bucket(BUCKET).put(key, value, w=3, timeout=0.3)
                kept += 1
            except QuorumNotMet:
                refused += 1
                done = await store.bucket(BUCKET).put(key, value, w=2)
                assert (done.primaries, done.hinted) == (2, ())
        assert kept >= 5, "so many fit into one holder"
        assert refused == 3
        assert sum(node.replica.hints.refused for node in cluster.nodes) >= refused
        assert all(node.replica.hints.size_bytes <= 1024**2 for node in cluster.nodes)


async def test_clients_go_on_while_hints_are_handed_back(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1", "n2", "n3") as store:
        await cluster.stop(AWAY)
        await cluster.wait_down(AWAY)
        keys = [f"more{number}" for number in range(200)]
        hinted = await put_all(store, keys)
        await cluster.start(AWAY)
        done = 0
        with trio.fail_after(15):
            while not (is_counted(cluster) and not hints_of(cluster)):
                await store.bucket(BUCKET).put(f"other{done}", b"v")
                done += 1
        assert done
        assert await own_copies(cluster, store, hinted, AWAY) == hinted
