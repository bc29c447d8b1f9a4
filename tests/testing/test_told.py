"""Entries that are known, and have been on no disk: they are found, and no others are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from dynamo_py.cluster.state import KEY
from dynamo_py.storage.directory import DATABASE_FILE
from dynamo_py.storage.engine import Space
from dynamo_py.testing import Simulation
from dynamo_py.testing.told import ToldOnly
from dynamo_py.wire.messages import TableEntry

TOKEN = 0


def simulate(main, *, nodes=2, seed=1):
    return Simulation(seed=seed, nodes=nodes).run(main)


def owner_of(sim, k=1):
    """The number of the node that owns the token, as node ``k`` knows, and its entry."""
    entry = sim.nodes[k].view.table.entries[TOKEN]
    return next(n for n, node in sim.nodes.items() if node.view.me == entry.owner), entry


def following(entry: TableEntry, **fields: Any) -> TableEntry:
    """The same owner's next entry of the token."""
    return entry._replace(version=entry.version + 1, **fields)


async def decide(sim, entry: TableEntry) -> None:
    owner, _ = owner_of(sim)
    await sim.nodes[owner].membership.state.decide([entry])


def test_of_a_cluster_that_changes_nothing_is_found():
    async def main(sim):
        told = ToldOnly(sim)
        found = told.check()
        sim.add()
        for _ in range(100):
            await trio.sleep(0.05)
            found += told.check()
        await sim.wait_converged()
        assert 4 in {k for k, node in sim.nodes.items() if node.view.ring.tokens_of(node.view.me)}
        assert found + told.check() == []

    simulate(main, nodes=3)


@pytest.mark.parametrize("change", [{}, {"term": 7}])
def test_an_entry_that_is_known_and_on_no_disk_is_found(change):
    async def main(sim):
        told = ToldOnly(sim)
        owner, entry = owner_of(sim)
        other = 3 - owner
        new = following(entry, **change)
        assert sim.nodes[other].membership.state.merge_entries([new])
        return told.check() == [
            f"n{other} knows that n{owner} owns token {TOKEN}, by version {new.version},"
            " which is on no disk"
        ]

    assert simulate(main)


def test_an_entry_that_its_author_is_about_to_store_is_known_to_nobody():
    async def main(sim):
        told = ToldOnly(sim)
        owner, entry = owner_of(sim)
        sim.host(owner).disk_delays_s.append(10.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(decide, sim, following(entry))
            for _ in range(100):
                await trio.sleep(0.1)
                assert told.check() == []
        await sim.wait_converged()
        assert owner_of(sim, 3 - owner)[1] == following(entry)
        assert told.check() == []

    simulate(main)


def test_an_entry_that_is_on_another_disk_before_its_author_s_is_found():
    async def main(sim):
        told = ToldOnly(sim)
        owner, entry = owner_of(sim)
        other = 3 - owner
        new = following(entry)
        sim.host(owner).disk_delays_s.append(10.0)
        assert sim.nodes[other].membership.state.merge_entries([new])
        await trio.sleep(0.1)
        found = [
            f"n{other} has on its disk that n{owner} owns token {TOKEN}, by version"
            f" {new.version}, before n{owner} has"
        ]
        assert told.check() == found
        assert told.check() == [], "each is told once"
        await trio.sleep(30)
        return told.check()

    assert simulate(main) == []


def test_a_decree_may_come_to_any_disk_first():
    async def main(sim):
        told = ToldOnly(sim)
        owner, entry = owner_of(sim)
        other = 3 - owner
        sim.host(owner).disk_delays_s.append(10.0)
        decree = entry._replace(term=entry.term + 1, version=1)
        await sim.nodes[other].membership.state.decide([decree])
        await trio.sleep(30)
        assert owner_of(sim)[1] == decree
        return told.check()

    assert simulate(main) == []


def test_what_was_on_a_disk_that_is_wiped_afterwards_was_told_rightly():
    async def main(sim):
        told = ToldOnly(sim)
        assert told.check() == []
        host, other = sim.host(1), sim.host(2)
        host.crash()
        host.disk.wipe()
        other.disk.flip_row(Path(other.config.data_dir) / DATABASE_FILE, (Space.META, 0, KEY))
        assert told.check() == []
        # That was all that the disks had: who begins to look only now finds it on none.
        assert len(ToldOnly(sim).check()) == sim.nodes[2].view.ring.partitions

    simulate(main)


def test_what_was_on_a_disk_between_two_looks_alone_was_told_rightly():
    """The author stores the next entry already, where another one cannot store the first."""

    async def main(sim):
        told = ToldOnly(sim)
        assert told.check() == []
        owner, entry = owner_of(sim)
        other = 3 - owner
        sim.host(other).disk.full = True
        await decide(sim, following(entry))
        await sim.wait_converged()
        sim.split([1], [2])
        await decide(sim, following(following(entry)))
        assert owner_of(sim, other)[1] == following(entry)
        assert told.check() == []

    simulate(main)


def test_a_state_that_cannot_be_read_says_nothing(monkeypatch):
    async def main(sim):
        monkeypatch.setattr("dynamo_py.cluster.state._FORMAT", b"\x7f")
        return len(ToldOnly(sim).check())

    assert simulate(main) == 2 * 32
