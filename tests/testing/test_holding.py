"""What is owed and is not there is found at once, in a cluster that runs; and nothing else is."""

from __future__ import annotations

import random

import trio

from dynamo_py.storage.engine import Change, Space
from dynamo_py.testing import Simulation
from dynamo_py.testing.holding import HeldAlways
from dynamo_py.testing.workloads import Client
from dynamo_py.testing.workloads.recording import Recording
from dynamo_py.wire.keys import routing_key

PARTITIONS = 32
KEY = "k"
PRIMARIES = 3


class Scene:
    """A cluster with one client and one key."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.puts = Recording("b", (KEY,))
        self.held = HeldAlways(sim, [self.puts], partitions=PARTITIONS, quorum=2)
        self.client = Client("c", sim.store, random.Random(1), trio.current_time)
        self.routed = routing_key("b", KEY)
        view = sim.nodes[1].view
        self.partition = view.partition_of(self.routed)
        primaries = view.preference_list(self.partition).primaries
        self.primaries = [k for k, node in sim.nodes.items() if node.view.me in primaries]

    async def put(self) -> None:
        """One put, on all primaries' disks."""
        assert await self.puts.put(self.client, KEY, context=None)
        await trio.sleep(1.0)

    async def store(self, k: int, change: Change) -> None:
        """Change a row of node ``k``'s, as no node does by itself."""
        node = self.sim.nodes[k]
        node.committer.submit((change,), lambda error: None)
        await node.committer.wait_durable()

    async def drop(self, k: int) -> None:
        await self.store(k, Change(Space.RECORDS, self.partition, self.routed, None))


def simulate(main, *, nodes=PRIMARIES, seed=1):
    async def on_scene(sim):
        return await main(Scene(sim))

    return Simulation(seed=seed, nodes=nodes, partitions=PARTITIONS).run(on_scene)


def test_of_a_cluster_in_which_nothing_is_lost_nothing_is_found():
    async def main(scene):
        for k in scene.primaries:
            await scene.put()
            scene.sim.crash(k)
            await scene.put()
            scene.sim.restart(k)
            await scene.sim.wait_converged()
        scene.sim.add()
        await trio.sleep(5)
        await scene.sim.wait_converged()
        return scene.held.check()

    assert simulate(main, nodes=5) == []


def test_what_two_primaries_lack_may_be_missed_and_is_on_one_disk():
    async def main(scene):
        await scene.put()
        names = [f"n{k}" for k in scene.primaries]
        await scene.drop(scene.primaries[0])
        assert scene.held.check() == [], "two have it still"
        await scene.drop(scene.primaries[1])
        found = scene.held.check()
        assert [line.split(" s ", 1)[1] for line in found] == [
            f"c-0 is only on {names[2]}, and was promised to be on 2"
        ]
        assert scene.held.check() == [], "each is told once"

    simulate(main)


def test_it_is_found_also_where_it_is_mended_before_anybody_looks():
    async def main(scene):
        await scene.put()
        first, second, _ = scene.primaries
        row = scene.sim.nodes[first].committer.get(Space.RECORDS, scene.partition, scene.routed)
        for k in (first, second):
            await scene.drop(k)
        for k in (first, second):
            await scene.store(k, Change(Space.RECORDS, scene.partition, scene.routed, row))
        return len(scene.held.check())

    assert simulate(main) == 1


def test_what_is_on_enough_disks_can_be_missed_where_those_who_lack_it_may_vote():
    """A hint on a fallback is as good as a copy for the disks; a read does not ask for it."""

    async def main(scene):
        lonely, fallback = scene.primaries[0], 4
        assert fallback not in scene.primaries
        await scene.put()
        first = scene.sim.nodes[lonely]
        record = first.committer.get(Space.RECORDS, scene.partition, scene.routed)
        scene.sim.nodes[fallback].replica.merge(
            scene.partition,
            scene.routed,
            record,
            hinted_for=scene.sim.nodes[scene.primaries[1]].view.me,
            on_commit=lambda error: None,
        )
        await scene.sim.nodes[fallback].committer.wait_durable()
        for k in scene.primaries[1:]:
            await scene.drop(k)
        found = scene.held.check()
        names = " ".join(f"n{k}" for k in scene.primaries[1:])
        return [line.split(" s ", 1)[1] for line in found], names

    found, names = simulate(main, nodes=4, seed=seed_with_fallback(4))
    assert found == [f"c-0 would be missed by a read of {names}"]


def seed_with_fallback(k: int) -> int:
    """A seed by which node ``k`` of four is the key's fallback."""

    async def is_fallback(scene):
        return k not in scene.primaries

    return next(seed for seed in range(1, 30) if simulate(is_fallback, nodes=4, seed=seed))


def test_one_that_may_not_vote_is_not_asked():
    async def main(scene):
        await scene.put()
        for k in scene.primaries[1:]:
            scene.sim.host(k).is_given_up = True  # Nothing is asked of disks any more.
            scene.sim.nodes[k].completeness.doubt()
            await scene.drop(k)
        return scene.held.check()

    assert simulate(main) == []


def test_a_disk_that_was_destroyed_is_one_that_is_not_asked_for():
    async def main(scene):
        await scene.put()
        first, second, _ = scene.primaries
        scene.sim.crash(first)
        scene.sim.host(first).disk.wipe()
        scene.sim.nodes[second].completeness.doubt()
        await scene.drop(second)
        return scene.held.check()

    assert simulate(main) == []


def test_what_somebody_tries_to_supersede_is_asked_for_no_more():
    async def main(scene):
        await scene.put()
        found = await scene.puts.get(scene.client, KEY)
        scene.sim.split([1], [2], [3])
        assert await scene.puts.delete(scene.client, KEY, context=found) is None
        for k in scene.primaries:
            await scene.drop(k)
        return scene.held.check()

    assert simulate(main) == []
