"""Many cores together, in virtual time: what the protocol promises as a whole."""

from __future__ import annotations

import functools
import math
import os

import pytest

from gossip import Leave, Payload, PayloadChanged, SetPayload, State

# Virtual seconds. An hour of 20 nodes takes a quarter of a minute: GOSSIP_SOAK_S=3600 runs it.
SOAK_S = float(os.environ.get("GOSSIP_SOAK_S", "300"))


def whole(simulation, *, seed: int, nodes: int, **settings):
    """A cluster that has come together and is quiet."""
    cluster = simulation(seed=seed, nodes=nodes, **settings)
    assert cluster.run_until(cluster.is_whole, within_s=20.0) < 20.0
    cluster.run_for(5.0)
    return cluster


def have_all_heard(cluster, teller: int) -> bool:
    return all(1 in cluster.seen(number, teller).payloads for number in cluster.nodes)


@pytest.mark.parametrize("nodes", [10, 30, 100])
def test_a_change_reaches_all_in_a_time_that_grows_with_the_logarithm(simulation, nodes):
    cluster = whole(simulation, seed=nodes, nodes=nodes)
    for version in range(1, 4):
        cluster.step(version, SetPayload(1, version, b"news"))
        took = cluster.run_until(functools.partial(have_all_heard, cluster, version), within_s=20.0)
        assert took <= cluster.config.gossip_interval_s * 1.5 * math.log2(nodes)
        cluster.run_for(3.0)


@pytest.mark.parametrize("nodes", [3, 10, 40])
def test_a_quiet_cluster_sends_as_much_per_node_whatever_its_size(simulation, nodes):
    cluster = whole(simulation, seed=nodes, nodes=nodes)
    before = cluster.bytes_sent
    cluster.run_for(20.0)
    assert (cluster.bytes_sent - before) / nodes / 20.0 < 400


@pytest.mark.parametrize(
    ("nodes", "loss", "seconds"),
    [(2, 0.05, 3 * SOAK_S), (3, 0.05, 3 * SOAK_S), (20, 0.1, SOAK_S)],
)
def test_nobody_is_taken_for_dead_where_messages_are_lost(simulation, nodes, loss, seconds):
    cluster = simulation(seed=nodes, nodes=nodes, loss=loss)
    cluster.run_for(seconds)
    cluster.check()
    assert cluster.transitions(State.SUSPECT), "there was nothing to refute"
    assert cluster.transitions(State.DOWN) == []


@pytest.mark.parametrize("nodes", [2, 3, 5])
@pytest.mark.parametrize("way", ["kill", "pause"])
@pytest.mark.parametrize("seed", range(12))
def test_a_dead_node_is_noticed_within_four_seconds_and_back_within_three(
    simulation, nodes, way, seed
):
    cluster = whole(simulation, seed=seed, nodes=nodes)
    # At different moments of the period.
    cluster.run_for(seed * 0.037)
    victim = seed % nodes
    getattr(cluster, way)(victim)
    assert cluster.run_until(lambda: cluster.is_seen(victim, State.DOWN), within_s=4.0) <= 4.0
    cluster.run_for(seed % 4)
    if way == "kill":
        # The first node has no seeds: the others must find it.
        cluster.start(victim, seeds=() if victim == 0 else (0,))
    else:
        cluster.resume(victim)
    assert cluster.run_until(cluster.is_whole, within_s=3.0) <= 3.0
    cluster.check()
    # Nobody else was ever taken for dead, not even by the one that stood still.
    victims = {member.node for _, _, member in cluster.transitions(State.DOWN)}
    assert victims == {cluster.seen(victim, victim).node}


def test_the_transports_hint_brings_the_time_down_to_the_suspicions_own(simulation):
    cluster = whole(simulation, seed=1, nodes=3, with_hints=True)
    cluster.kill(1)
    took = cluster.run_until(lambda: cluster.is_seen(1, State.DOWN), within_s=4.0)
    assert took == pytest.approx(1.5, abs=0.01)


def test_a_node_that_restarts_before_it_is_missed_is_never_down(simulation):
    cluster = whole(simulation, seed=1, nodes=3, with_hints=True)
    cluster.kill(1)
    cluster.run_for(0.7)
    cluster.start(1)
    assert cluster.run_until(cluster.is_whole, within_s=3.0) <= 3.0
    assert cluster.transitions(State.DOWN) == []
    assert cluster.seen(0, 1).incarnation > 0


def test_all_nodes_restarted_together_find_each_other(simulation):
    cluster = whole(simulation, seed=1, nodes=3)
    for number in range(3):
        cluster.kill(number)
    cluster.run_for(10.0)
    for number in range(3):
        cluster.start(number)
    assert cluster.run_until(cluster.is_whole, within_s=3.0) <= 3.0


def test_two_of_three_dead_at_once_are_both_noticed(simulation):
    cluster = whole(simulation, seed=1, nodes=3)
    cluster.kill(1)
    cluster.kill(2)

    def both_down() -> bool:
        return all(cluster.state(0, number) is State.DOWN for number in (1, 2))

    assert cluster.run_until(both_down, within_s=5.0) <= 5.0


def test_a_node_comes_back_with_another_address_while_its_old_life_seems_alive(simulation):
    cluster = whole(simulation, seed=1, nodes=3)
    for address in ("another:1", "yet-another:1"):
        cluster.kill(2)
        cluster.start(2, address=address)
        assert cluster.run_until(cluster.is_whole, within_s=3.0) <= 3.0
        assert cluster.seen(0, 2).address == address


def test_the_payloads_of_a_restarted_node_go_on_from_their_version(simulation):
    cluster = whole(simulation, seed=1, nodes=3)
    cluster.step(2, SetPayload(1, 1000, b"first life"))
    cluster.run_for(2.0)
    cluster.kill(2)
    cluster.start(2)
    cluster.step(2, SetPayload(1, 500, b"clock went back"))
    cluster.run_for(2.0)
    told = [change for _, change in cluster.nodes[2].changes if isinstance(change, PayloadChanged)]
    assert PayloadChanged(cluster.seen(2, 2).node, 1, 1000, b"first life") in told
    cluster.step(2, SetPayload(1, 1001, b"second life"))
    cluster.run_for(2.0)
    for number in range(3):
        assert cluster.seen(number, 2).payloads == {1: Payload(1001, b"second life")}


def test_the_halves_of_a_split_network_find_each_other_again(simulation):
    for seed in range(4):
        cluster = whole(simulation, seed=seed, nodes=10)
        cluster.split(range(5), range(5, 10))
        cluster.run_for(20.0)
        assert cluster.state(0, 9) is State.DOWN
        assert cluster.state(9, 0) is State.DOWN
        cluster.step(1, SetPayload(1, 1, b"set during the split"))
        cluster.heal()
        healed_at = cluster.now
        assert cluster.run_until(cluster.is_whole, within_s=5.0) <= 5.0
        assert [when for when, _, _ in cluster.transitions(State.DOWN) if when > healed_at] == []
        assert cluster.seen(9, 1).payloads == {1: Payload(1, b"set during the split")}
        cluster.check()


def test_one_node_cut_off_is_seen_alive_again_when_the_link_is_back(simulation):
    cluster = whole(simulation, seed=1, nodes=3)
    cluster.split(range(2), range(2, 3))
    cluster.run_for(60.0)
    assert cluster.state(2, 0) is State.DOWN
    cluster.heal()
    assert cluster.run_until(cluster.is_whole, within_s=3.0) <= 3.0


def test_who_leaves_is_never_suspected(simulation):
    cluster = whole(simulation, seed=1, nodes=5)
    cluster.step(3, Leave())
    assert cluster.run_until(lambda: cluster.is_seen(3, State.LEFT), within_s=1.0) <= 1.0
    cluster.run_for(1.0)
    cluster.kill(3)
    cluster.run_for(20.0)
    assert cluster.transitions(State.SUSPECT) == []
    assert cluster.is_seen(3, State.LEFT)
    # It comes back without a seed: the others must find it.
    cluster.start(3, seeds=())
    assert cluster.run_until(cluster.is_whole, within_s=3.0) <= 3.0


def test_a_change_that_all_rumours_missed_comes_by_push_pull(simulation):
    cluster = whole(simulation, seed=1, nodes=3)
    # Cut off for so short that nobody is suspect, and for so long that the rumour is told out.
    cluster.split(range(2), range(2, 3))
    cluster.step(0, SetPayload(1, 1, b"news"))
    cluster.run_for(0.45)
    cluster.heal()
    took = cluster.run_until(lambda: 1 in cluster.seen(2, 0).payloads, within_s=20.0)
    assert took <= 1.5 * cluster.config.sync_interval_s


def test_the_same_seed_gives_the_same_history(simulation):
    def history() -> list[object]:
        cluster = simulation(seed=5, nodes=6, loss=0.1)
        cluster.run_for(10.0)
        cluster.kill(2)
        cluster.run_for(10.0)
        return [node.changes for node in cluster.nodes.values()] + [cluster.bytes_sent]

    assert history() == history()
