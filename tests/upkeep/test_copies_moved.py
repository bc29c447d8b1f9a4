"""Copies made for a hand-over, and removed after it, by real exchanges over encoded messages."""

from __future__ import annotations

import dataclasses

import trio

from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import Placement
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.testing.replica_pair import NODES, PARTITION, Ticking, key_of, play
from dynamo_py.upkeep.cleaning import Cleaning
from dynamo_py.upkeep.taking import Taking
from dynamo_py.wire.handover_messages import AskTaken, Offer, Taken
from dynamo_py.wire.messages import TableEntry
from ring import Ring

NEXT_WALK = 4711


def test_a_copy_has_all_that_its_giver_has_and_costs_little_the_second_time():
    async def test(pair):
        gainer, giver = pair.sides
        _owned_by_second(pair)
        pair.both_write(5)
        for number in range(300):
            giver.write(key_of(number), b"new", b"n%015d" % number)
        taking = Taking(
            gainer.exchanges,
            gainer.building,
            gainer.committer,
            lambda: gainer.view,
            clock=Ticking(),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(taking.run)
            offer = Offer(PARTITION, 1, giver.node, 300, 1)
            while True:
                if taking.offered(offer).is_copied:
                    break
                await trio.sleep(0.1)
            giver.write(key_of(1), b"late", b"l" * 16)
            asked = len(pair.asked)
            reply = AwaitedReply()
            taking.ask_taken(AskTaken(PARTITION, 1, giver.node, NEXT_WALK), reply)
            assert await reply.wait() == Taken()
            assert len(pair.asked) - asked < 10
            assert gainer.rows() == giver.rows()
            nursery.cancel_scope.cancel()

    play(test)


def _owned_by_second(pair) -> None:
    """The second of the two owns everything."""
    table = OwnershipTable([TableEntry(t, 0, 2, NODES[1]) for t in range(2)])
    placement = Placement(table, Ring(table.owners, 2))
    for side in pair.sides:
        side.view = dataclasses.replace(side.view, placement=placement)


def test_a_real_copy_is_had_by_its_primary_before_it_goes():
    async def test(pair):
        holder, primary = pair.sides
        _owned_by_second(pair)
        pair.both_write(20)
        for number in range(10, 250):
            holder.write(key_of(number), b"here alone", b"h%015d" % number)
        for number in range(300, 310):
            primary.write(key_of(number), b"there alone", b"t%015d" % number)
        mine, theirs = holder.rows(), primary.rows()
        one = Cleaning(
            holder.replica,
            holder.exchanges,
            holder.throttle,
            lambda: holder.view,
            is_offered=lambda partition: False,
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.run)
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
        assert holder.rows() == {}
        assert set(primary.rows()) == set(mine) | set(theirs)
        for number in range(10, 250):
            values = {s.value for s in primary.copy(key_of(number)).siblings}
            assert b"here alone" in values
        assert holder.exchanges.statistics()["fetched"] == 0
        assert not holder.trees.is_building(PARTITION)

    play(test)
