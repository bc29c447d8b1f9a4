"""The gainer's side of a hand-over: copies that go on where they were, and words that hold."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio
import trio.testing

from dynamo_py.errors import DynamoError, NodeUnavailable, Overloaded, StorageError
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.replica.trees import Trees
from dynamo_py.testing.replica_pair import (
    Ticking,
    Unthrottled,
)
from dynamo_py.upkeep.building import Building
from dynamo_py.upkeep.compared import Compared
from dynamo_py.upkeep.taking import ASKED_MAX, COPIES_MAX, OFFER_LASTS_S, Taking
from dynamo_py.wire.handover_messages import AskTaken, Offer, Offered, Taken, TransferFigures

GONE = NodeUnavailable("no connection", outcome="not_applied")
COPYING, COPIED = Offered(False, ""), Offered(True, "")
P = 1
"""Of nodes 1 and 2, with the owners below."""
NEXT_WALK = 4711


class HeldExchanges:
    """Exchanges that end when they are let go, or at once."""

    def __init__(self) -> None:
        self.is_held = False
        self.let_go = trio.Event()
        self.begun: list[tuple[int, bytes]] = []
        self.patient: list[bool] = []
        self.under_way = 0
        self.under_way_max = 0
        self.failed = 0
        self.trouble: DynamoError | None = None

    async def exchange(self, partition, peer, *, is_patient=True):
        self.begun.append((partition, peer))
        self.patient.append(is_patient)
        self.under_way += 1
        self.under_way_max = max(self.under_way_max, self.under_way)
        try:
            await trio.lowlevel.checkpoint()
            if self.is_held:
                await self.let_go.wait()
            if self.trouble is not None:
                raise self.trouble
        finally:
            self.under_way -= 1
        return Compared(partition, peer, 0.0, failed=self.failed)


class HeldStore:
    """A store that is told when what was submitted is committed."""

    def __init__(self) -> None:
        self.is_held = False
        self.durables: list[bool] = []
        self._waiting: list[Any] = []

    def submit(self, changes, on_commit, *, durable=False):
        self.durables.append(durable)
        self._waiting.append(on_commit)
        if not self.is_held:
            self.commit()

    def commit(self, error=None):
        waiting, self._waiting = self._waiting, []
        for on_commit in waiting:
            on_commit(error)


class Gainer:
    """Node 0, which holds nothing yet, and its taking."""

    def __init__(self, home, nursery) -> None:
        self.home = home
        self.exchanges = HeldExchanges()
        self.store = HeldStore()
        self.trees = Trees(home.committer, on_damage=home.damaged.append)
        building = Building(self.trees, Unthrottled())
        self.withdrawn = 0
        self.taking = Taking(
            cast(Any, self.exchanges),
            building,
            cast(Any, self.store),
            lambda: home.view,
            clock=Ticking(),
        )
        self.taking.on_withdrawn = self._on_withdrawn
        self._nursery = nursery
        nursery.start_soon(building.run)
        self.run()

    def _on_withdrawn(self) -> None:
        self.withdrawn += 1

    def run(self) -> None:
        self._nursery.start_soon(self.taking.run)

    def offer(self, partition=P, *, giver=1) -> Offered:
        node = bytes([giver + 1]) * 16
        return self.taking.offered(Offer(partition, 1, node, 10, 1000))

    async def copy(self, partition=P) -> None:
        while True:
            if self.offer(partition).is_copied:
                return
            await trio.sleep(0.01)

    def ask_taken(self, partition=P, *, giver=1, next_walk=NEXT_WALK) -> AwaitedReply:
        reply = AwaitedReply()
        node = bytes([giver + 1]) * 16
        self.taking.ask_taken(AskTaken(partition, 1, node, next_walk), reply)
        return reply

    async def take(self, **asked) -> None:
        assert await self.ask_taken(**asked).wait() == Taken()


@pytest.fixture
async def gainer(make_home, nursery, autojump_clock) -> Gainer:
    """Node 0 in a ring in which nothing is its own."""
    return Gainer(make_home([1, 2, 1, 2]), nursery)


# --- copying ------------------------------------------------------------------------------------


async def test_an_offered_partition_is_copied_from_its_giver(gainer, node_id, autojump_clock):
    gainer.exchanges.is_held = True
    assert gainer.offer() == COPYING
    await trio.sleep(1)
    assert gainer.offer() == COPYING
    gainer.exchanges.let_go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.offer() == COPIED
    assert gainer.exchanges.begun == [(P, node_id(1))], "once"
    assert gainer.taking.statistics() == {"offered": 1, "taken": 0}


async def test_a_few_partitions_are_copied_at_once(gainer, autojump_clock):
    for partition in range(4):
        gainer.offer(partition)
    for partition in range(4):
        await gainer.copy(partition)
    assert gainer.exchanges.under_way_max == COPIES_MAX


async def test_what_is_wrong_is_told_once_and_the_next_offer_has_it_tried_again(
    gainer, autojump_clock
):
    gainer.exchanges.trouble = GONE
    gainer.offer()
    await trio.sleep(1)
    assert len(gainer.exchanges.begun) == 1, "not before the giver has heard of it"
    gainer.exchanges.trouble = None
    assert gainer.offer() == Offered(False, GONE.message)
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.offer() == COPIED


async def test_another_giver_is_copied_from_where_the_first_one_has_failed(
    gainer, node_id, autojump_clock
):
    gainer.offer(giver=1)
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.offer(giver=2) == COPIED, "one source is enough"
    gainer.exchanges.trouble = GONE
    gainer.offer(3, giver=1)
    await trio.testing.wait_all_tasks_blocked()
    gainer.exchanges.trouble = None
    assert gainer.offer(3, giver=2) == COPYING
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.exchanges.begun[1:] == [(3, node_id(1)), (3, node_id(2))]


async def test_a_partition_that_is_this_nodes_already_is_not_copied(gainer, autojump_clock):
    gainer.home.give([0, 1, 0, 1], version=2)
    assert gainer.offer() == COPIED
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.exchanges.begun == []
    assert not gainer.taking.is_offered(P)


async def test_who_hears_no_more_of_an_offer_lets_it_be_cleaned_up(gainer, autojump_clock):
    await gainer.copy()
    for _ in range(3):
        await trio.sleep(OFFER_LASTS_S * 0.9)
        gainer.offer()
    assert gainer.taking.is_offered(P)
    await trio.sleep(OFFER_LASTS_S * 2.1)
    assert not gainer.taking.is_offered(P)
    assert gainer.withdrawn == 1


async def test_a_copy_under_way_is_not_given_up(gainer, autojump_clock):
    gainer.exchanges.is_held = True
    gainer.offer()
    await trio.sleep(OFFER_LASTS_S * 5)
    assert gainer.taking.is_offered(P)


async def test_a_partition_that_became_this_nodes_is_not_withdrawn(gainer, autojump_clock):
    await gainer.copy()
    gainer.home.give([0, 1, 0, 1], version=2)
    gainer.taking.on_placement()
    assert not gainer.taking.is_offered(P)
    assert gainer.withdrawn == 0


async def test_a_loop_that_is_begun_anew_copies_what_was_under_way(
    make_home, nursery, autojump_clock
):
    async with trio.open_nursery() as first:
        gainer = Gainer(make_home([1, 2, 1, 2]), first)
        gainer.exchanges.is_held = True
        gainer.offer()
        await trio.testing.wait_all_tasks_blocked()
        first.cancel_scope.cancel()
    gainer.exchanges.is_held = False
    gainer._nursery = nursery
    gainer.run()
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.offer() == COPIED


async def test_transfers_say_how_far_each_copy_is(gainer, autojump_clock):
    gainer.exchanges.is_held = True
    gainer.offer(1)
    gainer.offer(3)
    await trio.sleep(2)
    home, record = gainer.home, gainer.home.record(0)
    home.replica._on_change = gainer.trees.note
    home.replica.merge(1, b"b\0k", record, hinted_for=None, on_commit=lambda error: None)
    size = len(b"b\0k") + len(record)
    assert gainer.taking.transfers() == [
        TransferFigures(1, "n1", "n0", 1, 10, size, 1000, 2000, "copying"),
        TransferFigures(3, "n1", "n0", 0, 10, 0, 1000, 2000, "copying"),
    ]
    gainer.exchanges.let_go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert {each.state for each in gainer.taking.transfers()} == {"copied"}


# --- confirming ---------------------------------------------------------------------------------


async def test_taken_is_said_after_one_more_comparison_and_an_fsync(
    gainer, node_id, autojump_clock
):
    await gainer.copy()
    gainer.exchanges.is_held = gainer.store.is_held = True
    reply = gainer.ask_taken()
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.exchanges.begun[1:] == [(P, node_id(1))]
    assert gainer.exchanges.patient == [True, False], "writes wait for this one"
    assert gainer.store.durables == []
    gainer.exchanges.let_go.set()
    await trio.testing.wait_all_tasks_blocked()
    assert gainer.store.durables == [True], "whatever the durability"
    assert reply._reply is None
    assert not gainer.taking.is_taken(P, NEXT_WALK)
    gainer.store.commit()
    assert await reply.wait() == Taken()
    assert gainer.taking.is_taken(P, NEXT_WALK)


async def test_what_was_taken_is_good_for_one_walk_of_one_partition(gainer, autojump_clock):
    await gainer.take()
    assert gainer.taking.is_taken(P, NEXT_WALK)
    assert not gainer.taking.is_taken(P, NEXT_WALK + 1)
    assert not gainer.taking.is_taken(3, NEXT_WALK)


async def test_a_copy_that_does_not_stand_for_the_owners_is_confirmed_and_not_noted(
    gainer, autojump_clock
):
    await gainer.take(next_walk=0)
    assert not gainer.taking.is_taken(P, 0)
    assert gainer.taking.statistics()["taken"] == 0


async def test_records_that_could_not_be_had_are_no_copy(gainer, autojump_clock):
    gainer.exchanges.failed = 1
    with pytest.raises(NodeUnavailable, match="could not be taken over"):
        await gainer.ask_taken().wait()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_a_comparison_that_fails_is_the_answer(gainer, autojump_clock):
    gainer.exchanges.trouble = GONE
    with pytest.raises(NodeUnavailable, match="no connection"):
        await gainer.ask_taken().wait()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_an_fsync_that_fails_is_the_answer(gainer, autojump_clock):
    gainer.store.is_held = True
    reply = gainer.ask_taken()
    await trio.testing.wait_all_tasks_blocked()
    gainer.store.commit(StorageError("the disk is gone"))
    with pytest.raises(StorageError):
        await reply.wait()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_what_was_shown_is_forgotten_when_a_record_is_lost(gainer, autojump_clock):
    await gainer.take()
    gainer.taking.lost(3)
    assert gainer.taking.is_taken(P, NEXT_WALK)
    gainer.taking.lost(P)
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_what_was_shown_is_forgotten_when_a_commit_fails(gainer, autojump_clock):
    await gainer.take()
    gainer.taking.lost_all()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


@pytest.mark.parametrize("loss", ["record", "commit"])
async def test_what_is_lost_while_it_is_compared_is_not_confirmed(gainer, loss, autojump_clock):
    gainer.store.is_held = True
    reply = gainer.ask_taken()
    await trio.testing.wait_all_tasks_blocked()
    if loss == "record":
        gainer.taking.lost(P)
    else:
        gainer.taking.lost_all()
    gainer.store.commit()
    with pytest.raises(NodeUnavailable, match="lost meanwhile"):
        await reply.wait()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_an_earlier_confirmation_is_void_from_when_it_is_asked_for_again(
    gainer, autojump_clock
):
    await gainer.take()
    gainer.exchanges.trouble = GONE
    reply = gainer.ask_taken()
    assert not gainer.taking.is_taken(P, NEXT_WALK)
    with pytest.raises(NodeUnavailable):
        await reply.wait()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_of_two_that_are_asked_for_at_once_the_later_one_holds(gainer, autojump_clock):
    gainer.exchanges.is_held = True
    first, second = gainer.ask_taken(next_walk=1), gainer.ask_taken(next_walk=2)
    await trio.testing.wait_all_tasks_blocked()
    gainer.exchanges.let_go.set()
    with pytest.raises(NodeUnavailable):
        await first.wait()
    assert await second.wait() == Taken()
    assert not gainer.taking.is_taken(P, 1)
    assert gainer.taking.is_taken(P, 2)


async def test_what_was_shown_is_used_up_when_the_partition_is_this_nodes(gainer, autojump_clock):
    """The same walk may come back, when zones cease to count, say: by then much may be lacking."""
    await gainer.take()
    gainer.home.give([1, 2, 2, 2], version=2)
    gainer.taking.on_placement()
    assert gainer.taking.is_taken(P, NEXT_WALK), "that was another token"
    gainer.home.give([0, 1, 0, 1], version=3)
    gainer.taking.on_placement()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_what_was_shown_is_used_up_while_a_copy_is_still_being_made(gainer, autojump_clock):
    gainer.exchanges.is_held = True
    gainer.offer()
    await trio.testing.wait_all_tasks_blocked()
    gainer.exchanges.is_held = False
    await gainer.take()
    assert gainer.exchanges.under_way == 1
    gainer.home.give([0, 1, 0, 1], version=2)
    gainer.taking.on_placement()
    assert not gainer.taking.is_taken(P, NEXT_WALK)


async def test_what_is_being_confirmed_is_not_cleaned_up(gainer, autojump_clock):
    gainer.exchanges.is_held = True
    reply = gainer.ask_taken()
    assert gainer.taking.is_offered(P), "nobody has offered it to this process"
    await trio.sleep(OFFER_LASTS_S * 3)
    assert gainer.taking.is_offered(P)
    gainer.exchanges.let_go.set()
    await reply.wait()
    await trio.sleep(OFFER_LASTS_S * 0.9)
    assert gainer.taking.is_offered(P)
    assert gainer.taking.is_taken(P, NEXT_WALK)


async def test_a_copy_that_may_be_cleaned_up_is_not_shown_any_more(gainer, autojump_clock):
    await gainer.take()
    await trio.sleep(OFFER_LASTS_S * 2.1)
    assert not gainer.taking.is_offered(P)
    assert not gainer.taking.is_taken(P, NEXT_WALK)
    assert gainer.withdrawn == 1


async def test_only_so_much_is_confirmed_at_once(gainer, autojump_clock):
    gainer.exchanges.is_held = True
    replies = [gainer.ask_taken(partition) for partition in range(4)]
    await trio.testing.wait_all_tasks_blocked()
    gainer.taking._asked.extend([_nothing] * (ASKED_MAX - 4))
    with pytest.raises(Overloaded):
        gainer.ask_taken()
    gainer.exchanges.let_go.set()
    for reply in replies:
        assert await reply.wait() == Taken()


async def _nothing() -> None:
    """A place in the queue."""
