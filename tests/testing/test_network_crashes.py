"""Crashes in the simulated network: what peers notice, and what the dead one still does."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.errors import NodeUnavailable
from dynamo_py.testing.pipes import Latency
from dynamo_py.testing.sockets import WINDOW_BYTES

EVEN = Latency(base_s=0.001, jitter_s=0.0, spike_share=0.0)
LOST = "the connection to .* was lost"


async def test_a_crashed_process_resets_its_peers_and_refuses_connects(running, autojump_clock):
    async with running(latency=EVEN) as world:
        ours, _ = await world.connected()
        world.network.cut_off("n2", silently=False)
        with pytest.raises(NodeUnavailable, match=LOST):
            await ours.receive_some(10)
        assert trio.current_time() < 0.01
        with pytest.raises(NodeUnavailable, match="connection refused"):
            await world.n1.connect("n2:7701")


async def test_a_machine_without_power_is_silent_until_it_boots_again(running, autojump_clock):
    async with running() as world:
        ours, _ = await world.connected()
        await trio.sleep(1)
        world.network.cut_off("n2", silently=True)
        assert await world.waits_for_ever(ours.receive_some, 10), "nothing told of it"
        await ours.send_all(b"vanishes")
        with pytest.raises(NodeUnavailable, match="no answer within 3 s"):
            await world.n1.connect("n2:7701")
        world.network.transport("n2")
        with pytest.raises(NodeUnavailable, match=LOST):
            with trio.fail_after(1.5):
                await ours.receive_some(10)
        with pytest.raises(NodeUnavailable, match="connection refused"):
            await world.n1.connect("n2:7701")


@pytest.mark.parametrize("is_sent_before", [True, False])
async def test_a_full_window_towards_a_silent_machine_is_given_up_after_15_s(
    is_sent_before, running, autojump_clock
):
    async with running() as world:
        ours, _ = await world.connected()
        async with trio.open_nursery() as nursery:
            if is_sent_before:
                await ours.send_all(bytes(WINDOW_BYTES))
                nursery.start_soon(waits_lost, ours)
                await trio.sleep(100)
            began = trio.current_time()
            world.network.cut_off("n2", silently=True)
            if not is_sent_before:
                nursery.start_soon(waits_lost, ours)
        assert trio.current_time() - began == pytest.approx(15.0, abs=0.01)


async def waits_lost(connection):
    with pytest.raises(NodeUnavailable, match=LOST):
        await connection.send_all(bytes(2 * WINDOW_BYTES))


async def test_of_what_a_crashed_process_had_sent_a_first_part_arrives(running, autojump_clock):
    arrived = set()
    for seed in range(100):
        async with running(seed=seed) as world:
            ours, theirs = await world.connected()
            for number in range(3):
                await theirs.send_all(bytes([number]))
            world.network.cut_off("n2", silently=bool(seed % 2))
            data = b""
            with trio.move_on_after(5):
                try:
                    while piece := await ours.receive_some(10):
                        data += piece
                except NodeUnavailable:
                    assert not seed % 2
            assert data == bytes(range(len(data)))
            arrived.add((seed % 2, len(data)))
    assert arrived == {(kind, size) for kind in (0, 1) for size in range(4)}


@pytest.mark.parametrize("is_silent", [True, False])
async def test_what_a_kernel_still_had_to_send_is_gone_with_its_machine_alone(
    is_silent, running, autojump_clock
):
    async with running() as world:
        ours, theirs = await world.connected()
        world.network.block("n2", "n1")
        await theirs.send_all(b"closed in time")
        await theirs.aclose()
        await trio.sleep(1)
        world.network.cut_off("n2", silently=is_silent)
        world.network.unblock_all()
        with trio.move_on_after(100) as scope:
            assert await world.receive_exactly(ours, 14) == b"closed in time"
            assert await ours.receive_some(10) == b""
        assert scope.cancelled_caught == is_silent


async def test_a_boot_that_was_cut_off_does_nothing_and_raises_nothing(running, autojump_clock):
    async with running() as world:
        ours, theirs = await world.connected()
        await ours.send_all(b"unread")
        await trio.sleep(1)
        waiting = [
            (world.n2.connect, "n1:1"),
            (world.n2.listen, "n2:7702"),
            (world.listening.accept,),
            (theirs.receive_some, 10),
        ]
        before = world.network.statistics()["connected"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.wait_for_ever, world.n2.connect, "n1:1")
            nursery.start_soon(world.wait_for_ever, world.listening.accept)
            await trio.sleep(0.000_1)
            world.network.cut_off("n2", silently=False)
            again = world.network.transport("n2")
            listening = await again.listen("n2:7701")
            await theirs.send_all(bytes(10 * WINDOW_BYTES))
            await theirs.aclose()
            await world.listening.aclose()
            assert listening.address == "n2:7701"
            assert await world.n1.connect("n2:7701"), "the old boot has closed the new listener"
            for call in waiting:
                nursery.start_soon(world.wait_for_ever, *call)
        statistics = world.network.statistics()
        assert statistics["connected"] == before + 1
        assert statistics["after_crash"] == 3 + len(waiting)
        assert not [n for n in world.notes.of("segment") if n[2] == "n2:7701"]


async def test_a_new_boot_ends_the_one_before_it(running, autojump_clock):
    async with running() as world:
        ours, _ = await world.connected()
        world.network.transport("n2")
        with pytest.raises(NodeUnavailable, match=LOST):
            await ours.receive_some(10)
        assert world.network.statistics()["connection_ends"] == 0
