"""Which replicas a read asks by their latency, and its hedges within their budget."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.coordinator.hedging import (
    HEDGE_S_MIN,
    HEDGES_SAVED_MAX,
    READS_PER_HEDGE,
    HedgeBudget,
    Hedging,
)
from dynamo_py.errors import NodeUnavailable
from dynamo_py.net import latencies
from dynamo_py.net.alarms import TICK_S
from dynamo_py.net.latencies import PROBE_S
from dynamo_py.wire.messages import ALL, ReplicaGet

HEDGE_S = 0.05
FAST_S, SLOW_S = 0.001, 0.1
REFUSED = NodeUnavailable("no connection", outcome="not_applied")


def asked(world, *, since_s: float = 0.0) -> list[int]:
    return [a.node for a in world.peers.of(ReplicaGet) if a.at_s >= since_s]


async def learn(world, reads: int = 1500) -> None:
    """Let so many reads go well; the last hundreds of latencies are known then."""
    for _ in range(reads):
        await world.get()
    world.peers.asked.clear()


def figures(world) -> dict[str, float]:
    return world.coordinator.figures()


# --- the order ----------------------------------------------------------------------------------


async def test_while_nobody_is_slow_the_order_is_that_of_the_placement(world, autojump_clock):
    world[1].delay_s, world[2].delay_s = 0.008, 0.001
    await learn(world, 0)
    for _ in range(100):
        await world.get()
    assert asked(world) == [0, 1] * 100
    assert not any(figures(world).values())


async def test_a_slow_replica_is_not_asked_any_more_but_for_probes(world, autojump_clock):
    world[1].delay_s = SLOW_S
    await world.get()
    await trio.sleep(SLOW_S)
    began_s = world.peers.now_s
    world.peers.asked.clear()
    for _ in range(2000):
        await world.get()
    took_s = world.peers.now_s - began_s
    assert took_s < 2000 * FAST_S * 1.1, "no read has waited for it"
    probes = asked(world).count(1)
    assert 0 < probes <= took_s / PROBE_S + 1
    assert asked(world).count(2) == 2000
    assert figures(world)["slow_probes_total"] == probes
    assert figures(world)["reads_around_slow_total"] == 2000


async def test_a_replica_that_stops_answering_is_avoided_while_a_request_waits(
    world, autojump_clock
):
    await learn(world)
    world[1].is_silent = True
    await world.get()
    await trio.sleep(latencies.SLOW_S)
    silent_s = world.peers.now_s
    world.peers.asked.clear()
    for _ in range(1000):
        await world.get()
    assert asked(world) == [0, 2] * 1000, "nor is it probed while it owes an answer"
    assert world.peers.now_s - silent_s < 1000 * FAST_S * 1.1


async def test_a_replica_that_has_recovered_is_asked_again(world, autojump_clock):
    world[1].delay_s = SLOW_S
    for _ in range(500):
        await world.get()
    world[1].delay_s = FAST_S
    for _ in range(2000):
        await world.get()
    world.peers.asked.clear()
    for _ in range(100):
        await world.get()
    assert asked(world) == [0, 1] * 100


async def test_a_slow_replica_is_asked_before_one_believed_down(make_world, autojump_clock):
    world = make_world(n=4, downs=[2])
    world[1].delay_s = SLOW_S
    world[2].error = REFUSED
    await world.get(r=2)
    await world.settle()
    world.peers.asked.clear()
    await world.get(r=ALL)
    assert asked(world) == [0, 3, 1, 2, 4]


async def test_r_all_asks_a_slow_replica_too(world, autojump_clock):
    world[1].delay_s = SLOW_S
    await world.get()
    await world.settle()
    world.peers.asked.clear()
    fetched = await world.get(r=ALL)
    assert sorted(asked(world)) == [0, 1, 2]
    assert len(fetched.replied) == 3


async def test_the_answer_of_a_probe_is_no_vote(world, autojump_clock):
    """Else a read would wait for one that was asked for another reason."""
    world[1].delay_s = SLOW_S
    await world.get()
    await world.settle()
    world[1].delay_s = FAST_S / 2
    world.peers.asked.clear()
    fetched = await world.get()
    assert asked(world) == [0, 2, 1]
    assert fetched.replied == ["n0", "n2"]


# --- hedges -------------------------------------------------------------------------------------


async def test_a_replica_that_takes_longer_than_usual_is_hedged(world, autojump_clock):
    await learn(world)
    world[1].is_silent = True
    began_s = world.peers.now_s
    fetched = await world.get()
    assert asked(world) == [0, 1, 2]
    assert fetched.replied == ["n0", "n2"]
    assert world.peers.now_s - began_s < HEDGE_S_MIN + TICK_S + 2 * FAST_S
    assert figures(world)["reads_hedged_total"] == 1


async def test_without_budget_a_silent_replica_is_followed_later(world, autojump_clock):
    await learn(world)
    while world.reader.hedging._budget.take():
        pass
    world[1].is_silent = True
    began_s = world.peers.now_s
    await world.get()
    assert asked(world) == [0, 1, 2]
    assert HEDGE_S <= world.peers.now_s - began_s < HEDGE_S + 2 * TICK_S
    assert figures(world)["reads_not_hedged_total"] == 1
    assert figures(world)["reads_followed_total"] == 1


async def test_where_all_are_far_away_reads_are_not_followed_for_it(world, autojump_clock):
    world[1].delay_s = world[2].delay_s = 0.08
    await learn(world, 100)
    for _ in range(500):
        await world.get()
    assert asked(world).count(2) <= 500 / READS_PER_HEDGE + HEDGES_SAVED_MAX


async def test_hedges_stay_within_their_budget(world, autojump_clock):
    """All get slower again and again than they have been: their p95 comes after."""
    await learn(world)
    delay_s = 0.02
    for _ in range(600):
        delay_s *= 1.005
        world[1].delay_s = world[2].delay_s = delay_s
        await world.get()
    found = figures(world)
    extra = len(asked(world)) - 2 * 600 - found["slow_probes_total"]
    assert found["reads_not_hedged_total"] > 0
    assert found["reads_hedged_total"] + found["reads_followed_total"] == extra
    assert found["reads_hedged_total"] <= 600 / READS_PER_HEDGE + HEDGES_SAVED_MAX


async def test_no_hedge_goes_to_a_replica_that_is_down_or_slow_itself(make_world, autojump_clock):
    world = make_world(downs=[2])
    await learn(world)
    world[1].is_silent, world[2].error = True, REFUSED
    began_s = world.peers.now_s
    with trio.move_on_after(HEDGE_S - TICK_S):
        await world.get()
    assert world.peers.now_s - began_s == pytest.approx(HEDGE_S - TICK_S)
    assert asked(world) == [0, 1]


async def test_fallbacks_are_asked_no_earlier_than_without_hedges(world, autojump_clock):
    await learn(world)
    world[1].is_silent = world[2].is_silent = True
    began_s = world.peers.now_s
    await world.get()
    fallbacks = [a.at_s - began_s for a in world.peers.of(ReplicaGet) if a.node > 2]
    assert min(fallbacks) >= 0.5


def test_of_whom_nothing_is_known_as_much_is_expected_as_is_configured():
    hedging = Hedging(HEDGE_S)
    assert hedging.waits_s([b"a"]) == (HEDGE_S, HEDGE_S)
    hedging.latencies.begin(b"a", 0.0)
    hedging.latencies.end(b"a", 0.0, 0.2, is_answered=True)
    hedge_s, follow_s = hedging.waits_s([b"a", b"b"])
    assert HEDGE_S < hedge_s < follow_s


@given(st.lists(st.booleans()))
def test_the_budget_is_a_tenth_and_what_was_saved(wants):
    """Each item is a read; whether it would be hedged."""
    budget, hedges = HedgeBudget(), 0
    for reads, wanted in enumerate(wants, start=1):
        budget.note_read()
        hedges += wanted and budget.take()
        budget._check()
        assert hedges <= reads / READS_PER_HEDGE + HEDGES_SAVED_MAX


def test_what_was_saved_is_bounded():
    budget = HedgeBudget()
    for _ in range(100_000):
        budget.note_read()
    assert sum(budget.take() for _ in range(1000)) == HEDGES_SAVED_MAX
