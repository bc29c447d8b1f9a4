"""The kinds of faults: each does what it says to a running cluster, and its end ends it."""

from __future__ import annotations

import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dynamo_py.errors import DynamoError
from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Space
from dynamo_py.testing import Simulation
from dynamo_py.testing import faults as faults_module
from dynamo_py.testing.clocks import EPOCH_MS
from dynamo_py.testing.faults import KINDS, Stage
from dynamo_py.testing.standard import NOTICED_S

CLIENTS = ("c1", "c2", "c3")
SEEDS = range(30)
faults: Any = faults_module  # Each kind may be None, and is not where a test expects a fault.
staged: Any = Stage  # Over what stands in for a simulation, too.


# --- nodes --------------------------------------------------------------------------------------


def simulate(main, *, nodes=3, seed=1):
    return Simulation(seed=seed, nodes=nodes).run(main)


def stage_of(sim, *numbers, seed=1, **fields):
    """A stage whose faults befall the hosts of these numbers alone; victims are the same."""
    hosts = [sim.host(k) for k in numbers] or sim.hosts
    few = SimpleNamespace(hosts=hosts, overlaps=sim.overlaps, now=sim.now)
    return staged(few, random.Random(seed), CLIENTS, tuple(hosts), **fields)


async def put(sim, key="k", value=b"v", **quorum):
    return await sim.store.bucket("b").put(key, value, **quorum)


async def got(sim, key="k", **quorum):
    return sorted((await sim.store.bucket("b").get(key, **quorum)).values)


async def refuses(sim, key="k"):
    try:
        await put(sim, key, timeout=1.0)
    except DynamoError:
        return True
    return False


async def wait_for(condition, *, timeout_s=60.0):
    with trio.fail_after(timeout_s):
        # What is waited for happens on a disk, which tells nobody.
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.05)


def rows(host):
    path = Path(host.config.data_dir) / DATABASE_FILE
    return host.disk.addresses(path, Space.RECORDS)


def test_a_slow_disk_delays_commits_and_two_of_them_add_up():
    async def main(sim):
        async def took_s():
            began = sim.now
            await put(sim)
            return sim.now - began

        assert await took_s() < 0.02
        first, second = (faults.slow_disk(stage_of(sim, 1, seed=seed)) for seed in (1, 2))
        slow = list(sim.host(1).disk_delays_s)
        for delay_s, fault in zip(slow, (first, second), strict=True):
            assert f"{delay_s * 1000:.0f} ms" in fault.text
        assert await took_s() >= sum(slow)
        first.end()
        assert slow[1] <= await took_s() < sum(slow)
        second.end()
        assert await took_s() < 0.02
        assert sim.host(1).disk_delays_s == []

    simulate(main, nodes=1)


def test_a_paused_node_does_nothing_until_it_is_resumed():
    async def main(sim):
        host = sim.host(2)
        fault = faults.pause(stage_of(sim, 2))
        before = host.disk.statistics.syncs
        for k in range(20):
            await put(sim, f"k{k}")
        assert host.disk.statistics.syncs == before
        fault.end()
        await sim.wait_converged()
        await put(sim, w="all")
        assert host.disk.statistics.syncs > before

    simulate(main)


def test_a_pause_within_a_pause_is_none():
    async def main(sim):
        stage = stage_of(sim, 2)
        faults.pause(stage)
        assert faults.pause(stage) is None

    simulate(main)


def test_the_end_of_a_pause_does_not_start_a_node_that_has_crashed_meanwhile():
    async def main(sim):
        stage = stage_of(sim, 2)
        pause = faults.pause(stage)
        crash = faults.crash(stage)
        pause.end()
        await trio.sleep(3)
        assert not sim.host(2).is_running
        crash.end()
        await sim.wait_converged()
        assert len(sim.nodes) == 3

    simulate(main)


def test_the_end_of_a_pause_leaves_that_of_the_next_process_in_force():
    async def main(sim):
        stage = stage_of(sim, 2)
        first = faults.pause(stage)
        faults.crash(stage).end()
        await sim.wait_converged()
        second = faults.pause(stage)
        first.end()
        assert sim.host(2).is_paused
        second.end()
        assert not sim.host(2).is_paused

    simulate(main)


def test_a_crash_ends_the_process_and_its_end_starts_another():
    async def main(sim):
        fault = faults.crash(stage_of(sim, 2))
        assert sorted(sim.nodes) == [1, 3]
        await trio.sleep(5)
        assert sorted(sim.nodes) == [1, 3]
        fault.end()
        await sim.wait_converged()
        assert sorted(sim.nodes) == [1, 2, 3]
        return sim.host(2).boots

    assert simulate(main) == 2


def test_a_crash_is_of_each_variant_in_its_turn_and_says_of_which():
    seen = set()

    class Crashed:
        name, is_running, is_retired, start = "n1", True, False, None

        def crash(self, *, lose, silently):
            self.text = f"{'power lost' if silently else 'process ended'}, {lose} that was not"

    for seed in SEEDS:
        host = Crashed()
        stage = staged(SimpleNamespace(hosts=[host]), random.Random(seed), (), ())
        fault = faults.crash(stage)
        assert host.text in fault.text
        seen.add(host.text)
    assert len(seen) == 4


@pytest.mark.parametrize("kind", ["pause", "crash", "sync", "wipe", "rollback", "rot"])
def test_what_has_crashed_can_have_nothing_done_to_its_process_or_disk(kind):
    async def main(sim):
        sim.host(2).copy_disk()
        sim.crash(2)
        return KINDS[kind](stage_of(sim, 2))

    assert simulate(main) is None


def test_a_full_disk_refuses_and_goes_on_when_there_is_room():
    async def main(sim):
        stage = stage_of(sim, 1)
        await put(sim)
        fault = faults.full_disk(stage)
        assert faults.full_disk(stage) is None
        assert await refuses(sim)
        assert await got(sim) == [b"v"]
        fault.end()
        await trio.sleep(10)
        assert not await refuses(sim)
        return sim.host(1).boots

    assert simulate(main, nodes=1) == 1


def test_after_a_failed_fsync_a_node_refuses_until_it_is_started_again():
    async def main(sim):
        await put(sim)
        fault = faults.failed_sync(stage_of(sim, 1))
        for _ in range(3):
            assert await refuses(sim, "other")
            await trio.sleep(10)
        fault.end()
        await sim.wait_converged()
        assert not await refuses(sim, "other")
        assert await got(sim) == [b"v"]
        return sim.host(1).boots

    assert simulate(main, nodes=1) == 2


def test_a_crash_takes_a_failing_fsync_with_it():
    async def main(sim):
        stage = stage_of(sim, 2)
        sync = faults.failed_sync(stage)
        crash = faults.crash(stage)
        sync.end()
        await trio.sleep(3)
        assert not sim.host(2).is_running, "the end of the sync has started it"
        crash.end()
        await sim.wait_converged()
        sync.end()
        for k in range(10):
            await put(sim, f"k{k}", w="all")
        return sim.host(2).boots

    assert simulate(main) == 2


def test_a_node_that_is_wiped_has_an_empty_disk_and_gets_back_what_it_held():
    async def main(sim):
        keys = [f"k{k}" for k in range(10)]
        for key in keys:
            await put(sim, key, w="all")
        host = sim.host(2)
        held = rows(host)
        assert held
        fault = faults.wipe(stage_of(sim, 2))
        assert rows(host) == []
        await trio.sleep(10)  # Until it has been found down.
        fault.end()
        await sim.wait_converged()
        await wait_for(lambda: rows(host) == held)
        assert [await got(sim, key, r="all") for key in keys] == [[b"v"]] * 10

    simulate(main)


def test_only_a_victim_is_wiped_rolled_back_or_rots():
    async def main(sim):
        for host in sim.hosts:
            host.copy_disk()
        stage = Stage(sim, random.Random(1), CLIENTS, ())
        return [KINDS[kind](stage) for kind in ("wipe", "rollback", "rot")]

    assert simulate(main) == [None, None, None]


def test_a_disk_is_rolled_back_to_its_last_copy():
    async def main(sim):
        host = sim.host(2)
        stage = stage_of(sim, 2)
        assert faults.rollback(stage) is None, "there is no copy yet"
        await put(sim, "old", w="all")
        then = rows(host)
        host.copy_disk()
        await trio.sleep(3.0)
        await put(sim, "new", w="all")
        assert len(rows(host)) == len(then) + 1
        stage = stage_of(sim, 2)
        fault = faults.rollback(stage)
        assert fault.text.startswith("rolled back by 3.0 s: n2")
        assert rows(host) == then
        assert not host.is_running
        fault.end()
        await wait_for(lambda: host.node is not None)

    simulate(main)


def test_a_disk_is_rolled_back_only_over_what_is_old_enough():
    """What a node was acknowledged for a moment ago it has told nobody yet."""

    async def main(sim):
        host = sim.host(2)
        host.copy_disk()
        await trio.sleep(5.0)
        await put(sim, w="all")
        assert faults.rollback(stage_of(sim, 2, lacking_s_min=3.0)) is None
        assert host.is_running
        await trio.sleep(2.9)
        assert faults.rollback(stage_of(sim, 2, lacking_s_min=3.0)) is None
        await trio.sleep(0.2)
        assert faults.rollback(stage_of(sim, 2, lacking_s_min=3.0)).text.startswith("rolled back")
        assert rows(host) == []

    simulate(main)


@pytest.mark.parametrize(("old_s", "is_noticed"), [(0.0, False), (NOTICED_S, True)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_node_notices_a_rollback_over_what_is_as_old_as_it_is_within_bounds(
    seed, old_s, is_noticed, caplog
):
    """Over what it has told nobody yet it does not: the bound is there for that."""

    async def main(sim):
        host = sim.host(2)
        await trio.sleep(5.0)
        host.copy_disk()
        await put(sim, w="all")
        await trio.sleep(old_s)
        faults.rollback(stage_of(sim, 2, lacking_s_min=old_s)).end()
        await wait_for(lambda: host.node is not None and host.node.confirming.confirmed.is_set())

    simulate(main, seed=seed)
    assert ("rolled back: " in caplog.text) is is_noticed


class RecordsFirst(random.Random):
    """Draws the first record where rows are drawn from."""

    def choice(self, seq):
        records = [each for each in seq if isinstance(each, tuple) and each[0] is Space.RECORDS]
        return records[0] if records else super().choice(seq)


def test_a_rotten_row_is_answered_from_others_and_refilled():
    async def main(sim):
        await put(sim, w="all")
        host = sim.host(2)
        stage = Stage(sim, RecordsFirst(1), CLIENTS, (host,))
        fault = faults.rot(stage)
        assert fault.text.startswith("rot: n2, records")
        ((_, partition, key),) = rows(host)
        with pytest.raises(DynamoError):
            host.node.committer.engine.get(Space.RECORDS, partition, key)
        assert await got(sim) == [b"v"]

        def is_sound():
            try:
                return host.node.committer.get(Space.RECORDS, partition, key) is not None
            except DynamoError:
                return False

        await wait_for(is_sound)
        fault.end()
        assert fault.ended == ""
        assert await got(sim, r="all") == [b"v"]

    simulate(main)


def off_by_s(sim, k):
    return round((sim.host(k).clock.wall_ms() - EPOCH_MS) / 1000 - sim.now, 2)


def test_the_end_of_a_clock_s_jump_leaves_another_jump_and_a_drift_as_they_are():
    async def main(sim):
        stage = stage_of(sim, 2, seed=3)
        first, drift, second = (
            kind(stage) for kind in (faults.clock_jump, faults.clock_drift, faults.clock_jump)
        )
        first.end()
        assert off_by_s(sim, 2) == float(second.text.split()[4])
        assert sim.host(2).clock.is_drifting
        second.end()
        drift.end()
        assert off_by_s(sim, 2) == 0

    simulate(main)


def test_clocks_that_jump_and_drift_at_once_are_each_put_right_by_its_own_end():
    async def main(sim):
        stage = stage_of(sim, 2, seed=3)
        jump = faults.clock_jump(stage)
        drift = faults.clock_drift(stage)
        assert faults.clock_drift(stage) is None, "it drifts already"
        seconds = float(jump.text.split()[4])
        assert off_by_s(sim, 2) == seconds
        await trio.sleep(100)
        assert off_by_s(sim, 2) != seconds
        assert off_by_s(sim, 1) == 0
        drift.end()
        assert off_by_s(sim, 2) == seconds
        jump.end()
        await trio.sleep(10)
        assert off_by_s(sim, 2) == 0
        assert not sim.host(2).clock.is_drifting
        assert faults.clock_drift(stage) is not None

    simulate(main)
