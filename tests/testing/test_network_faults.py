"""The kinds of faults of the network: each does what it says, and its end ends it."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest

from dynamo_py.testing import faults as faults_module
from dynamo_py.testing.faults import KINDS, Stage
from dynamo_py.testing.network import Network
from dynamo_py.testing.overlaps import Overlaps

CLIENTS = ("c1", "c2", "c3")
faults: Any = faults_module  # Each kind may be None, and is not where a test expects a fault.
staged: Any = Stage  # Over what stands in for a simulation, too.


class Silent:
    def note(self, kind, *facts):
        pass


class Fabric:
    """A network with nodes that do nothing, and what is wrong with it."""

    def __init__(self, nodes=5):
        self.network = Network(random.Random(1), Silent())
        self.overlaps = Overlaps(self.network)
        self.hosts = [SimpleNamespace(name=f"n{k}", is_retired=False) for k in range(1, nodes + 1)]
        self.nodes = [host.name for host in self.hosts]
        self.places = [*self.nodes, *CLIENTS]
        self.pairs = [(a, b) for a in self.places for b in self.places if a != b]

    def stage(self, seed):
        return staged(self, random.Random(seed), CLIENTS, tuple(self.hosts))

    @property
    def blocked(self):
        return {pair for pair in self.pairs if self.network.route(*pair).is_blocked}

    def wrong(self):
        """How many directions something is wrong with."""
        routes = [self.network.route(*pair) for pair in self.pairs]
        return sum(bool(r.is_blocked or r.lost_share or r.delay_s) for r in routes)

    def begin(self, kind, seed) -> Any:
        return KINDS[kind](self.stage(seed))


@pytest.fixture
def fabric():
    return Fabric()


SEEDS = range(30)


def sides_of(fabric):
    """The groups of hosts of which each reaches all others both ways, and reaches none outside."""
    sides = {
        frozenset(b for b in fabric.places if a == b or (a, b) not in fabric.blocked)
        for a in fabric.places
    }
    assert sum(map(len, sides)) == len(fabric.places), "they overlap"
    return sides


def test_a_split_cuts_nodes_and_clients_in_two_sides_both_ways(fabric):
    sides_of_clients = set()
    for seed in SEEDS:
        fault = fabric.begin("split", seed)
        sides = sides_of(fabric)
        assert len(sides) == 2
        assert all(side & set(fabric.nodes) for side in sides)
        sides_of_clients |= {len(side & set(CLIENTS)) for side in sides}
        named = {frozenset(side.split()) for side in fault.text.removeprefix("split: ").split("|")}
        assert named == {side & set(fabric.nodes) for side in sides}
        fault.end()
        assert fabric.wrong() == 0
    assert sides_of_clients == {0, 1, 2, 3}


def test_one_way_cuts_one_direction_and_leaves_the_way_back_open(fabric):
    for seed in SEEDS:
        fault = fabric.begin("one-way", seed)
        blocked = fabric.blocked
        assert blocked
        assert len({source for source, _ in blocked}) == 1
        assert not {(b, a) for a, b in blocked} & blocked
        fault.end()
        assert fabric.wrong() == 0


def test_an_isolated_node_is_cut_from_everybody_both_ways_and_nobody_else_is(fabric):
    for seed in SEEDS:
        fault = fabric.begin("isolation", seed)
        lonely = fault.text.removeprefix("isolated: ")
        assert fabric.blocked == {pair for pair in fabric.pairs if lonely in pair}
        fault.end()
        assert fabric.wrong() == 0


@pytest.mark.parametrize("count", [4, 5, 6, 7, 9])
def test_each_node_of_a_ring_of_majorities_reaches_a_majority_and_no_two_the_same(count):
    fabric = Fabric(count)
    for seed in SEEDS:
        fault = fabric.begin("majorities", seed)
        blocked = fabric.blocked
        assert blocked == {(b, a) for a, b in blocked}
        reached = {
            a: frozenset(b for b in fabric.nodes if (a, b) not in blocked) for a in fabric.nodes
        }
        assert all(len(majority) > count / 2 for majority in reached.values())
        assert len(set(reached.values())) == count
        assert not {place for pair in blocked for place in pair} & set(CLIENTS)
        fault.end()
        assert fabric.wrong() == 0


def test_loss_is_of_all_links_and_of_the_share_it_says(fabric):
    for seed in SEEDS:
        fault = fabric.begin("loss", seed)
        (share,) = {fabric.network.route(*pair).lost_share for pair in fabric.pairs}
        assert f"{share:.0%} " in fault.text
        fault.end()
        assert fabric.wrong() == 0


def test_delay_is_of_all_links_each_by_its_own_and_below_what_it_says(fabric):
    for seed in SEEDS:
        fault = fabric.begin("delay", seed)
        delays = [fabric.network.route(*pair).delay_s for pair in fabric.pairs]
        assert len(set(delays)) == len(delays)
        assert f"up to {0.01 * 1000:.0f} ms" in fault.text or max(delays) > 0.01
        assert max(delays) <= 0.6
        fault.end()
        assert fabric.wrong() == 0


@pytest.mark.parametrize("first", [0, 1])
def test_a_link_that_two_faults_cut_is_open_when_both_are_over(first):
    def alone(kind, seed):
        fabric = Fabric()
        fabric.begin(kind, seed)
        return fabric.blocked

    causes = [("isolation", 1), ("split", 2)]
    assert alone(*causes[0]) & alone(*causes[1])
    fabric = Fabric()
    both = [fabric.begin(*cause) for cause in causes]
    both[first].end()
    assert fabric.blocked == alone(*causes[1 - first])
    both[1 - first].end()
    assert fabric.wrong() == 0


@pytest.mark.parametrize("kind", ["split", "one-way"])
def test_a_single_node_cannot_be_split(kind):
    assert Fabric(1).begin(kind, 1) is None


def test_three_nodes_have_no_ring_of_majorities():
    assert Fabric(3).begin("majorities", 1) is None
