"""Real processes, killed and paused under load: what was acknowledged stays."""

from __future__ import annotations

import contextlib
import os
import random

import pytest
import trio

import dynamo_py
from dynamo_py.testing.checkers.lost_writes import check_nothing_lost
from dynamo_py.testing.checkers.phantoms import check_no_phantoms
from dynamo_py.testing.history import History, Outcome, Write

TASKS = 64
PUTS = int(os.environ.get("DYNAMO_TEST_PUTS", "4000"))
"""More of them make a longer test of the same kind; 20,000 take about a minute."""
KEYS = 500
CALLS = 2_000


async def read_and_put(bucket: dynamo_py.Bucket, key: str, name: str, client: str) -> Write:
    """Put ``name`` in place of what is found, and tell how it went."""
    began_s = trio.current_time()
    saw: frozenset[str] = frozenset()
    # Until the put is sent nothing can have happened; from then on anything can.
    outcome, is_degraded = Outcome.NOT_APPLIED, False
    with contextlib.suppress(dynamo_py.QuorumNotMet, dynamo_py.NodeUnavailable, TimeoutError):
        found = await bucket.get(key)
        saw, outcome = names(found), Outcome.UNKNOWN
        stored = await bucket.put(key, name.encode(), context=found)
        outcome, is_degraded = Outcome.ACKNOWLEDGED, stored.degraded
    ended_s = trio.current_time()
    return Write(key, name, False, saw, client, began_s, ended_s, outcome, is_degraded)


def names(found: dynamo_py.Fetched) -> frozenset[str]:
    """The names of the writes whose values were found."""
    return frozenset(value.decode() for value in found.values)


async def test_no_acknowledged_put_is_lost_while_each_node_in_turn_is_killed(cluster):
    history = History()
    counter = iter(range(PUTS))
    is_writing = True

    async def write(store: dynamo_py.Store, task: int) -> None:
        generator = random.Random(task)
        bucket = store.bucket("registers")
        for number in counter:
            key = f"key-{generator.randrange(KEYS)}"
            history.writes.append(await read_and_put(bucket, key, str(number), f"task-{task}"))

    async def kill_in_turn() -> int:
        kills = 0
        while is_writing or kills < 3:
            number = kills % 3 + 1
            await cluster.kill(number)
            await cluster.start(number)
            kills += 1
        return kills

    async with dynamo_py.connect(*cluster.addresses) as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill_in_turn)
            async with trio.open_nursery() as writers:
                for task in range(TASKS):
                    writers.start_soon(write, store, task)
            is_writing = False
        bucket = store.bucket("registers")
        for number in range(KEYS):
            found = await bucket.get(f"key-{number}", r="all")
            history.final[f"key-{number}"] = names(found)

    assert len(history.writes) == PUTS
    assert check_no_phantoms(history) == []
    assert check_nothing_lost(history) == []
    acknowledged = sum(w.outcome is Outcome.ACKNOWLEDGED for w in history.writes)
    assert acknowledged > PUTS * 0.95


async def test_every_call_succeeds_with_one_of_three_nodes_killed(cluster):
    async with dynamo_py.connect(*cluster.addresses) as store:
        bucket = store.bucket("b")
        await cluster.kill(2)
        numbers = iter(range(CALLS))

        async def call() -> None:
            for number in numbers:
                await bucket.put(f"k{number}", b"v", w=2)
                found = await bucket.get(f"k{number}", r=2)
                assert found.values == (b"v",)

        async with trio.open_nursery() as nursery:
            for _ in range(TASKS):
                nursery.start_soon(call)


async def test_every_call_succeeds_with_one_of_three_nodes_paused(cluster):
    """A stopped process still accepts connections, and answers nothing."""
    async with dynamo_py.connect(*cluster.addresses) as store:
        bucket = store.bucket("b")
        await cluster.pause(3)
        for number in range(20):
            await bucket.put(f"k{number}", b"v", w=2)
            assert (await bucket.get(f"k{number}", r=2)).values == (b"v",)
        await cluster.resume(3)


async def wait_state(store: dynamo_py.Store, name: str, wanted: str) -> None:
    """Until the node that is asked believes that of ``name``; within 5 s."""
    with trio.fail_after(5):
        while True:
            states = {n.name: n.state for n in (await store.admin.status()).nodes}
            if states[name] == wanted:
                return
            await trio.sleep(0.05)


async def test_a_dead_node_is_noticed_and_so_is_its_return(cluster):
    async with dynamo_py.connect(*cluster.addresses[1:]) as store:
        await cluster.kill(1)
        await wait_state(store, "n1", "down")
        await cluster.start(1)
        await wait_state(store, "n1", "up")


async def test_two_replicas_gone_is_a_quorum_not_met_with_its_facts(cluster):
    async with dynamo_py.connect(cluster.addresses[0]) as store:
        bucket = store.bucket("b")
        await cluster.kill(2)
        await cluster.kill(3)
        # A write sent to one of them just now may have happened: n1 would not mint another then.
        await wait_state(store, "n2", "down")
        await wait_state(store, "n3", "down")
        with pytest.raises(dynamo_py.QuorumNotMet) as raised:
            await bucket.put("k", b"v", w=2, timeout=2)
        error = raised.value
        assert (error.required, error.acked, error.outcome) == (2, ("n1",), "unknown")
        assert (await bucket.put("k", b"v", w=1)).acked == ("n1",)
