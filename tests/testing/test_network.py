"""The simulated network: latency, flow control, and each fault."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from dynamo_py.errors import NodeUnavailable
from dynamo_py.testing.pipes import Latency
from dynamo_py.testing.sockets import WINDOW_BYTES
from dynamo_py.testing.transports import BACKLOG

EVEN = Latency(base_s=0.001, jitter_s=0.0, spike_share=0.0)
LOST = "the connection to .* was lost"


async def lasts(awaitable_call, *arguments) -> float:
    """How long the call takes, in seconds."""
    began = trio.current_time()
    await awaitable_call(*arguments)
    return trio.current_time() - began


# --- without faults --------------------------------------------------------------------------


async def test_a_segment_takes_some_tenths_of_a_millisecond_and_at_times_more(
    running, autojump_clock
):
    async with running() as world:
        ours, theirs = await world.connected()
        took = []
        for _ in range(2000):
            await ours.send_all(b"x")
            took.append(await lasts(theirs.receive_some, 10))
        assert min(took) >= 0.000_2 - 1e-9
        assert 0.000_4 < sum(took) / len(took) < 0.000_8
        assert 0.003 < max(took) < 0.02
        moments = [note[0] for note in world.notes.of("segment")]
        assert all(abs(moment * 10_000 - round(moment * 10_000)) < 1e-6 for moment in moments)


async def test_segments_keep_their_order_though_their_latencies_differ(running, autojump_clock):
    async with running() as world:
        ours, theirs = await world.connected()
        for number in range(250):
            await ours.send_all(bytes([number]))
        world.network._check()
        assert await world.receive_exactly(theirs, 250) == bytes(range(250))
        assert len({note[0] for note in world.notes.of("segment")}) > 1


async def test_what_arrives_at_one_moment_arrives_in_the_order_of_sending(running, autojump_clock):
    async with running(latency=EVEN) as world:
        pairs = [await world.connected() for _ in range(5)]
        order = [3, 1, 4, 0, 2]
        for number in order:
            await pairs[number][0].send_all(bytes(number + 1))
        await trio.sleep(0.01)
        arrived = world.notes.of("segment")
        assert [size - 1 for *_, size in arrived] == order
        assert len({note[0] for note in arrived}) == 1


async def test_a_reader_that_does_not_read_holds_the_sender_at_the_window(running, autojump_clock):
    async with running() as world:
        ours, theirs = await world.connected()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ours.send_all, bytes(3 * WINDOW_BYTES))
            await trio.sleep(100)
            assert world.network.statistics()["bytes_delivered"] == WINDOW_BYTES
            world.network._check()
            await world.receive_exactly(theirs, 1000)
            await trio.sleep(1)
            assert world.network.statistics()["bytes_delivered"] == WINDOW_BYTES + 1000
            await world.receive_exactly(theirs, 3 * WINDOW_BYTES - 1000)


async def test_a_full_backlog_lets_a_connect_wait_until_someone_accepts(running, autojump_clock):
    async with running() as world:
        for _ in range(BACKLOG):
            assert await lasts(world.n1.connect, "n2:7701") < 0.1
        await trio.sleep(0.1)
        with pytest.raises(NodeUnavailable, match="no answer within 3 s"):
            await world.n1.connect("n2:7701")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.n1.connect, "n2:7701")
            await trio.sleep(0.5)
            await world.listening.accept()
        assert world.network.statistics()["connected"] == BACKLOG + 1


async def test_connects_that_cross_the_last_place_of_the_backlog_are_reset(running, autojump_clock):
    async with running(latency=EVEN) as world:
        connections = []

        async def connect():
            connections.append(await world.n1.connect("n2:7701"))

        async with trio.open_nursery() as nursery:
            for _ in range(BACKLOG + 3):
                nursery.start_soon(connect)
        await trio.sleep(0.1)
        assert world.network.statistics()["lost"] == 2 * 3
        world.network._check()


async def test_sending_to_a_side_that_has_closed_is_found_out_a_round_trip_later(
    running, autojump_clock
):
    async with running(latency=EVEN) as world:
        ours, theirs = await world.connected()
        await theirs.aclose()
        await ours.send_all(b"into the void")
        await trio.sleep(0.001_9)
        await ours.send_all(b"still unaware")
        await trio.sleep(0.000_2)
        with pytest.raises(NodeUnavailable, match="the connection to n2:7701 was lost"):
            await ours.send_all(b"x")


async def test_nobody_listening_is_a_refusal_and_no_machine_is_no_answer(running, autojump_clock):
    async with running(latency=EVEN) as world:
        began = trio.current_time()
        with pytest.raises(NodeUnavailable, match=r"^connection refused$"):
            await world.n1.connect("n2:1")
        assert trio.current_time() - began == pytest.approx(0.002)
        with pytest.raises(NodeUnavailable, match=r"^no answer within 3 s$"):
            await world.n1.connect("n9:7701")
        assert trio.current_time() - began == pytest.approx(3.002)


# --- blocks, delays, losses --------------------------------------------------------------------


@pytest.mark.parametrize("is_sent_before", [True, False])
async def test_a_block_holds_one_direction_up_until_it_ends(
    is_sent_before, running, autojump_clock
):
    async with running() as world:
        ours, theirs = await world.connected()
        await trio.sleep(1)
        if is_sent_before:
            await ours.send_all(b"1")
        world.network.block("n1", "n2")
        if not is_sent_before:
            await ours.send_all(b"1")
        await ours.send_all(b"2")
        await theirs.send_all(b"free")
        assert await ours.receive_some(10) == b"free"
        await trio.sleep(10)
        world.network._check()
        assert len(world.notes.of("segment")) == 1
        world.network.unblock("n1", "n2")
        await ours.send_all(b"3")
        assert 0.2 <= await lasts(world.receive_exactly, theirs, 2) < 1.3
        assert await world.receive_exactly(theirs, 1) == b"3"


async def test_a_block_of_15_s_loses_the_sender_its_connection_and_leaves_the_other_half_open(
    running, autojump_clock
):
    async with running() as world:
        ours, theirs = await world.connected()
        await trio.sleep(1)
        world.network.block("n1", "n2")
        began = trio.current_time()
        await ours.send_all(b"x")
        with pytest.raises(NodeUnavailable, match=LOST):
            await ours.receive_some(10)
        assert trio.current_time() - began == pytest.approx(15.0)
        world.network._check()
        world.network.unblock_all()
        assert await world.waits_for_ever(theirs.receive_some, 10)
        await theirs.send_all(b"are you there?")
        with pytest.raises(NodeUnavailable, match=LOST):
            await theirs.receive_some(10)


async def test_a_block_that_ends_in_time_does_not_count_for_the_next_one(running, autojump_clock):
    async with running() as world:
        ours, theirs = await world.connected()
        world.network.block("n1", "n2")
        await ours.send_all(b"x")
        await trio.sleep(14)
        world.network.unblock("n1", "n2")
        world.network.block("n1", "n2")
        await trio.sleep(14)
        world.network.unblock("n1", "n2")
        assert await theirs.receive_some(10) == b"x"


@pytest.mark.parametrize("direction", [("n1", "n2"), ("n2", "n1")])
async def test_a_connect_across_a_block_waits_for_its_end_but_three_seconds_at_most(
    direction, running, autojump_clock
):
    async with running() as world:
        world.network.block(*direction)
        began = trio.current_time()
        with pytest.raises(NodeUnavailable, match="no answer within 3 s"):
            await world.n1.connect("n2:7701")
        assert trio.current_time() - began == pytest.approx(3.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.connected)
            await trio.sleep(2.9)
            world.network.unblock(*direction)
        assert trio.current_time() - began < 6.0
        assert not world.network.statistics()["blocked"]


async def test_hosts_of_two_sides_are_blocked_both_ways_and_healed_at_once(running, autojump_clock):
    async with running() as world:
        ours, theirs = await world.connected()
        for other in ("n1", "n3"):
            world.network.block("n2", other)
            world.network.block(other, "n2")
        world.network.slow("n1", "n2", delay_s=100.0)
        world.network.lose("n1", "n2", share=0.99)
        assert world.network.statistics()["blocked"] == 4
        world.network.heal()
        for one, other in ((ours, theirs), (theirs, ours)):
            await one.send_all(b"x")
            assert await lasts(other.receive_some, 10) < 1.3
        assert not world.network.statistics()["blocked"]


async def test_a_slow_direction_is_slow_until_it_is_ended(running, autojump_clock):
    async with running(latency=EVEN) as world:
        ours, theirs = await world.connected()
        world.network.slow("n1", "n2", delay_s=0.5)
        await ours.send_all(b"x")
        assert await lasts(theirs.receive_some, 10) == pytest.approx(0.501)
        await theirs.send_all(b"x")
        assert await lasts(ours.receive_some, 10) == pytest.approx(0.001)
        world.network.slow("n1", "n2", delay_s=0)
        await ours.send_all(b"x")
        assert await lasts(theirs.receive_some, 10) == pytest.approx(0.001)


async def test_a_lost_segment_comes_late_and_holds_up_what_is_behind_it(running, autojump_clock):
    async with running(latency=EVEN) as world:
        ours, theirs = await world.connected()
        world.network.lose("n1", "n2", share=0.5)
        for number in range(40):
            await ours.send_all(bytes([number]))
        world.network.lose("n1", "n2", share=0)
        await ours.send_all(b"\xff")
        sent_at = trio.current_time()
        assert await world.receive_exactly(theirs, 41) == bytes([*range(40), 0xFF])
        late = [round(note[0] - sent_at, 3) for note in world.notes.of("segment")]
        assert late == sorted(late)
        assert set(late) <= {0.001, 0.201, 0.601, 1.401, 3.001, 6.201, 12.601}
        assert len(set(late)) > 2
        assert late[-1] == late[-2]


async def test_resetting_takes_just_the_connections_between_two_hosts(running, autojump_clock):
    async with running() as world:
        ours, theirs = await world.connected()
        n3 = world.network.transport("n3")
        kept = await n3.connect("n2:7701")
        other_end = await world.listening.accept()
        world.network.reset_connections("n2", "n1")
        for end in (ours, theirs):
            with pytest.raises(NodeUnavailable, match=LOST):
                await end.receive_some(10)
        await kept.send_all(b"x")
        assert await other_end.receive_some(10) == b"x"


async def test_a_fault_caused_twice_is_one(running, autojump_clock):
    async with running() as world:
        network = world.network
        for _ in range(2):
            network.block("n1", "n2")
            network.slow("n1", "n2", delay_s=1)
            network.lose("n1", "n2", share=0.1)
            network.cut_off("n2", silently=True)
        for _ in range(2):
            network.heal()
        kinds = [note[1] for note in world.notes.noted]
        assert kinds == ["boot"] * 2 + ["block", "slow", "lose", "cut off"] + [
            "slow",
            "lose",
            "unblock",
        ]


async def test_a_cancelled_connect_leaves_nothing_behind(running, autojump_clock):
    async with running() as world:
        world.network.block("n1", "n2")
        with trio.move_on_after(1):
            await world.n1.connect("n2:7701")
        assert not world.network.route("n1", "n2").held
        world.network.unblock("n1", "n2")
        with trio.move_on_after(0.000_1):
            await world.n1.connect("n2:7701")
        await trio.sleep(5)
        assert world.network.statistics()["connected"] == 0
        assert world.network.statistics()["scheduled"] == 0
        with trio.move_on_after(1) as scope:
            await world.listening.accept()
        assert scope.cancelled_caught
        await wait_all_tasks_blocked()
