"""Tokens go to those who should have them: by their owner alone, after the data below them."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from dynamo_py.errors import NodeUnavailable
from dynamo_py.upkeep.handing_over import RETRY_S, STILL_OFFERED_S, TOKENS_AT_ONCE
from dynamo_py.wire.handover_messages import AskTaken, Offer, Offered
from dynamo_py.wire.messages import TableEntry

GONE = NodeUnavailable("no connection", outcome="not_applied")
TOKEN, RECEIVER = 1, 3
"""What the fixture ``owner`` should give, and to whom."""
KEY = b"b\0k"
Q = 16


def counts(owner: Any) -> list[int]:
    owners = owner.state.table.owners
    return sorted(owners.count(each) for each in set(owners))


# --- while nothing is stored --------------------------------------------------------------------


@pytest.fixture
async def founder(owner_class, make_home, make_believed, member, nursery) -> Any:
    """A founder without any data, which another node has just joined."""
    home = make_home([0, 0, 0, 0])
    made = owner_class(home, make_believed([0] * Q, home=home), nursery)
    made.state.merge([], [member(1)])
    made.is_empty = True
    made.claim()
    return made


async def test_while_nothing_is_stored_a_joiner_is_given_its_share_at_once(founder):
    await founder.give()
    assert counts(founder) == [8, 8]
    assert founder.gainers.asked == []
    assert founder.handing_over.statistics() == {"given": 8, "left": 0}


async def test_only_its_owner_gives_a_token_away(make_owner):
    other = make_owner(me=3)
    other.should_give({TOKEN: RECEIVER})
    before = other.state.table
    for other.is_empty in (True, False):
        await other.give()
    assert other.state.table is before
    assert other.gainers.asked == []


async def test_where_something_is_stored_nothing_is_given_without_its_data(founder):
    founder.is_empty = False
    founder.gainers.failing[Offer] = GONE
    await founder.give()
    assert counts(founder) == [Q]
    assert founder.gainers.of(Offer)


async def test_a_key_that_comes_while_the_claim_is_worked_out_is_not_left_behind(founder):
    def write() -> None:
        founder.is_empty = False

    founder.meanwhile = write
    founder.gainers.failing[Offer] = GONE
    await founder.give()
    assert counts(founder) == [Q]


async def test_copies_that_are_not_complete_are_not_given_as_if_they_were_empty(founder, node_id):
    founder.completeness.begin(3, [node_id(1)])
    founder.gainers.failing[Offer] = GONE
    await founder.give()
    assert counts(founder) == [Q]


async def test_a_change_while_the_claim_is_worked_out_makes_it_void(founder, member):
    founder.meanwhile = lambda: founder.state.merge([], [member(2)])
    await founder.give()
    assert counts(founder) == [Q]
    founder.meanwhile = lambda: None
    await founder.give()
    assert counts(founder) == [5, 5, 6]


async def test_a_node_without_weight_is_given_nothing(founder, member):
    founder.state.merge([], [member(1, weight=0, version=2)])
    await founder.give()
    assert counts(founder) == [Q]


async def test_what_is_settled_is_not_worked_out_again(founder):
    for _ in range(5):
        await founder.give()
    assert founder.claims <= 2


# --- copying ------------------------------------------------------------------------------------


async def test_a_token_is_given_with_the_next_version_when_all_have_said_that_they_have_it(
    owner, node_id
):
    await owner.give()
    assert owner.state.table.entries[TOKEN] == TableEntry(TOKEN, 0, 2, node_id(RECEIVER))
    assert owner.handing_over.statistics() == {"given": 1, "left": 0}
    assert owner.handing_over.waits() == {}
    assert owner.mirror._session is None


async def test_what_is_offered_is_each_partition_that_is_gained_with_its_size(owner, node_id):
    owner.home.replica._on_change = owner.trees.note
    await owner.write(1)
    walks = [owner.state.placement.walk(partition) for partition in range(4)]
    await owner.give()
    size = len(KEY) + len(owner.home.record(0))
    offers = [message for _, message in owner.gainers.of(Offer)]
    assert sorted(offers, key=lambda offer: offer.partition) == [
        Offer(0, walks[0], node_id(0), 0, 0),
        Offer(1, walks[1], node_id(0), 1, size),
    ]
    assert {node for node, _ in owner.gainers.of(Offer)} == {node_id(RECEIVER)}


async def test_nobody_is_asked_to_confirm_before_it_has_all_copies(owner, autojump_clock):
    owner.gainers.offers_left = {0: 5, 1: 1}
    seen = []
    owner.gainers.on_asked = lambda node, message: seen.append(type(message))
    await owner.give()
    assert seen[-2:] == [AskTaken, AskTaken]
    assert seen.index(AskTaken) == len(seen) - 2
    assert seen.count(Offer) >= 8


async def test_a_copy_that_waits_for_the_others_is_offered_still(owner, autojump_clock):
    owner.gainers.offers_left = {0: 1000}
    owner._nursery.start_soon(owner.give)
    await trio.sleep(10 * STILL_OFFERED_S)
    offered = [message.partition for _, message in owner.gainers.of(Offer)]
    assert 8 <= offered.count(1) <= 12
    owner.gainers.offers_left = {}
    await trio.sleep(STILL_OFFERED_S)
    assert owner.owner_of(TOKEN) == RECEIVER


async def test_what_a_gainer_says_is_wrong_is_what_the_token_waits_for(owner):
    owner.gainers.failing[Offer] = Offered(False, "no room")
    await owner.give()
    assert owner.owner_of(TOKEN) == 0
    assert owner.handing_over.waits() == {TOKEN: "n3: no room"}
    assert owner.handing_over.statistics() == {"given": 0, "left": 1}
    del owner.gainers.failing[Offer]
    await owner.give()
    assert owner.handing_over.waits() == {}


async def test_a_gainer_that_is_down_is_not_asked(owner, node_id):
    owner.believed.see(node_id(RECEIVER))
    await owner.give()
    assert owner.gainers.asked == []
    assert owner.handing_over.waits() == {TOKEN: "n3 is down"}


async def test_a_copy_of_the_owners_own_that_is_not_complete_is_not_offered(owner, node_id):
    owner.completeness.begin(1, [node_id(1)])
    await owner.give()
    assert owner.gainers.of(AskTaken) == []
    assert owner.owner_of(TOKEN) == 0


async def test_a_few_tokens_are_copied_at_once_and_flipped_one_after_the_other(
    make_owner, autojump_clock
):
    many = make_owner([0, 1] * 8)
    many.should_give(dict.fromkeys(range(0, 16, 2), 3))
    many.gainers.held = {Offer}
    await many.begin()
    assert len({message.partition for _, message in many.gainers.of(Offer)}) <= 2 * TOKENS_AT_ONCE
    many.gainers.held = {AskTaken}
    while many.gainers.waiting:
        many.gainers.let_go()
    await trio.testing.wait_all_tasks_blocked()
    confirming = {message.next_walk for _, message, _ in many.gainers.waiting}
    assert len(confirming) <= 2, "the gains of one flip"
    many.gainers.held = set()
    many.gainers.let_go(len(many.gainers.waiting))
    for _ in range(5):
        await many.give()
    assert many.handing_over.left == 0


async def test_a_change_of_the_members_ends_the_round(make_owner, member):
    many = make_owner([0, 1] * 8)
    many.should_give(dict.fromkeys(range(0, 16, 2), 3))

    def change(node, message) -> None:
        many.gainers.on_asked = lambda node, message: None
        many.state.merge([], [member(1, version=2, weight=2)])

    many.gainers.on_asked = change
    await many.give()
    assert 0 < many.handing_over.given <= TOKENS_AT_ONCE


# --- the loop -----------------------------------------------------------------------------------


async def test_what_could_not_be_given_is_tried_again_soon(owner, autojump_clock):
    owner.gainers.failing[AskTaken] = GONE
    owner._nursery.start_soon(owner.handing_over.run)
    await trio.sleep(RETRY_S * 4.5)
    assert 8 <= len(owner.gainers.of(AskTaken)) <= 12
    owner.gainers.failing.clear()
    await trio.sleep(RETRY_S * 1.5)
    assert owner.owner_of(TOKEN) == RECEIVER


async def test_a_change_of_the_cluster_is_looked_at_at_once(owner, node_id, autojump_clock):
    owner.believed.see(node_id(RECEIVER))
    owner.wanted.owners = owner.state.table.owners
    owner._nursery.start_soon(owner.handing_over.run)
    await trio.testing.wait_all_tasks_blocked()
    owner.should_give({TOKEN: RECEIVER})
    owner.believed.see()
    await trio.testing.wait_all_tasks_blocked()
    assert owner.owner_of(TOKEN) == RECEIVER


async def test_a_node_is_settled_when_it_has_nothing_to_give_by_all_that_it_knows(owner, member):
    handing_over = owner.handing_over
    assert not handing_over.is_settled, "it has not looked yet"
    owner.gainers.failing[Offer] = GONE
    await owner.give()
    assert not handing_over.is_settled
    owner.gainers.failing.clear()
    await owner.give()
    await owner.give()
    assert handing_over.is_settled
    owner.state.merge([], [member(1, version=2)])
    assert not handing_over.is_settled
    await owner.give()
    assert handing_over.is_settled
