"""Forgetting by proof among some members in memory: that it happens, and who holds it up."""

from __future__ import annotations

import pytest
import trio

from dynamo_py.causality import decode_record
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.testing.members import (
    AFTER_S,
    KEY,
    MEMBERS,
    PARTITION,
    MemberNet,
    WallClock,
    node,
    view_of,
)
from dynamo_py.upkeep.forgetting import Waits, _obstacle
from dynamo_py.wire.forgetting_messages import AskProof, Barrier, Confirm, Forget, Shown


@pytest.fixture
def net() -> MemberNet:
    return MemberNet()


def value_and_tombstone(net: MemberNet, key: bytes = KEY) -> tuple[bytes, bytes]:
    """A value that all primaries had, and its tombstone, which they have."""
    value = net.members[0].put(b"value", key=key)
    deleted = net.members[0].put(None, value.record.context(), key=key)
    for member in net.members[:3]:
        member.take(deleted.encoded, key=key)
    return value.encoded, deleted.encoded


def copies(net: MemberNet, key: bytes = KEY) -> list[bytes | None]:
    return [member.held(key) for member in net.members]


NOWHERE = [None] * MEMBERS
LONG_S = 60.0
"""Enough for many tries."""


# --- it happens --------------------------------------------------------------------------------


async def test_a_tombstone_that_all_primaries_have_goes_once_it_is_old_enough(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        await trio.sleep(AFTER_S - 0.1)
        assert net.asked == []
        await trio.sleep(3)
        assert copies(net) == NOWHERE
        assert net.members[0].forgetting.figures() == {
            "forgotten_total": 1,
            "trimmed_total": 0,
            "forgettable": 0,
        }
        assert [member.forgettable.count for member in net.members] == [0] * MEMBERS
        for round_ in (AskProof, Barrier, Confirm):
            assert [r for r, kind in net.kinds() if kind is round_] == [0, 1, 2, 3]
        assert sorted(r for r, kind in net.kinds() if kind is Forget) == [0, 1, 2]


async def test_the_first_primary_that_is_up_walks_and_no_other(autojump_clock, net):
    async with net.running(walkers=(0, 1, 2, 3)):
        value_and_tombstone(net)
        await trio.sleep(AFTER_S + 3)
        assert {member.number: member.forgetting.dropped for member in net.members} == {
            0: 1,
            1: 0,
            2: 0,
            3: 0,
        }


async def test_dead_entries_go_and_the_value_stays(autojump_clock, net):
    async with net.running():
        first = net.members[1].put(b"1")
        net.members[0].take(first.encoded)
        last = net.members[0].put(b"2", first.record.context())
        for member in net.members[:3]:
            member.take(last.encoded)
        await trio.sleep(AFTER_S + 3)
        found = {decode_record(copy) for copy in copies(net)[:3] if copy is not None}
        assert [len(record.vector.entries) for record in found] == [1]
        assert [s.value for record in found for s in record.siblings] == [b"2"]
        assert net.members[0].forgetting.trimmed == 1


async def test_a_primary_that_has_forgotten_already_does_not_hold_up_the_others(
    autojump_clock, net
):
    async with net.running():
        _, tombstone = value_and_tombstone(net)
        net.members[1].replica.forget(PARTITION, KEY, digest_of(KEY, tombstone), is_dropped=True)
        await trio.sleep(AFTER_S + 3)
        assert copies(net) == NOWHERE


async def test_a_former_holder_with_the_same_copy_forgets_as_well(autojump_clock, net):
    async with net.running():
        _, tombstone = value_and_tombstone(net)
        net.members[3].take(tombstone)
        await trio.sleep(AFTER_S + 3)
        assert copies(net) == NOWHERE


async def test_many_keys_go_in_batches_and_candidates_are_found_by_a_scan(autojump_clock, net):
    keys = [b"bucket\0%d" % number for number in range(250)]
    async with net.running(walkers=()):
        for key in keys:
            value_and_tombstone(net, key)
        await trio.sleep(AFTER_S)
        net.members[0].forgettable.drop_all(PARTITION)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(net.members[0].forgetting.run)
            await trio.sleep(3)
            nursery.cancel_scope.cancel()
        assert all(copies(net, key) == NOWHERE for key in keys)
        assert len([r for r, kind in net.kinds() if kind is Barrier]) == 3 * MEMBERS


# --- who holds it up ---------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 3])
async def test_a_member_that_is_down_holds_it_up_and_is_named(autojump_clock, net, number):
    async with net.running():
        value_and_tombstone(net)
        net.see(down={number})
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, f"n{number}, which is down")]
        assert [type(m) for _, m in net.asked] == []
        assert None not in copies(net)[:3]
        net.see()
        await trio.sleep(5)
        assert copies(net) == NOWHERE
        assert net.members[0].forgetting.waits() == []


async def test_one_that_does_not_answer_though_it_is_believed_up_holds_it_up(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        net.down = {3}
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n3: no connection")]
        assert None not in copies(net)[:3]


async def test_a_hint_holds_it_up(autojump_clock, net):
    async with net.running():
        value, _ = value_and_tombstone(net)
        net.members[3].take(value, hinted_for=1)
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n3, which keeps hints for them")]
        assert Barrier not in {kind for _, kind in net.kinds()}
        net.members[3].replica.hints.aim(PARTITION, KEY, value, gone=[node(1)])
        await trio.sleep(5)
        assert copies(net) == NOWHERE


async def test_primaries_whose_copies_differ_hold_it_up(autojump_clock, net):
    async with net.running():
        _, tombstone = value_and_tombstone(net)
        net.members[2].put(None, decode_record(tombstone).context())
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n0 and n2, whose copies differ")]


async def test_a_former_holder_with_an_older_copy_holds_it_up(autojump_clock, net):
    async with net.running():
        value, _ = value_and_tombstone(net)
        net.members[3].take(value)
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n0 and n3, whose copies differ")]


async def test_a_primary_without_a_copy_holds_up_what_keeps_a_value(autojump_clock, net):
    async with net.running():
        first = net.members[1].put(b"1")
        net.members[0].take(first.encoded)
        last = net.members[0].put(b"2", first.record.context())
        net.members[1].take(last.encoded)
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n2, which has no copy of them yet")]


def test_a_primary_that_is_no_member_any_more_holds_it_up_as_one_without_a_copy():
    """It was just removed, and nobody has taken its tokens yet."""
    view = view_of(0, set())
    *present, removed = view.preference_list(PARTITION).primaries
    shown = dict.fromkeys(present, Shown(1, False, ""))
    expected = f"{view.name_of(removed)}, which has no copy of them yet"
    assert _obstacle(view, PARTITION, shown) == expected


async def test_a_member_that_knows_other_members_shows_nothing(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        net.members[2].view = view_of(2, set(), known=3)
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n2, which knows other members")]


async def test_a_member_that_is_not_sure_of_its_directory_shows_nothing(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        net.members[3].is_trusted = False
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [
            Waits(1, "n3: does not know yet whether its directory is an old one")
        ]
        net.members[3].is_trusted = True
        await trio.sleep(5)
        assert copies(net) == NOWHERE


async def test_a_value_that_expired_by_one_clock_alone_stays(autojump_clock, net):
    async with net.running():
        net.members[0].put(b"v", expires_ms=WallClock().wall_ms() + 20_000)
        copy = net.members[0].held()
        for member in net.members[1:3]:
            member.take(copy)
        behind = net.members[2].proofs
        behind._wall_ms = lambda: WallClock().wall_ms() - 30_000
        await trio.sleep(40)
        assert copies(net)[:3] == [copy] * 3
        await trio.sleep(20)
        assert copies(net) == NOWHERE
