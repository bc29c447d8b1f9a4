"""Whole nodes whose members change: let in, sent away, refused, and back after a while."""

from __future__ import annotations

import logging
import shutil

import pytest
import trio

from dynamo_py.cluster.members import JOINING, MEMBER
from dynamo_py.errors import NodeRemoved, NodeUnavailable, WrongState

BUCKET = "bucket"
MOVED_S = 60.0
"""Longer than an offer lasts of which nothing is heard any more."""


def membership(cluster, name: str, *, at: str = "n1") -> str:
    """What a node is, as another one knows; empty: no member."""
    seen = cluster[at].view.named(name)
    return "" if seen is None else seen.membership


async def end_of(cluster, name: str) -> NodeRemoved | None:
    """Start a node again; what it ends with, before it serves or after."""
    try:
        await cluster.start(name)
    except NodeRemoved as error:
        return error
    await cluster.runs[name].wait_ended()
    return cluster.runs[name].end


async def wait_moved(store) -> None:
    """Wait until nothing is on its way."""
    with trio.fail_after(MOVED_S):
        while True:
            found = await store.admin.transfers()
            if not (found.transfers or found.left or found.cleaning or found.silent):
                return
            await trio.sleep(0.05)


async def remove_dead(cluster, name: str) -> None:
    await cluster.crash(name)
    await cluster.wait_down(name)
    async with cluster.store_at("n1") as store:
        assert (await store.admin.remove(name)).done == [f"{name} is removed"]


async def cannot_give(store) -> list[str]:
    """What the status says of n4's tokens that stay where they are."""
    waits = (await store.admin.status()).waiting_for
    return [line for line in waits if line.startswith("n4 cannot give ")]


async def test_a_node_that_is_to_wait_gets_no_tokens_until_it_is_let_in(cluster):
    await cluster.start_many(2)
    node = await cluster.start("n3", stage=True)
    await cluster.wait_for(lambda: membership(cluster, "n3") == JOINING)
    async with cluster.store_at("n1") as store:
        status = await store.admin.status()
        assert "n3 is staged to join: `dyn-cli cluster plan`, then `commit`" in status.waiting_for
        plan = await store.admin.plan()
        assert plan.staged == ["n3 joins"]
        assert "n3" in {move.receiver for move in plan.moves}
        assert node._me not in cluster["n1"].view.table.owners
        done = await store.admin.commit()
        assert (done.done, done.staged) == (["n3 joins"], [])
    await cluster.wait_for(lambda: bool(node.view.ring.tokens_of(node._me)))
    assert membership(cluster, "n3") == MEMBER


async def test_a_node_that_waits_and_is_sent_away_ends(cluster):
    await cluster.start_many(2)
    await cluster.start("n3", stage=True)
    async with cluster.store_at("n1") as store:
        assert (await store.admin.clear()).done == ["n3 is removed"]
    await cluster.runs["n3"].wait_ended()
    assert isinstance(cluster.runs["n3"].end, NodeRemoved)


async def test_a_node_that_leaves_hands_all_over_and_ends_in_peace(cluster, caplog):
    await cluster.start_many(4)
    async with cluster.store_at("n1") as store:
        for number in range(20):
            await store.bucket(BUCKET).put(f"k{number}", b"v", w="all")
        await wait_moved(store)
        with caplog.at_level(logging.INFO):
            assert (await store.admin.leave("n4")).done == ["n4 leaves"]
            await cluster.runs["n4"].wait_ended()
        assert cluster.runs["n4"].end is None
        assert any(m.startswith("left the cluster node=n4") for m in caplog.messages)
        await cluster.wait_for(lambda: membership(cluster, "n4") == "")
        for number in range(20):
            found = await store.bucket(BUCKET).get(f"k{number}", r="all")
            assert (found.values, found.degraded) == ((b"v",), False)


async def test_the_status_says_what_a_node_that_leaves_cannot_give_and_why(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1") as store:
        for number in range(20):
            await store.bucket(BUCKET).put(f"k{number}", b"v", w="all")
        await wait_moved(store)
        await cluster.crash("n3")
        await cluster.wait_down("n3")
        assert (await store.admin.leave("n4")).done == ["n4 leaves"]
        with trio.fail_after(MOVED_S):
            while True:
                if any(line.endswith("away: n3 is down") for line in await cannot_give(store)):
                    break
                await trio.sleep(0.05)
        await cluster.start("n3")
        await cluster.runs["n4"].wait_ended()
        assert await cannot_give(store) == []


async def test_a_removed_node_that_comes_back_is_refused_with_a_line_in_both_logs(cluster, caplog):
    await cluster.start_many(4)
    async with cluster.store_at("n1") as store:
        with pytest.raises(WrongState, match="n4 is up: let it leave"):
            await store.admin.remove("n4")
    await remove_dead(cluster, "n4")
    assert membership(cluster, "n4") == ""
    with caplog.at_level(logging.INFO):
        error = await end_of(cluster, "n4")
    assert error is not None
    assert "start it on an empty directory to join as a new node" in error.message
    refusals = [m for m in caplog.messages if "node n4 is removed from cluster" in m]
    ours = [m for m in refusals if m.startswith("turned away by a node")]
    theirs = [m for m in refusals if m.startswith("connection refused")]
    assert ours
    assert theirs
    assert membership(cluster, "n4") == ""


async def test_a_node_that_is_removed_while_it_runs_ends(cluster):
    await cluster.start_many(4)
    async with cluster.store_at("n1") as store:
        await store.admin.remove("n4", force=True)
    await cluster.runs["n4"].wait_ended()
    assert isinstance(cluster.runs["n4"].end, NodeRemoved)
    # By its own disk now: nobody has to tell it.
    assert isinstance(await end_of(cluster, "n4"), NodeRemoved)


async def test_on_an_empty_directory_a_removed_node_joins_as_a_new_one(cluster, tmp_path):
    await cluster.start_many(4)
    former = cluster["n4"]._me
    await remove_dead(cluster, "n4")
    shutil.rmtree(tmp_path / "n4")
    node = await cluster.start("n4", seeds=cluster.seeds("n1"))
    assert node._me != former
    await cluster.wait_for(lambda: membership(cluster, "n4") == MEMBER)


async def test_a_node_that_was_away_while_the_members_changed_learns_it_with_a_line_in_both_logs(
    cluster, caplog
):
    await cluster.start_many(4)
    await cluster.stop("n3")
    await cluster.wait_down("n3")
    await cluster.crash("n4")
    await cluster.wait_down("n4")
    async with cluster.store_at("n1") as store:
        with pytest.raises(WrongState, match="n3 does not answer"):
            await store.admin.remove("n4")
        await store.admin.remove("n4", force=True)
    before = cluster["n1"].view.members.digest
    with caplog.at_level(logging.INFO):
        node = await cluster.start("n3")
        await cluster.wait_for(lambda: node.view.members.digest == before)
        await cluster.wait_for(lambda: node.membership.is_converged)
    assert membership(cluster, "n4", at="n3") == ""
    assert any("state of the cluster" in message for message in caplog.messages)


async def test_two_nodes_of_one_name_are_told_apart_in_both_logs(cluster, tmp_path, caplog):
    await cluster.start_many(2)
    with caplog.at_level(logging.INFO), pytest.raises(WrongState, match="of the name 'n2' already"):
        await cluster.start(
            "n2",
            data_dir=str(tmp_path / "another"),
            seeds=cluster.seeds("n1"),
            listen="127.0.0.1:0",
            peer_listen="127.0.0.1:0",
        )
    assert any(m.startswith("node refused node=n2") for m in caplog.messages)


async def test_another_cluster_of_the_name_is_refused_with_a_line_in_both_logs(
    make_cluster, tmp_path, caplog
):
    one, other = make_cluster(), make_cluster(data_dir=str(tmp_path / "other"))
    await one.start_many(1)
    await other.start_many(1)
    await other.stop("n1")
    with caplog.at_level(logging.INFO):
        await other.start("n1", seeds=one.seeds("n1"))
        with pytest.raises(NodeUnavailable, match="another cluster of the name"):
            await other["n1"].links.wait_connected(one.runs["n1"].addresses["peer"])
    refusals = [m for m in caplog.messages if "another cluster of the name" in m]
    assert {m.split(" ")[0] for m in refusals} == {"connection", "turned"}
