"""Reads are held against the nodes that answered them, in a cluster that runs."""

from __future__ import annotations

import random

import pytest
import trio

from dynamo_py.coordinator.tally import ReadTally
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.replica import Replica
from dynamo_py.storage.engine import Change, Space
from dynamo_py.testing import Simulation
from dynamo_py.testing.answering import AnswersSeen
from dynamo_py.testing.history import Read
from dynamo_py.testing.holding import HeldAlways
from dynamo_py.testing.workloads import Client
from dynamo_py.testing.workloads.recording import Recording

PARTITIONS = 32
KEYS = tuple(f"k{number}" for number in range(12))


class Scene:
    """A cluster of five with one client."""

    def __init__(self, sim: Simulation) -> None:
        self.sim = sim
        self.puts = Recording("b", KEYS)
        held = HeldAlways(sim, [self.puts], partitions=PARTITIONS, quorum=2)
        self.answers = AnswersSeen(sim, [self.puts], held, quorum=2)
        self.client = Client("c", sim.store, random.Random(1), trio.current_time)

    async def put_all(self) -> None:
        for key in KEYS:
            await self.puts.put(self.client, key, context=None)
        await trio.sleep(1.0)

    async def get_all(self) -> int:
        """How many were answered."""
        return sum([await self.puts.get(self.client, key) is not None for key in KEYS])


def simulate(main, *, seed=1):
    async def on_scene(sim):
        return await main(Scene(sim))

    return Simulation(seed=seed, nodes=5, partitions=PARTITIONS).run(on_scene)


def simulate_some(main):
    """What is found in any of a few courses: who is asked for a key, and when, is chance."""
    return [line for seed in range(1, 9) for line in simulate(main, seed=seed)]


async def meet_trouble(scene: Scene) -> list[str]:
    """Put and get, all nodes there, two of them alone, and all again."""
    await scene.put_all()
    assert await scene.get_all() == len(KEYS)
    for k in (1, 2, 3):
        scene.sim.crash(k)
    await trio.sleep(10)
    await scene.put_all()
    assert await scene.get_all() > 0
    for k in (1, 2, 3):
        scene.sim.restart(k)
    await scene.sim.wait_converged()
    assert await scene.get_all() == len(KEYS)
    return scene.answers.check()


def test_of_reads_as_they_should_be_nothing_is_found():
    assert simulate_some(meet_trouble) == []


def test_a_node_that_does_not_show_its_hints_is_found(monkeypatch):
    def read_without(replica, partition, key):
        return replica.get(partition, key), ()

    monkeypatch.setattr(Replica, "read", read_without)
    found = simulate_some(meet_trouble)
    assert found
    assert all(" misses c-" in line for line in found)


def test_a_vote_of_one_that_may_not_is_found(monkeypatch):
    answered = ReadTally.answered

    def count_all(tally, node, answer):
        answered(tally, node, answer._replace(complete=True))

    monkeypatch.setattr(ReadTally, "answered", count_all)
    monkeypatch.setattr(Completeness, "is_complete", lambda completeness, partition: False)
    found = simulate(meet_trouble)
    assert found
    assert all(" is not called degraded, and " in line for line in found)


async def put_once_more(node) -> None:
    node.committer.submit((), lambda error: None, durable=True)
    node.committer.submit(
        (Change(Space.META, 0, b"nothing to do with it", b""),), lambda error: None
    )


async def answered_blindly(scene: Scene, meanwhile) -> list[str]:
    """What is found of a read that shows nothing, though all who answered hold the value."""
    key = KEYS[0]
    await scene.put_all()
    on_answer = scene.puts.on_get(key)
    replied = (await scene.sim.store.bucket("b").get(key)).replied
    await meanwhile(scene)
    now_s = trio.current_time()
    on_answer(Read(key, "c", frozenset(), now_s, now_s, False), replied)
    return scene.answers.check()


async def nothing_happens(scene: Scene) -> None:
    await trio.lowlevel.checkpoint()


async def all_commit(scene: Scene) -> None:
    for node in scene.sim.nodes.values():
        await put_once_more(node)
    await trio.sleep(1.0)


async def all_are_about_to_commit(scene: Scene) -> None:
    for node in scene.sim.nodes.values():
        await put_once_more(node)


async def all_fail(scene: Scene) -> None:
    for host in scene.sim.hosts:
        host.disk.full = True
    await all_commit(scene)


async def all_begin_anew(scene: Scene) -> None:
    for k in range(1, 6):
        scene.sim.crash(k)
        scene.sim.restart(k)
    await scene.sim.wait_converged()


@pytest.mark.parametrize(
    ("meanwhile", "is_known"),
    [
        (nothing_happens, True),
        (all_commit, False),
        (all_are_about_to_commit, False),
        (all_fail, False),
        (all_begin_anew, False),
    ],
)
def test_of_a_node_that_was_not_at_rest_nothing_is_known(meanwhile, is_known):
    """It may have answered before it held that, or when it held it no more."""
    found = simulate(lambda scene: answered_blindly(scene, meanwhile))
    assert bool(found) is is_known
