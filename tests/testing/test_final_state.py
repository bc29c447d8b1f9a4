"""What a whole cluster holds of a key."""

from __future__ import annotations

from pathlib import Path

import trio

from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Space
from dynamo_py.testing import Simulation
from dynamo_py.testing.final_state import FinalState


def final(main, *, nodes=3):
    """What is found in the end of key k of bucket b, after ``main``."""

    async def and_read(sim):
        await main(sim)
        return sorted((await FinalState(sim).read("b", "k")).values)

    return Simulation(nodes=nodes).run(and_read)


async def put(sim, value, **quorum):
    return await sim.store.bucket("b").put("k", value, **quorum)


def test_nothing_is_found_where_nothing_was_written():
    async def main(sim):
        await trio.sleep(1)

    assert final(main) == []


def test_what_one_node_alone_holds_is_found():
    async def main(sim):
        await put(sim, b"v", w="all")
        for k in (1, 2):
            sim.crash(k)

    assert final(main) == [b"v"]


def test_what_is_kept_as_a_hint_alone_is_found():
    async def main(sim):
        done = await put(sim, b"old", w="all")
        sim.crash(1)
        await trio.sleep(10)
        await put(sim, b"new", context=done.context)
        hinting = [k for k, node in sim.nodes.items() if not node.committer.is_empty(Space.HINTS)]
        assert hinting
        for k in set(sim.nodes) - set(hinting):
            sim.crash(k)

    assert final(main, nodes=5) == [b"new"]


def test_siblings_of_different_nodes_are_found_together_and_what_they_superseded_is_not():
    async def main(sim):
        done = await put(sim, b"old", w="all")
        for value in (b"one", b"other"):
            await sim.store.bucket("b").put("k", value, context=done.context, w="all")

    assert final(main) == [b"one", b"other"]


def test_a_damaged_copy_counts_for_nothing_beside_a_sound_one():
    async def main(sim):
        await put(sim, b"v", w="all")
        host = sim.host(1)
        path = Path(host.config.data_dir) / DATABASE_FILE
        (address,) = host.disk.addresses(path, Space.RECORDS)
        assert host.disk.flip_row(path, address)

    assert final(main) == [b"v"]
