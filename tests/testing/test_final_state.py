"""What a whole cluster holds of a key, and says of the ring."""

from __future__ import annotations

from pathlib import Path

import trio

from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Space
from dynamo_py.testing import Simulation
from dynamo_py.testing.checkers.ownership import Owned
from dynamo_py.testing.final_state import FinalState, ownership_of
from dynamo_py.wire.keys import routing_key


def final(main, *, nodes=3):
    """What is found in the end of key k of bucket b, after ``main``."""

    async def and_read(sim):
        await main(sim)
        return sorted((await FinalState(sim).read("b", "k")).values)

    return Simulation(nodes=nodes).run(and_read)


async def put(sim, value, **quorum):
    return await sim.store.bucket("b").put("k", value, **quorum)


def a_primary(sim):
    """The number of a node that keeps the key."""
    view = sim.nodes[1].view
    partition = view.partition_of(routing_key("b", "k"))
    primaries = view.placement.preference_list(partition).primaries
    return next(k for k, node in sim.nodes.items() if node.view.me in primaries)


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
        sim.crash(a_primary(sim))
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


# --- who owns what ------------------------------------------------------------------------------


def simulated(main):
    return Simulation(nodes=3).run(main)


async def wait_for(condition):
    with trio.fail_after(60):
        # What is waited for is spread over all nodes, none of which knows of it.
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.05)


def test_each_running_node_says_who_owns_which_token_and_what_it_has_still_to_do():
    async def main(sim):
        await wait_for(lambda: all(said.is_settled for said in ownership_of(sim).values()))
        sim.crash(2)
        said = ownership_of(sim)
        assert sorted(said) == ["n1", "n3"]
        owners = [sim.nodes[1].view.name_of(owner) for owner in sim.nodes[1].view.table.owners]
        assert said["n1"] == said["n3"] == Owned(owners, is_settled=True, to_clean=0)
        assert {*owners} == {"n1", "n2", "n3"}

    simulated(main)


def test_while_tokens_are_on_their_way_their_owners_are_not_settled_and_clean_up_afterwards():
    async def main(sim):
        for k in range(20):
            await sim.store.bucket("b").put(f"k{k}", b"v", w="all")
        sim.add()
        seen = set()

        def is_done():
            said = ownership_of(sim)
            seen.update((each.is_settled, bool(each.to_clean)) for each in said.values())
            return len(said) == 4 and all(each[1:] == (True, 0) for each in said.values())

        await wait_for(is_done)
        return seen

    assert simulated(main) >= {(False, False), (True, True), (True, False)}


def test_an_owner_that_a_node_has_not_heard_of_has_no_name():
    async def main(sim):
        state = sim.nodes[1].membership.state
        entry = state.table.entries[0]
        state.merge_entries([entry._replace(version=entry.version + 1, owner=b"?" * 16)])
        return ownership_of(sim)["n1"].owners[0]

    assert simulated(main) == ""
