"""What a cluster says about itself while all is well, and while it is not."""

from __future__ import annotations

import re
from pathlib import Path

BUCKET = "bucket"


async def test_a_cluster_at_rest_is_converged_and_waits_for_nothing(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n2") as store:
        status = await store.admin.status()
        assert status.converged
        assert status.waiting_for == []
        assert [node.name for node in status.nodes] == ["n1", "n2", "n3"]
        assert sum(node.tokens for node in status.nodes) == status.partitions == 32
        assert {node.state for node in status.nodes} == {"up"}
        assert {(node.keys, node.hints, node.incomplete) for node in status.nodes} == {(0, 0, 0)}


async def test_what_is_stored_and_what_is_not_there_is_told(cluster):
    await cluster.start_many(3)
    async with cluster.store_at("n1") as store:
        await store.bucket(BUCKET).put("k", b"v", w="all")
        await cluster.stop("n3")
        await cluster.wait_down("n3")
        status = await store.admin.status()
        by_name = {node.name: node for node in status.nodes}
        assert by_name["n1"].keys == by_name["n2"].keys == 1
        assert (by_name["n3"].state, by_name["n3"].keys) == ("down", -1)
        assert status.waiting_for == ["n3 is down"]
        assert status.converged, "those that live agree"


async def test_all_nodes_tell_clients_the_same_ring(cluster):
    await cluster.start_many(3)
    rings = []
    for name in ("n1", "n2", "n3"):
        async with cluster.store_at(name) as store:
            rings.append(await store.admin.ring())
    assert {ring.digest for ring in rings} == {cluster["n1"].view.table.digest}
    assert rings[0].owners == rings[1].owners == rings[2].owners
    addresses = {node.client_address for node in rings[0].nodes}
    assert addresses == {run.addresses["client"] for run in cluster.runs.values()}


async def test_explain_shows_who_holds_what_of_a_key_and_for_whom(cluster):
    await cluster.start_many(5)
    primaries = cluster.sets_of_primaries()[0]
    key = cluster.key_of(primaries=primaries)
    left, *_, gone = sorted(primaries)
    await cluster.crash(gone)
    async with cluster.store_at(left) as store:
        await store.bucket(BUCKET).put(key, b"v", w=3)
        found = await store.admin.explain(BUCKET, key)
    assert found.partition == cluster.partition_of(key)
    assert set(found.primaries) == primaries
    assert set(found.fallbacks) == {f"n{k + 1}" for k in range(5)} - primaries
    by_name = {holding.node: holding for holding in found.holdings}
    assert [h.node for h in found.holdings][:5] == [*found.primaries, *found.fallbacks]
    assert by_name[left].answer == "record"
    assert by_name[left].role == "primary"
    assert len(by_name[left].dots) == by_name[left].siblings == 1
    (hint,) = [holding for holding in found.holdings if holding.answer == "hint"]
    assert (hint.role, hint.hinted_for) == ("fallback", [gone])
    assert by_name[gone].answer not in ("record", "hint", "nothing")


async def test_each_figure_of_a_node_is_explained_to_its_operator(cluster):
    await cluster.start_many(1)
    async with cluster.store_at("n1") as store:
        await store.bucket(BUCKET).put("k", b"v")
        await cluster["n1"].throttle.slice()
    document = (Path(__file__).parents[2] / "docs" / "OPERATIONS.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in document.splitlines() if line.startswith("| `")]
    explained = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert set(cluster["n1"].figures()) <= explained
