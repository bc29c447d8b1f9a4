"""A cluster in one process: what users can do to it, and that one seed is one course of events."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.errors import DynamoError, InvalidRequest, NodeRemoved, QuorumNotMet
from dynamo_py.testing import Simulation
from dynamo_py.testing.checkers.ownership import check_ownership
from dynamo_py.testing.final_state import hints_of, ownership_of


def simulate(main, *, seed=1, nodes=5, **fields):
    return Simulation(seed=seed, nodes=nodes, **fields).run(main)


async def put_many(sim, count=40):
    bucket = sim.store.bucket("b")
    for k in range(count):
        await bucket.put(f"k{k % 10}", b"%d" % k)


def test_a_put_is_read_back():
    async def main(sim):
        bucket = sim.store.bucket("b")
        done = await bucket.put("k", b"v")
        assert len(done.acked) >= 2
        return (await bucket.get("k")).one()

    assert simulate(main) == b"v"


def test_the_result_and_the_exceptions_of_main_leave_as_they_are():
    async def fail(sim):
        raise ZeroDivisionError

    async def answer(sim):
        return 42

    assert simulate(answer, nodes=1) == 42
    with pytest.raises(ZeroDivisionError):
        simulate(fail, nodes=1)


def test_time_is_virtual():
    async def main(sim):
        began = sim.now
        await trio.sleep(3600)
        return sim.now - began

    assert simulate(main, nodes=1) == 3600


def test_one_seed_is_one_course_of_events_and_another_seed_another_one():
    async def main(sim):
        await put_many(sim)
        sim.crash(2)
        await put_many(sim)
        return sim.trace.digest

    assert simulate(main, seed=7) == simulate(main, seed=7)
    assert simulate(main, seed=7) != simulate(main, seed=8)


def test_a_split_leaves_both_sides_writable_and_siblings_meet_when_it_heals():
    async def main(sim):
        sim.split([1, 2], [3, 4, 5])
        await sim_put_on(sim, "left", [1, 2])
        await sim_put_on(sim, "right", [3, 4, 5])
        sim.heal()
        await sim.wait_converged()
        with trio.fail_after(60):
            while True:  # What a side had no primary for, it keeps as hints.
                if not any(hints_of(sim).values()):
                    break
                await trio.sleep(0.1)
        found = await sim.store.bucket("b").get("k", r="all")
        return sorted(found.values)

    async def sim_put_on(sim, value, nodes):
        async with sim.client(f"beside-{value}") as store:
            others = [sim.host(k).name for k in range(1, 6) if k not in nodes]
            pairs = [(f"beside-{value}", other) for other in others]
            end = sim.overlaps.block([*pairs, *[(b, a) for a, b in pairs]])
            await store.bucket("b").put("k", value.encode(), timeout=20)
            end()

    assert simulate(main) == [b"left", b"right"]


def test_a_minority_that_is_asked_for_primaries_refuses():
    async def main(sim):
        for k in (1, 2):
            sim.crash(k)
        with pytest.raises(QuorumNotMet) as caught:
            await sim.store.bucket("b").put("k", b"v", pw=3)
        return caught.value.outcome

    assert simulate(main, nodes=3) == "unknown"


def test_what_was_acknowledged_survives_the_crash_of_all_nodes():
    async def main(sim):
        await put_many(sim)
        for k in range(1, 6):
            sim.crash(k, lose="all")
        await trio.sleep(3)
        for k in range(1, 6):
            sim.restart(k)
        await sim.wait_converged()
        bucket = sim.store.bucket("b")
        return [len((await bucket.get(f"k{k}")).values) for k in range(10)]

    assert simulate(main) == [4] * 10


def test_a_crashed_node_does_nothing_any_more_and_is_one_again_after_its_restart():
    async def main(sim):
        sim.crash(2)
        disk = sim.host(2).disk
        synced = disk.statistics.syncs
        assert sorted(sim.nodes) == [1, 3, 4, 5]
        await put_many(sim)
        await trio.sleep(5)
        assert disk.statistics.syncs == synced
        sim.restart(2)
        await sim.wait_converged()
        assert sorted(sim.nodes) == [1, 2, 3, 4, 5]

    simulate(main)


def test_a_paused_node_is_stood_in_for_and_goes_on_when_resumed():
    async def main(sim):
        sim.pause(3)
        await put_many(sim)
        await trio.sleep(10)
        assert not sim.is_converged() or len(sim.nodes[1].view.up) == 4
        sim.resume(3)
        await sim.wait_converged()
        assert len(sim.nodes[1].view.up) == 5

    simulate(main)


@pytest.mark.parametrize("link", [2, (1, 2)])
def test_a_slow_link_is_slow_until_it_is_healed(link):
    async def main(sim):
        bucket = sim.store.bucket("b")

        async def slowest_s():
            """Of puts whose coordinators are not all one node."""
            took_s = []
            for k in range(10):
                began = sim.now
                await bucket.put(f"k{k}", b"v", w="all")
                took_s.append(sim.now - began)
            return max(took_s)

        await trio.sleep(1)  # Until the client has a link to every node.
        usual_s = await slowest_s()
        sim.slow(link, delay_s=0.1)
        slow_s = await slowest_s()
        sim.heal()
        await trio.sleep(1)
        return usual_s < 0.1, slow_s >= 0.1, await slowest_s() < 0.1

    assert simulate(main, nodes=3) == (True, True, True)


def test_a_bug_of_a_node_ends_the_simulation_with_it(monkeypatch):
    async def main(sim):
        node = sim.nodes[2]
        monkeypatch.setattr(node.replica, "merge", lambda *arguments, **named: 1 / 0)
        for k in range(100):
            await sim.store.bucket("b").put(f"k{k}", b"v", w="all")

    with pytest.raises(ZeroDivisionError):
        simulate(main, nodes=3)


def test_a_node_that_does_not_exist_is_an_error_that_names_those_that_do():
    async def main(sim):
        with pytest.raises(ValueError, match="nodes are 1 to 2"):
            sim.crash(3)

    simulate(main, nodes=2)


def test_wrong_fields_are_refused():
    with pytest.raises(InvalidRequest):
        simulate(put_many, nodes=1, partitions=3)


def test_nobody_can_be_reached_once_all_nodes_have_crashed():
    async def main(sim):
        sim.crash(1)
        with pytest.raises(DynamoError) as caught:
            await sim.store.bucket("b").get("k")
        return caught.value.retryable

    assert simulate(main, nodes=1) is True


# --- members ------------------------------------------------------------------------------------


async def wait_ownership(sim, *names):
    """Wait until these are all the members, and each has the tokens and copies that it should."""

    def is_done():
        return (
            sim.is_converged()
            and sorted(node.config.name for node in sim.nodes.values()) == list(names)
            and not check_ownership(ownership_of(sim), names)
        )

    with trio.fail_after(60):
        # What is waited for is spread over all nodes, none of which knows of it.
        while not is_done():  # noqa: ASYNC110
            await trio.sleep(0.1)


async def counts(sim):
    """How many siblings each of the keys of `put_many` has, by all its replicas."""
    bucket = sim.store.bucket("b")
    found = [await bucket.get(f"k{k}", r="all") for k in range(10)]
    assert not any(each.degraded for each in found)
    return [len(each.values) for each in found]


def test_a_node_that_is_added_joins_and_takes_over_its_share_of_the_tokens_and_the_data():
    async def main(sim):
        await put_many(sim)
        assert sim.add() == 4
        assert sim.host(4).name == "n4"
        await wait_ownership(sim, "n1", "n2", "n3", "n4")
        node = sim.nodes[4]
        assert len(node.view.ring.tokens_of(node.view.me)) == 8
        assert await counts(sim) == [4] * 10
        for k in (1, 2):  # What it has taken over stands in for them.
            sim.crash(k)
        found = [await sim.store.bucket("b").get(f"k{k}", r=1) for k in range(10)]
        return [len(each.values) for each in found]

    assert simulate(main, nodes=3) == [4] * 10


def test_nodes_that_are_added_are_numbered_on_and_ask_those_that_are_left():
    async def main(sim):
        await sim.store.admin.leave("n1")
        await wait_ownership(sim, "n2", "n3", "n4")
        assert [sim.add(), sim.add()] == [5, 6]
        assert sim.host(5).config.seeds == ("n2:7701", "n3:7701", "n4:7701")
        assert sim.host(6).config.seeds == ("n2:7701", "n3:7701", "n4:7701", "n5:7701")
        await wait_ownership(sim, "n2", "n3", "n4", "n5", "n6")

    simulate(main, nodes=4)


def test_a_node_that_leaves_has_handed_over_what_it_held_and_is_no_node_any_more():
    async def main(sim):
        await put_many(sim)
        await sim.store.admin.leave("n4")
        await wait_ownership(sim, "n1", "n2", "n3")
        assert sorted(sim.nodes) == [1, 2, 3]
        sim.restart(4)
        await trio.sleep(10)
        assert sim.is_converged()
        return sorted(sim.nodes), await counts(sim)

    assert simulate(main, nodes=4) == ([1, 2, 3], [4] * 10)


def test_a_node_that_is_removed_and_comes_back_is_refused_and_the_others_have_its_copies():
    async def main(sim):
        await put_many(sim)
        sim.crash(4)
        await trio.sleep(10)  # Until it has been found down.
        await sim.store.admin.remove("n4")
        sim.restart(4)
        await wait_ownership(sim, "n1", "n2", "n3")
        assert isinstance(sim.host(4).refusal, NodeRemoved)
        return await counts(sim)

    assert simulate(main, nodes=4) == [4] * 10


def test_a_node_that_is_staged_waits_without_tokens_in_a_cluster_at_rest():
    async def main(sim):
        sim.add(is_staged=True)
        await trio.sleep(10)
        await wait_ownership(sim, "n1", "n2", "n3", "n4")
        assert {sim.nodes[1].view.name_of(owner) for owner in sim.nodes[1].view.table.owners} == {
            "n1",
            "n2",
            "n3",
        }
        await sim.store.admin.join("n4")
        await wait_ownership(sim, "n1", "n2", "n3", "n4")
        return len(sim.nodes[4].view.ring.tokens_of(sim.nodes[4].view.me))

    assert simulate(main, nodes=3) == 8


def test_a_node_takes_the_place_of_one_that_is_lost():
    async def main(sim):
        await put_many(sim)
        lost = sim.nodes[2]
        tokens = lost.view.ring.tokens_of(lost.view.me)
        sim.crash(2)
        assert sim.add(is_staged=True) == 5
        await trio.sleep(10)  # Until the one has been found down, and the other is known.
        assert sim.nodes[5].view.ring.tokens_of(sim.nodes[5].view.me) == ()
        await sim.store.admin.replace("n2", "n5")
        await wait_ownership(sim, "n1", "n3", "n4", "n5")
        node = sim.nodes[5]
        assert node.view.ring.tokens_of(node.view.me) == tokens
        return await counts(sim)

    assert simulate(main, nodes=4) == [4] * 10


def test_a_course_in_which_members_change_is_repeated_by_its_seed():
    async def main(sim):
        await put_many(sim)
        sim.add()
        await sim.store.admin.leave("n2")
        await wait_ownership(sim, "n1", "n3", "n4", "n5")
        return sim.trace.digest

    assert simulate(main, seed=7, nodes=4) == simulate(main, seed=7, nodes=4)
