"""Faults that change who the members are: their bounds, the orders, and what comes of them."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dynamo_py.errors import NodeRemoved, NodeUnavailable, WrongState
from dynamo_py.lifetimes import background
from dynamo_py.testing import Simulation
from dynamo_py.testing import faults as faults_module
from dynamo_py.testing.faults import (
    KINDS,
    NODES_MAX,
    NODES_MIN,
    ORDER_AGAIN_S,
    Fault,
    Stage,
)

MEMBER_KINDS = ("join", "leave", "remove", "replace")
SEEDS = range(30)
faults: Any = faults_module  # Each kind may be None, and is not where a test expects a fault.
staged: Any = Stage  # Over what stands in for a simulation, too.


class Machine:
    """Stands in for a host."""

    def __init__(self, name):
        self.name = name
        self.is_running, self.is_retired, self.is_given_up = True, False, False

    def crash(self, *, lose, silently):
        self.is_running = False

    def start(self):
        self.is_running = not self.is_retired

    def retire(self):
        self.is_running, self.is_retired = False, True


class Admin:
    """Stands in for the cluster: refuses an order so often, and accepts it then."""

    def __init__(self, refusals):
        self.refusals = refusals
        self.orders = []

    async def leave(self, node):
        await self._order("leave", node)

    async def remove(self, node):
        await self._order("remove", node)

    async def replace(self, node, successor):
        await self._order("replace", node, successor)

    async def _order(self, *order):
        self.orders.append((trio.current_time(), *order))
        await trio.lowlevel.checkpoint()
        if self.refusals:
            raise self.refusals.pop(0)


class Cluster:
    """Stands in for a simulation. ``victims`` may be lost, by number."""

    def __init__(self, nodes=5, *, victims=(1,), seed=1, refusals=()):
        self.hosts = [Machine(f"n{k}") for k in range(1, nodes + 1)]
        self.admin = Admin([*refusals])
        self.store = SimpleNamespace(admin=self.admin)
        self.noted = []
        self.trace = SimpleNamespace(note=lambda *facts: self.noted.append(facts))
        self.tasks = []
        chosen = tuple(self.hosts[k - 1] for k in victims)
        self.stage = staged(self, random.Random(seed), (), chosen, start_soon=self.tasks.append)

    def add(self, *, is_staged=False):
        self.staged = is_staged
        self.hosts.append(Machine(f"n{len(self.hosts) + 1}"))
        return len(self.hosts)

    async def carry_out(self):
        """Have all orders given until they are accepted."""
        with trio.fail_after(60):
            for task in self.tasks:
                await task()

    @property
    def present(self):
        """What the members would be once all orders are carried out."""
        gone = {order[2] for order in self.admin.orders}
        return [host.name for host in self.hosts if host.name not in gone]


async def wait_for(condition):
    with trio.fail_after(60):
        # What is waited for is spread over all nodes, none of which knows of it.
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.1)


# --- orders -------------------------------------------------------------------------------------


async def test_an_order_is_given_again_until_it_is_accepted_and_no_more(autojump_clock):
    refusals = [
        WrongState("not now"),
        NodeUnavailable("nobody there", outcome="unknown"),
        WrongState("not yet"),
    ]
    cluster = Cluster(refusals=refusals)
    began = trio.current_time()
    cluster.stage.order(lambda admin: admin.leave("n3"))
    await cluster.carry_out()
    times = [began + k * ORDER_AGAIN_S for k in range(4)]
    assert cluster.admin.orders == [(pytest.approx(at), "leave", "n3") for at in times]
    assert cluster.noted == [("order", error.message) for error in refusals]


async def test_an_order_that_makes_no_sense_is_given_for_as_long_as_faults_happen(autojump_clock):
    cluster = Cluster(refusals=[WrongState("never")] * 1000)
    cluster.stage.order(lambda admin: admin.leave("n99"))
    async with background() as nursery:
        nursery.start_soon(cluster.tasks[0])
        await trio.sleep(30.5)
    assert len(cluster.admin.orders) == 31
    await trio.sleep(30)
    assert len(cluster.admin.orders) == 31


async def test_a_bug_in_an_order_is_not_taken_for_a_refusal(autojump_clock):
    cluster = Cluster()

    async def fail(admin):
        raise ZeroDivisionError

    cluster.stage.order(fail)
    with pytest.raises(ZeroDivisionError):
        await cluster.carry_out()


def test_orders_are_given_only_while_a_schedule_runs():
    stage = staged(Cluster(), random.Random(1), (), ())
    with pytest.raises(AssertionError, match="while a schedule runs"):
        stage.order(lambda admin: admin.leave("n3"))


# --- who may join, and who may go ---------------------------------------------------------------


def test_nodes_join_up_to_a_bound_and_again_when_another_one_is_gone():
    cluster = Cluster(nodes=NODES_MAX - 1)
    fault = faults.join(cluster.stage)
    assert (fault.text, fault.ended) == (f"join: n{NODES_MAX}", "")
    assert faults.join(cluster.stage) is None
    assert len(cluster.hosts) == NODES_MAX
    assert faults.leave(cluster.stage) is not None
    assert faults.join(cluster.stage) is None, "who is about to leave counts"
    cluster.hosts[2].retire()
    assert faults.join(cluster.stage).text == f"join: n{NODES_MAX + 1}"


async def test_nodes_leave_down_to_a_bound_each_once_and_never_a_victim(autojump_clock):
    for seed in SEEDS:
        cluster = Cluster(nodes=NODES_MAX, seed=seed)
        begun = [faults.leave(cluster.stage) for _ in range(NODES_MAX)]
        texts = [fault.text for fault in begun if fault is not None]
        await cluster.carry_out()
        left = [node for _, _, node in cluster.admin.orders]
        assert texts == [f"leave: {node}" for node in left]
        assert len(set(left)) == NODES_MAX - NODES_MIN
        assert "n1" not in left


@pytest.mark.parametrize("kind", ["leave", "remove"])
def test_no_node_is_sent_away_where_only_as_many_stay_as_must(kind):
    assert KINDS[kind](Cluster(nodes=NODES_MIN).stage) is None
    assert KINDS[kind](Cluster(nodes=NODES_MIN + 1).stage) is not None


def test_where_all_but_one_may_be_lost_none_leaves():
    """Else the last one that is no victim could be the one that leaves."""
    assert faults.leave(Cluster(victims=range(1, 5)).stage) is None
    assert faults.leave(Cluster(victims=range(1, 4)).stage) is not None
    assert faults.leave(Cluster(victims=range(1, 6)).stage) is None


@pytest.mark.parametrize("kind", ["remove", "replace"])
def test_only_a_victim_that_runs_is_lost_for_good_and_only_once(kind):
    assert KINDS[kind](Cluster(victims=()).stage) is None
    for seed in SEEDS:
        cluster = Cluster(nodes=NODES_MAX, victims=(2, 4), seed=seed)
        cluster.hosts[1].is_running = False
        fault = KINDS[kind](cluster.stage)
        assert fault is not None
        assert "n4" in fault.text
        assert not cluster.hosts[3].is_running
        assert cluster.hosts[3].is_given_up, "what was on its disk is lost, whatever comes of it"
        fault.end()
        assert cluster.hosts[3].is_running, "it comes back, and is to be turned away"
        assert KINDS[kind](cluster.stage) is None, "it is on its way out already"


async def test_a_node_is_replaced_by_one_that_was_added_for_it(autojump_clock):
    cluster = Cluster(nodes=NODES_MIN)
    fault = faults.replace_node(cluster.stage)
    assert fault.text.startswith(f"replace, by n{NODES_MIN + 1}: n1 (")
    assert fault.ended == "started all the same"
    assert cluster.hosts[-1].name == f"n{NODES_MIN + 1}"
    assert cluster.staged, "it is to have the tokens of the one that it replaces, and no others"
    await cluster.carry_out()
    assert cluster.admin.orders == [(trio.current_time(), "replace", "n1", f"n{NODES_MIN + 1}")]


@pytest.mark.parametrize("victims", [(1,), (1, 2, 3, 4, 5), ()])
async def test_in_any_order_enough_nodes_stay_and_not_too_many_come(autojump_clock, victims):
    """Nobody retires here: whatever was ordered is still to be carried out."""
    for seed in SEEDS:
        cluster = Cluster(victims=victims, seed=seed)
        generator = random.Random(seed)
        for _ in range(40):
            kind = generator.choice(MEMBER_KINDS)
            before = len(cluster.hosts)
            fault = KINDS[kind](cluster.stage)
            assert len(cluster.stage.staying) >= NODES_MIN
            came = len(cluster.hosts) - before
            assert came == (fault is not None and kind in ("join", "replace"))
            assert kind != "join" or not came or before < NODES_MAX
            if isinstance(fault, Fault):
                fault.end()
        await cluster.carry_out()
        gone = [order[2] for order in cluster.admin.orders]
        assert len(gone) == len(set(gone)), "nobody is sent away twice"
        assert cluster.present == [host.name for host in cluster.stage.staying]
        lost = {node for _, kind, node, *_ in cluster.admin.orders if kind != "leave"}
        assert lost <= {f"n{k}" for k in victims}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in MEMBER_KINDS])
def test_nothing_is_done_to_a_node_that_is_gone_for_good(kind):
    async def main(sim):
        await sim.store.admin.leave("n2")
        await wait_for(lambda: sim.host(2).is_retired)
        for host in sim.hosts:
            host.copy_disk()
        few = SimpleNamespace(hosts=[sim.host(2)], overlaps=sim.overlaps, now=sim.now)
        assert staged(few, random.Random(1), (), (sim.host(2),)).hosts == []
        sim.overlaps.block = lambda pairs: touched.update(*pairs) or (lambda: None)
        stage = Stage(sim, random.Random(1), (), (sim.host(2),))
        fault = KINDS[kind](stage)
        return fault is not None and "n2" in fault.text.replace("(", " ").split()

    touched: set[str] = set()
    assert not Simulation(nodes=4).run(main)
    assert "n2" not in touched


# --- what comes of them -------------------------------------------------------------------------


async def wait_members(sim, *names):
    def is_done():
        known = [sorted(s.name for s in n.view.nodes.values()) for n in sim.nodes.values()]
        return sim.is_converged() and known == [list(names)] * len(names)

    await wait_for(is_done)


def change(kind, *, nodes=5, victim=2, seed=1):
    """Let one fault happen to a cluster; what its text was, and the simulation in the end."""

    async def main(sim):
        async with background() as nursery:
            stage = Stage(
                sim, random.Random(seed), (), (sim.host(victim),), start_soon=nursery.start_soon
            )
            fault = KINDS[kind](stage)
            assert fault is not None
            await trio.sleep(15)
            fault.end()
            await wait_members(sim, *(host.name for host in stage.staying))
        return fault.text, sim, sorted(sim.nodes), sim.host(victim).refusal

    return Simulation(nodes=nodes).run(main)


def test_a_join_makes_another_member():
    text, _, nodes, _ = change("join")
    assert (text, nodes) == ("join: n6", [1, 2, 3, 4, 5, 6])


def test_a_leave_ends_a_node_in_peace():
    text, sim, nodes, _ = change("leave")
    assert len(nodes) == 4
    (left,) = {1, 2, 3, 4, 5} - {*nodes}
    assert text == f"leave: n{left}"
    assert (sim.host(left).is_retired, sim.host(left).refusal) == (True, None)


def test_a_removed_node_comes_back_and_is_turned_away():
    text, _, nodes, refusal = change("remove")
    assert text.startswith("remove: n2 (")
    assert nodes == [1, 3, 4, 5]
    assert isinstance(refusal, NodeRemoved)


def test_a_replaced_node_comes_back_and_is_turned_away_from_its_place():
    text, _, nodes, refusal = change("replace")
    assert text.startswith("replace, by n6: n2 (")
    assert nodes == [1, 3, 4, 5, 6]
    assert isinstance(refusal, NodeRemoved)
