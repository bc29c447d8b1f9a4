"""A token changes hands when every gainer has said, for this very change, that it has all."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import ring
from dynamo_py.errors import DiskFull, NodeUnavailable, StorageError
from dynamo_py.wire.handover_messages import AskTaken, Offer
from dynamo_py.wire.messages import OtherWalk, ReplicaPut, TableEntry

GONE = NodeUnavailable("no connection", outcome="not_applied")
TOKEN, RECEIVER = 1, 3
"""What the fixture ``owner`` should give, and to whom."""


async def test_a_token_is_not_given_before_every_gainer_has_said_that_it_has_all(owner):
    owner.gainers.held = {AskTaken}
    await owner.begin()
    assert sorted(m.partition for _, m, _ in owner.gainers.waiting) == [0, 1]
    assert owner.owner_of(TOKEN) == 0
    owner.gainers.let_go()
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 0, "one is not all"
    owner.gainers.let_go()
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == RECEIVER


@pytest.mark.parametrize("answer", [GONE, StorageError("no room"), OtherWalk([])])
async def test_a_gainer_that_does_not_confirm_stops_the_flip_and_is_asked_again(owner, answer):
    owner.gainers.failing[AskTaken] = answer
    await owner.give()
    assert owner.owner_of(TOKEN) == 0
    assert TOKEN in owner.handing_over.waits()
    assert owner.mirror._session is None
    owner.gainers.failing.clear()
    await owner.give()
    assert owner.owner_of(TOKEN) == RECEIVER


async def test_a_third_node_that_gains_is_asked_too(make_owner, node_id):
    """Token 0 goes to node 1, which is a primary of partition 0 already: so node 2 becomes one."""
    third = make_owner([0, 1, 2, 0])
    third.should_give({0: 1})
    changes = ring.changes_by_flip(third.believed.view.ring, 0, node_id(1))
    gains = {(change.partition, node) for change in changes for node in change.gainers}
    assert (0, node_id(2)) in gains
    third.gainers.held = {AskTaken}
    await third.begin()
    assert {(m.partition, node) for node, m in third.gainers.of(Offer)} == gains
    assert {(m.partition, node) for node, m in third.gainers.of(AskTaken)} == gains
    third.gainers.let_go(len(third.gainers.waiting))
    await trio.testing.wait_all_tasks_blocked()
    assert third.owner_of(0) == 1


async def test_a_copy_stands_for_the_owners_alone_and_by_the_walk_after_the_flip(owner, node_id):
    changes = ring.changes_by_flip(owner.believed.view.ring, TOKEN, node_id(RECEIVER))
    assert {c.partition: c.losers for c in changes} == {0: (node_id(1),), 1: (node_id(0),)}
    walks = [owner.state.placement.walk(partition) for partition in range(2)]
    await owner.give()
    asked = {message.partition: message for _, message in owner.gainers.of(AskTaken)}
    assert asked[0] == AskTaken(0, walks[0], node_id(0), 0), "node 1 leaves this list"
    after = owner.state.placement.walk(1)
    assert asked[1] == AskTaken(1, walks[1], node_id(0), after)
    assert after not in (0, walks[1])


async def test_writes_go_to_the_gainers_while_they_confirm_and_not_before_or_after(owner, node_id):
    assert await owner.write(1) == [None]
    owner.gainers.held = {AskTaken}
    await owner.begin()
    owner.gainers.held = {AskTaken, ReplicaPut}
    told = await owner.write(1, 1)
    assert told == []
    assert [(node, m.partition) for node, m in owner.gainers.of(ReplicaPut)] == [
        (node_id(RECEIVER), 1)
    ]
    assert await owner.write(2) == [None], "nobody gains that"
    owner.gainers.held = set()
    owner.gainers.let_go(3)
    await trio.testing.wait_all_tasks_blocked()
    assert told == [None]
    assert owner.owner_of(TOKEN) == RECEIVER
    assert await owner.write(1, 2) == [None]
    assert len(owner.gainers.of(ReplicaPut)) == 1


async def test_a_write_that_a_gainer_does_not_take_is_acknowledged_and_stops_the_flip(owner):
    owner.gainers.held = {AskTaken}
    owner.gainers.failing[ReplicaPut] = GONE
    await owner.begin()
    assert await owner.write(1) == [None]
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 0
    assert owner.handing_over.waits() == {TOKEN: "a gainer has not taken a write"}
    owner.gainers.held = set()
    await owner.give()
    assert owner.owner_of(TOKEN) == RECEIVER, "they have confirmed again, and nothing is lacking"


async def test_a_write_that_a_gainer_does_not_take_while_the_entry_is_stored_fails(owner):
    owner.gainers.held = {AskTaken, ReplicaPut}
    await owner.begin()
    told = await owner.write(1)
    put = owner.gainers.waiting.pop()
    offload, is_released = owner.home.committer._offload, trio.Event()

    async def held(work):
        await is_released.wait()
        return await offload(work)

    owner.home.committer._offload = held
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    given_early = owner.owner_of(TOKEN) != 0
    put[2](GONE)
    is_released.set()
    assert not given_early, "it was on its way to the disk"
    assert [type(error) for error in told] == [StorageError]
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == RECEIVER


@pytest.mark.parametrize("partition", [0, 1])
async def test_a_walk_that_has_changed_while_they_confirmed_stops_the_flip(
    owner, node_id, partition
):
    owner.gainers.held = {AskTaken}
    await owner.begin()
    walks = [owner.state.placement.walk(p) for p in range(2)]
    # Token 2 is walked from partition 1 on, token 0 from partition 0 alone.
    changed = [TableEntry(0, 0, 2, node_id(0)), TableEntry(2, 0, 3, node_id(1))][partition]
    owner.state.merge_entries([changed])
    assert owner.state.placement.walk(partition) != walks[partition]
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 0
    assert owner.handing_over.waits() == {TOKEN: "the ring is changing"}


async def test_a_copy_that_the_owner_lost_something_of_meanwhile_stops_the_flip(owner, node_id):
    owner.gainers.held = {AskTaken}
    await owner.begin()
    owner.completeness.begin(1, [node_id(1)])
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 0
    assert owner.handing_over.waits() == {TOKEN: "this node completes its own copy first"}


async def test_who_gains_by_a_change_meanwhile_is_offered_a_copy_first(owner, node_id):
    """While node 3 copies, token 2 goes to it: so by TOKEN it gains nothing, and node 1 does."""
    owner.gainers.held = {Offer}
    await owner.begin()
    owner.state.merge_entries([TableEntry(2, 0, 3, node_id(RECEIVER))])
    gains = {
        (change.partition, node)
        for change in ring.changes_by_flip(owner.believed.view.ring, TOKEN, node_id(RECEIVER))
        for node in change.gainers
    }
    offered = {(m.partition, node) for node, m in owner.gainers.of(Offer)}
    assert gains - offered, "or nothing is shown"
    owner.gainers.held = set()
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 0
    assert owner.gainers.of(AskTaken) == []
    assert "somebody else gains" in owner.handing_over.waits()[TOKEN]
    await owner.give()
    assert owner.owner_of(TOKEN) == RECEIVER
    assert {(m.partition, node) for node, m in owner.gainers.of(AskTaken)} == gains


async def test_a_token_that_was_taken_from_the_owner_meanwhile_is_not_given(owner, node_id):
    owner.gainers.held = {Offer}
    await owner.begin()
    owner.state.merge_entries([TableEntry(TOKEN, 1, 1, node_id(2))])
    owner.gainers.held = set()
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 2
    assert owner.gainers.of(AskTaken) == []


async def test_an_entry_that_cannot_be_stored_is_not_told(owner):
    owner.gainers.held = {AskTaken}
    await owner.begin()
    owner.home.committer._refuse(DiskFull("no room"))
    owner.gainers.let_go(2)
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == 0
    assert owner.handing_over.waits() == {TOKEN: "no room"}
    assert owner.handing_over.left == 1
