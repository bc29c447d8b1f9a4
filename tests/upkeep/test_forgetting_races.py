"""What nothing may come back from: late records, late hints, restarts, slow disks, new writes.

The members are the production code; messages between them are held up on their way.
"""

from __future__ import annotations

import random

import pytest
import trio

from dynamo_py.causality import decode_record, merge_all
from dynamo_py.errors import DynamoError
from dynamo_py.replica.promises import Promises
from dynamo_py.storage.engine import Space
from dynamo_py.testing.members import AFTER_S, KEY, MEMBERS, PARTITION, MemberNet, node
from dynamo_py.upkeep.forgetting import Waits
from dynamo_py.wire.forgetting_messages import (
    AskPromised,
    Barrier,
    Confirm,
    Flush,
    Forget,
    Promised,
)
from dynamo_py.wire.messages import Message, ReplicaAck


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


# --- what nothing may come back from -----------------------------------------------------------


async def test_a_late_record_for_a_primary_is_read_before_anything_is_forgotten(
    autojump_clock, net
):
    """The barrier: its coordinator had given up on it, and it was unread all the while."""
    async with net.running():
        value, _ = value_and_tombstone(net)
        net.held.add((3, 1))
        answers = net.members[3].send(1, value)
        net.give_up(3, 1)
        assert isinstance(answers[0], DynamoError)
        await trio.sleep(LONG_S)
        assert net.unread == {}
        assert copies(net) == NOWHERE


async def test_a_late_hint_is_found_though_its_holder_had_shown_that_it_has_none(
    autojump_clock, net
):
    """The watch: the flush brings it in between the proof and the confirmation."""
    async with net.running():
        value, _ = value_and_tombstone(net)
        net.held.add((2, 3))
        net.members[2].send(3, value, hinted_for=1)
        net.give_up(2, 3)
        seen = []
        net.before = lambda receiver, message: (
            seen.append(type(message))
            or (
                # Handed home, and gone from there, before anyone looks again.
                net.members[3].replica.hints.aim(PARTITION, KEY, value, gone=[node(1)])
                if isinstance(message, Confirm) and receiver == 3
                else None
            )
        )
        await trio.sleep(AFTER_S + 0.9)
        assert Confirm in seen
        assert Forget not in seen
        assert net.members[0].forgetting.waits() == [Waits(1, "n3, which has just stored them")]
        await trio.sleep(5)
        assert copies(net) == NOWHERE


async def test_a_request_that_is_under_way_somewhere_is_waited_for(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        ticket = net.members[3].under_way.begin(None)
        await trio.sleep(AFTER_S + 5)
        assert None not in copies(net)[:3]
        net.members[3].under_way.end(ticket)
        await trio.sleep(1)
        assert copies(net) == NOWHERE


async def test_a_record_that_is_still_on_its_way_is_waited_for(autojump_clock, net):
    async with net.running():
        value, _ = value_and_tombstone(net)
        net.held.add((1, 2))
        answers = net.members[1].send(2, value)
        await trio.sleep(AFTER_S + 5)
        assert None not in copies(net)[:3]
        net.held.clear()
        net.read(1, 2)
        await trio.sleep(1)
        assert isinstance(answers[0], ReplicaAck)
        assert copies(net) == NOWHERE


async def test_work_that_a_flush_has_set_going_is_waited_for_too(autojump_clock, net):
    """A forwarded put that was unread: it begins at the flush, after its node's barrier."""
    async with net.running():
        value_and_tombstone(net)
        begun: list[int] = []

        def before(receiver: int, message: Message) -> None:
            is_late = (2, Barrier) in net.kinds()
            if isinstance(message, Flush) and receiver == 2 and is_late and not begun:
                begun.append(net.members[2].under_way.begin(None))

        net.before = before
        await trio.sleep(AFTER_S + 5)
        assert begun
        assert Forget not in {kind for _, kind in net.kinds()}
        net.members[2].put(b"forwarded")
        net.members[2].under_way.end(begun[0])
        await trio.sleep(LONG_S)
        assert net.members[0].forgetting.waits() == [Waits(1, "n0 and n2, whose copies differ")]


async def test_what_is_written_after_the_confirmation_is_not_dropped(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        written: list[bytes] = []

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Forget) and receiver == 1 and not written:
                written.append(net.members[1].put(b"again").encoded)

        net.before = before
        await trio.sleep(AFTER_S + 2)
        assert copies(net) == [None, written[0], None, None]


async def test_a_node_that_began_anew_since_its_proof_has_proved_nothing(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Barrier) and receiver == 2 and trio.current_time() < limit:
                net.members[2].replica._minter.draw_boot()

        limit = trio.current_time() + 30
        net.before = before
        await trio.sleep(29)
        assert net.members[0].forgetting.waits() == [Waits(1, "n2: has begun anew since")]
        assert None not in copies(net)[:3]
        await trio.sleep(10)
        assert copies(net) == NOWHERE


async def test_a_forget_from_another_life_of_the_process_is_refused(autojump_clock, net):
    async with net.running():
        _, tombstone = value_and_tombstone(net)

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Forget) and receiver == 1:
                net.members[1].replica._minter.draw_boot()
                net.before = lambda receiver, message: None

        net.before = before
        await trio.sleep(AFTER_S + 1)
        assert copies(net) == [None, tombstone, None, None]


async def test_a_proof_is_of_what_is_on_disk(autojump_clock, net):
    """A copy whose commit is under way may be lost, and with it what it had superseded."""
    net.members[2].committer._offload = held_up = HeldUp()
    async with net.running():
        value_and_tombstone(net)
        await trio.sleep(AFTER_S + 8)
        assert None not in copies(net)[:3]
        held_up.release.set()
        await trio.sleep(8)
        assert copies(net) == NOWHERE


class HeldUp:
    """A disk that takes its time."""

    def __init__(self) -> None:
        self.release = trio.Event()

    async def __call__(self, work, /):
        await self.release.wait()
        return work()


# --- what is remembered ------------------------------------------------------------------------


async def test_before_anything_is_forgotten_all_remember_how_far_each_store_had_come(
    autojump_clock, net
):
    async with net.running():
        value_and_tombstone(net)
        remembered: list[list[int]] = []

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Forget):
                remembered.append(
                    [Promises(m.committer.engine).of(node(1)) for m in net.members if m.number != 1]
                )

        net.before = before
        await trio.sleep(AFTER_S + 2)
        assert remembered == [[101] * 3] * 3
        answers: list = []
        for number in (3, 1):
            net.members[number].requests.answer(AskPromised(node(1)), answers.append)
        assert answers == [Promised(101), Promised(0)]


async def test_no_row_is_left_of_a_hint_or_a_copy_on_any_disk(autojump_clock, net):
    async with net.running():
        value_and_tombstone(net)
        await trio.sleep(AFTER_S + 2)
        for member in net.members:
            assert member.committer.engine.is_empty(Space.RECORDS)
            assert member.committer.engine.is_empty(Space.HINTS)


# --- at random ---------------------------------------------------------------------------------


class Story:
    """Values of one key that went astray before it was deleted everywhere."""

    def __init__(self, net: MemberNet, seed: int) -> None:
        self.net = net
        self.random = random.Random(seed)
        self.minted: list[bytes] = []

    def put(self) -> None:
        value = self.net.members[self.random.randrange(3)].put(b"value")
        self.minted.append(value.encoded)

    def send(self) -> None:
        """To a primary, or to another node as a hint; perhaps it is not read, nor waited for."""
        sender, receiver = self.random.sample(range(MEMBERS), 2)
        if self.random.random() < 0.7:
            self.net.held.add((sender, receiver))
        hinted_for = self.random.randrange(3) if receiver == 3 else None
        record = self.random.choice(self.minted)
        self.net.members[sender].send(receiver, record, hinted_for=hinted_for)
        if (sender, receiver) in self.net.unread and self.random.random() < 0.7:
            self.net.give_up(sender, receiver)

    def repair(self) -> None:
        """A read asks the fallback, and some time later sends on to a primary what it was given."""
        reader = self.net.members[self.random.randrange(MEMBERS)]
        known, _ = self.net.members[3].replica.read(PARTITION, KEY)
        ticket = reader.under_way.begin(None)

        async def go_on() -> None:
            await trio.sleep(self.random.uniform(0, 4))
            if known is not None:
                reader.send(self.random.randrange(3), known)
            reader.under_way.end(ticket)

        self.nursery.start_soon(go_on)

    def hand_home(self) -> None:
        """The fallback's hint goes to all primaries, and is gone."""
        hint = self.net.members[3].replica.get_hint(PARTITION, KEY)
        if hint is not None:
            for member in self.net.members[:3]:
                member.take(hint.record)
            self.net.members[3].replica.hints.aim(PARTITION, KEY, hint.record, gone=hint.targets)

    def read_late(self) -> None:
        """What was unread somewhere is read."""
        if self.net.unread:
            place = self.random.choice(sorted(self.net.unread))
            self.net.held.discard(place)
            self.net.read(*place)

    def delete(self) -> None:
        seen = merge_all(decode_record(record) for record in self.minted)
        deleted = self.net.members[0].put(None, seen.context())
        for member in self.net.members[:3]:
            member.take(deleted.encoded)

    async def play(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.put()
        for _ in range(12):
            self.random.choice((self.put, self.send, self.send, self.repair))()
        self.delete()
        for _ in range(40):
            await trio.sleep(self.random.uniform(0, 1.5))
            self.random.choice((self.read_late, self.hand_home, self.repair, _nothing))()
            assert self.values() == []
        while self.net.unread:
            self.read_late()
        self.hand_home()
        await trio.sleep(20)
        assert self.values() == []
        assert copies(self.net) == NOWHERE

    def values(self) -> list[bytes]:
        """What a reader of the primaries could see."""
        held = [copy for copy in copies(self.net)[:3] if copy is not None]
        return [s.value for s in merge_all(map(decode_record, held)).values(2**50) if s.value]


def _nothing() -> None:
    """Time goes by."""


@pytest.mark.parametrize("seed", range(60))
async def test_a_deleted_value_is_never_seen_again_whatever_was_on_its_way(autojump_clock, seed):
    net = MemberNet()
    async with net.running(walkers=(0, 1)), trio.open_nursery() as nursery:
        await Story(net, seed).play(nursery)
