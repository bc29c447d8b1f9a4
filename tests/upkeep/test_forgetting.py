"""Forgetting by proof among some members in memory, whose messages can be held up on their way.

Each member is the production code from its committer to its answers; between them is a network
that hands messages over at once, or keeps them unread until a flush comes behind them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from dynamo_py.causality import NOTHING_SEEN, Context, HybridClock, Minter, decode_record
from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import DOWN, UP, ClusterView, NodeView, Placement
from dynamo_py.coordinator.peers import Peers
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DeadlineExceeded, DynamoError, NodeUnavailable
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.forgettable import Forgettable
from dynamo_py.replica.promises import Promises
from dynamo_py.replica.proofs import Proofs
from dynamo_py.replica.replica import Replica, Write
from dynamo_py.server.forgetting_requests import ForgettingRequests
from dynamo_py.server.replica_requests import ReplicaRequests
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Space
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.upkeep.barriers import Barriers
from dynamo_py.upkeep.forgetting import Forgetting, Waits
from dynamo_py.wire.codec import decode_body, encode_body
from dynamo_py.wire.forgetting_messages import (
    AskPromised,
    AskProof,
    Barrier,
    Confirm,
    Flush,
    Forget,
    Promised,
)
from dynamo_py.wire.messages import (
    Done,
    MemberEntry,
    Message,
    ReplicaAck,
    ReplicaPut,
    TableEntry,
)
from ring import Ring

PARTITION = 0
KEY = b"bucket\0key"
MEMBERS = 4
"""Nodes 0 to 2 are the primaries of the partition, node 0 walks; node 3 is a fallback."""
AFTER_S = 10.0


def node(k: int) -> bytes:
    return bytes([k + 1]) * 16


def _ignore(error: object) -> None:
    """Nobody waits."""


async def at_once(work, /):
    await trio.lowlevel.checkpoint()
    return work()


class Clock:
    """trio's, also for the wall."""

    def monotonic(self) -> float:
        return trio.current_time()

    def wall_ms(self) -> int:
        return 1_700_000_000_000 + int(trio.current_time() * 1000)


class Unthrottled:
    async def slice(self) -> None:
        await trio.lowlevel.checkpoint()


class Unmerging:
    """Tables that never change."""

    def merge_entries(self, entries):
        return True

    def message(self):
        raise NotImplementedError


class Links:
    """A member's links to the others."""

    def __init__(self, sender: int, net: Net) -> None:
        self._sender = sender
        self._net = net

    def request(self, address, message, *, wait_s, on_reply, trace_id):
        assert wait_s > 0
        number, body = encode_body(message)
        self._net.send(self._sender, int(address), decode_body(number, body), on_reply)

    def tell(self, address, message):
        raise NotImplementedError


class Net:
    """All members, and what is on its way between them."""

    def __init__(self) -> None:
        self.members = [Member(k, self) for k in range(MEMBERS)]
        self.down: set[int] = set()
        self.held: set[tuple[int, int]] = set()
        """Sender and receiver between which nothing is read."""
        self.unread: dict[tuple[int, int], list[tuple[Message, Callable]]] = {}
        self.asked: list[tuple[int, Message]] = []
        self.before: Callable[[int, Message], None] = lambda receiver, message: None
        """Called with each message as it is handled, before that."""

    def send(self, sender: int, receiver: int, message: Message, on_reply: Callable) -> None:
        if receiver in self.down:
            on_reply(NodeUnavailable("no connection", outcome="not_applied"))
            return
        self.unread.setdefault((sender, receiver), []).append((message, on_reply))
        if (sender, receiver) not in self.held or isinstance(message, Flush):
            self.read(sender, receiver)

    def read(self, sender: int, receiver: int) -> None:
        """Let the receiver handle all that the sender sent, in its order."""
        for message, on_reply in self.unread.pop((sender, receiver), []):
            self.asked.append((receiver, message))
            self.before(receiver, message)
            if isinstance(message, Flush):
                on_reply(Done())
            else:
                self.members[receiver].requests.answer(message, on_reply)

    def give_up(self, sender: int, receiver: int) -> None:
        """The sender waits no longer for its answers; what it has sent is unread still."""
        waiting = self.unread[sender, receiver]
        self.unread[sender, receiver] = [(message, _ignore) for message, _ in waiting]
        for _, on_reply in waiting:
            on_reply(DeadlineExceeded("it did not answer in time"))

    def see(self, *, down: set[int] = frozenset()) -> None:
        """Let all know who is up."""
        self.down = set(down)
        for member in self.members:
            member.view = view_of(member.number, down)

    def kinds(self) -> list[tuple[int, type]]:
        return [(receiver, type(message)) for receiver, message in self.asked]


def view_of(me: int, down: set[int], *, known: int = MEMBERS) -> ClusterView:
    table = OwnershipTable([TableEntry(t, 0, 1, node(t)) for t in range(MEMBERS)])
    placement = Placement(table, Ring(table.owners, 3))
    entries = [MemberEntry(node(k), 1, MEMBER, f"n{k}", 1, "") for k in range(known)]
    nodes = {
        node(k): NodeView(node(k), f"n{k}", "", 1, MEMBER, DOWN if k in down else UP, str(k))
        for k in range(known)
    }
    up = frozenset(n for n, seen in nodes.items() if seen.state == UP)
    members = MemberMap(entries)
    return ClusterView(node(me), "c", b"c" * 16, placement, members, nodes, up)


class Member:
    """One member."""

    def __init__(self, number: int, net: Net) -> None:
        clock = Clock()
        self.number = number
        self.view = view_of(number, set())
        self.committer = Committer(MemoryEngine(), at_once)
        self.forgettable = Forgettable(wall_ms=clock.wall_ms, after_ms=int(AFTER_S * 1000))
        self.replica = Replica(
            self.committer,
            Minter(random.Random(number)),
            HybridClock(clock.wall_ms),
            wall_ms=clock.wall_ms,
            on_damage=_ignore,
            on_record=self._on_record,
        )
        self.proofs = Proofs(
            self.committer,
            self.replica.hints,
            self.committer.engine.get,
            wall_ms=clock.wall_ms,
        )
        self.under_way = UnderWay()
        self.peers = Peers(
            Links(number, net), Unmerging(), self._answer_here, under_way=self.under_way
        )
        self.promises = Promises(self.committer)
        self.sequence = 100 + number
        self.is_trusted = True
        self.requests = ReplicaRequests(
            self.replica,
            Completeness(self.committer, MEMBERS),
            lambda: self.view,
            is_durable=True,
            forgetting=ForgettingRequests(
                self.replica,
                self.proofs,
                self.promises,
                Barriers(self.under_way, self.peers, lambda: self.view),
                lambda: self.view,
                sequence=lambda: self.sequence,
                is_trusted=lambda: self.is_trusted,
            ),
        )
        self.net = net
        self.forgetting = Forgetting(
            self.replica,
            self.forgettable,
            self.peers,
            lambda: self.view,
            Unthrottled(),
            clock=clock,
            random_=random.Random(number),
            after_s=AFTER_S,
        )

    def _answer_here(self, message, on_reply):
        self.net.asked.append((self.number, message))
        self.net.before(self.number, message)
        self.requests.answer(message, on_reply)

    def _on_record(self, partition, key, record) -> None:
        self.forgettable.note(partition, key, record)
        self.proofs.note(partition, key)

    # --- what a test does with it ---------------------------------------------------------------

    def put(self, value: bytes | None, context: Context = NOTHING_SEEN, *, key: bytes = KEY):
        """Mint a write here, and send it nowhere."""
        write_id = self.replica._minter._random.randbytes(16)
        write = Write(context, value, write_id, False, 0)
        return self.replica.write(PARTITION, key, write, hinted_for=None, on_commit=_ignore)

    def take(self, encoded: bytes, *, hinted_for: int | None = None, key: bytes = KEY) -> None:
        self.replica.merge(
            PARTITION,
            key,
            encoded,
            hinted_for=None if hinted_for is None else node(hinted_for),
            on_commit=_ignore,
        )

    def send(self, receiver: int, encoded: bytes, *, hinted_for: int | None = None) -> list:
        """Send a record as a coordinator does; what it is answered with."""
        answers: list = []
        walk = self.view.route(PARTITION).walk
        target = None if hinted_for is None else node(hinted_for)
        message = ReplicaPut(PARTITION, KEY, walk, encoded, target)
        self.peers.ask(
            self.view, node(receiver), message, wait_s=5.0, on_reply=answers.append
        )
        return answers

    def held(self, key: bytes = KEY) -> bytes | None:
        return self.replica.get(PARTITION, key)

    def waits(self) -> list[Waits]:
        return self.forgetting.waits()

    def ask(self, message: Message) -> list:
        answers: list = []
        self.requests.answer(message, answers.append)
        return answers

    def _check(self) -> None:
        self.proofs._check()
        self.under_way._check()
        self.forgetting._check()


@asynccontextmanager
async def running(net: Net, *, walkers: tuple[int, ...] = (0,)):
    """All committers, and the loops of some members."""
    async with trio.open_nursery() as nursery:
        for member in net.members:
            nursery.start_soon(member.committer.run)
        for number in walkers:
            nursery.start_soon(net.members[number].forgetting.run)
        yield
        for member in net.members:
            member._check()
        nursery.cancel_scope.cancel()


@pytest.fixture
def net(autojump_clock) -> Net:
    return Net()


def value_and_tombstone(net: Net, key: bytes = KEY) -> tuple[bytes, bytes]:
    """A value that all primaries had, and its tombstone, which they have."""
    value = net.members[0].put(b"value", key=key)
    deleted = net.members[0].put(None, value.record.context(), key=key)
    for member in net.members[:3]:
        member.take(deleted.encoded, key=key)
    return value.encoded, deleted.encoded


def copies(net: Net, key: bytes = KEY) -> list[bytes | None]:
    return [member.held(key) for member in net.members]


NOWHERE = [None] * MEMBERS
LONG_S = 60.0
"""Enough for many tries."""


# --- it happens --------------------------------------------------------------------------------


async def test_a_tombstone_that_all_primaries_have_goes_once_it_is_old_enough(net):
    async with running(net):
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


async def test_the_first_primary_that_is_up_walks_and_no_other(net):
    async with running(net, walkers=(0, 1, 2, 3)):
        value_and_tombstone(net)
        await trio.sleep(AFTER_S + 3)
        assert {
            member.number: member.forgetting.dropped for member in net.members
        } == {0: 1, 1: 0, 2: 0, 3: 0}


async def test_dead_entries_go_and_the_value_stays(net):
    async with running(net):
        first = net.members[1].put(b"1")
        net.members[0].take(first.encoded)
        last = net.members[0].put(b"2", first.record.context())
        for member in net.members[:3]:
            member.take(last.encoded)
        await trio.sleep(AFTER_S + 3)
        found = {decode_record(copy) for copy in copies(net)[:3]}
        assert [len(record.vector.entries) for record in found] == [1]
        assert [s.value for record in found for s in record.siblings] == [b"2"]
        assert net.members[0].forgetting.trimmed == 1


async def test_a_primary_that_has_forgotten_already_does_not_hold_up_the_others(net):
    async with running(net):
        _, tombstone = value_and_tombstone(net)
        from dynamo_py.replica.hash_tree import digest_of

        net.members[1].replica.forget(
            PARTITION, KEY, digest_of(KEY, tombstone), is_dropped=True
        )
        await trio.sleep(AFTER_S + 3)
        assert copies(net) == NOWHERE


async def test_a_former_holder_with_the_same_copy_forgets_as_well(net):
    async with running(net):
        _, tombstone = value_and_tombstone(net)
        net.members[3].take(tombstone)
        await trio.sleep(AFTER_S + 3)
        assert copies(net) == NOWHERE


async def test_many_keys_go_in_batches_and_candidates_are_found_by_a_scan(net):
    keys = [b"bucket\0%d" % number for number in range(250)]
    async with running(net, walkers=()):
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
async def test_a_member_that_is_down_holds_it_up_and_is_named(net, number):
    async with running(net):
        value_and_tombstone(net)
        net.see(down={number})
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, f"n{number}, which is down")]
        assert [type(m) for _, m in net.asked] == []
        assert None not in copies(net)[:3]
        net.see()
        await trio.sleep(5)
        assert copies(net) == NOWHERE
        assert net.members[0].waits() == []


async def test_one_that_does_not_answer_though_it_is_believed_up_holds_it_up(net):
    async with running(net):
        value_and_tombstone(net)
        net.down = {3}
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n3: no connection")]
        assert None not in copies(net)[:3]


async def test_a_hint_holds_it_up(net):
    async with running(net):
        value, _ = value_and_tombstone(net)
        net.members[3].take(value, hinted_for=1)
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n3, which keeps hints for them")]
        assert Barrier not in {kind for _, kind in net.kinds()}
        net.members[3].replica.hints.aim(PARTITION, KEY, value, gone=[node(1)])
        await trio.sleep(5)
        assert copies(net) == NOWHERE


async def test_primaries_whose_copies_differ_hold_it_up(net):
    async with running(net):
        _, tombstone = value_and_tombstone(net)
        net.members[2].put(None, decode_record(tombstone).context())
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n0 and n2, whose copies differ")]


async def test_a_former_holder_with_an_older_copy_holds_it_up(net):
    async with running(net):
        value, _ = value_and_tombstone(net)
        net.members[3].take(value)
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n0 and n3, whose copies differ")]


async def test_a_primary_without_a_copy_holds_up_what_keeps_a_value(net):
    async with running(net):
        first = net.members[1].put(b"1")
        net.members[0].take(first.encoded)
        last = net.members[0].put(b"2", first.record.context())
        net.members[1].take(last.encoded)
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n2, which has no copy of them yet")]


async def test_a_member_that_knows_other_members_shows_nothing(net):
    async with running(net):
        value_and_tombstone(net)
        net.members[2].view = view_of(2, set(), known=3)
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n2, which knows other members")]


async def test_a_member_that_is_not_sure_of_its_directory_shows_nothing(net):
    async with running(net):
        value_and_tombstone(net)
        net.members[3].is_trusted = False
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [
            Waits(1, "n3: does not know yet whether its directory is an old one")
        ]
        net.members[3].is_trusted = True
        await trio.sleep(5)
        assert copies(net) == NOWHERE


async def test_a_value_that_expired_by_one_clock_alone_stays(net):
    async with running(net):
        net.members[0].replica.write(
            PARTITION,
            KEY,
            Write(NOTHING_SEEN, b"v", b"i" * 16, False, Clock().wall_ms() + 20_000),
            hinted_for=None,
            on_commit=_ignore,
        )
        copy = net.members[0].held()
        for member in net.members[1:3]:
            member.take(copy)
        behind = net.members[2].proofs
        behind._wall_ms = lambda: Clock().wall_ms() - 30_000
        await trio.sleep(40)
        assert copies(net)[:3] == [copy] * 3
        await trio.sleep(20)
        assert copies(net) == NOWHERE


# --- what nothing may come back from -----------------------------------------------------------


async def test_a_late_record_for_a_primary_is_read_before_anything_is_forgotten(net):
    """The barrier: its coordinator had given up on it, and it was unread all the while."""
    async with running(net):
        value, _ = value_and_tombstone(net)
        net.held.add((3, 1))
        answers = net.members[3].send(1, value)
        net.give_up(3, 1)
        assert isinstance(answers[0], DynamoError)
        await trio.sleep(LONG_S)
        assert net.unread == {}
        assert copies(net) == NOWHERE


async def test_a_late_hint_is_found_though_its_holder_had_shown_that_it_has_none(net):
    """The watch: the flush brings it in between the proof and the confirmation."""
    async with running(net):
        value, _ = value_and_tombstone(net)
        net.held.add((2, 3))
        net.members[2].send(3, value, hinted_for=1)
        net.give_up(2, 3)
        seen = []
        net.before = lambda receiver, message: seen.append(type(message)) or (
            # Handed home, and gone from there, before anyone looks again.
            net.members[3].replica.hints.aim(PARTITION, KEY, value, gone=[node(1)])
            if isinstance(message, Confirm) and receiver == 3
            else None
        )
        await trio.sleep(AFTER_S + 0.9)
        assert Confirm in seen
        assert Forget not in seen
        assert net.members[0].waits() == [Waits(1, "n3, which has just stored them")]
        await trio.sleep(5)
        assert copies(net) == NOWHERE


async def test_a_request_that_is_under_way_somewhere_is_waited_for(net):
    async with running(net):
        value_and_tombstone(net)
        ticket = net.members[3].under_way.begin(None)
        await trio.sleep(AFTER_S + 5)
        assert None not in copies(net)[:3]
        net.members[3].under_way.end(ticket)
        await trio.sleep(1)
        assert copies(net) == NOWHERE


async def test_a_record_that_is_still_on_its_way_is_waited_for(net):
    async with running(net):
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


async def test_work_that_a_flush_has_set_going_is_waited_for_too(net):
    """A forwarded put that was unread: it begins at the flush, after its node's barrier."""
    async with running(net):
        value_and_tombstone(net)
        begun: list[int] = []

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Flush) and receiver == 2 and not begun:
                begun.append(net.members[2].under_way.begin(None))

        net.before = before
        await trio.sleep(AFTER_S + 5)
        assert begun
        assert Forget not in {kind for _, kind in net.kinds()}
        net.members[2].put(b"forwarded")
        net.members[2].under_way.end(begun[0])
        await trio.sleep(LONG_S)
        assert net.members[0].waits() == [Waits(1, "n0 and n2, whose copies differ")]


async def test_what_is_written_after_the_confirmation_is_not_dropped(net):
    async with running(net):
        value_and_tombstone(net)
        written: list[bytes] = []

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Forget) and receiver == 1 and not written:
                written.append(net.members[1].put(b"again").encoded)

        net.before = before
        await trio.sleep(AFTER_S + 2)
        assert copies(net) == [None, written[0], None, None]


async def test_a_node_that_began_anew_since_its_proof_has_proved_nothing(net):
    async with running(net):
        value_and_tombstone(net)

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Barrier) and receiver == 2 and trio.current_time() < limit:
                net.members[2].replica._minter.draw_boot()

        limit = trio.current_time() + 30
        net.before = before
        await trio.sleep(29)
        assert net.members[0].waits() == [Waits(1, "n2: has begun anew since")]
        assert None not in copies(net)[:3]
        await trio.sleep(10)
        assert copies(net) == NOWHERE


async def test_a_forget_from_another_life_of_the_process_is_refused(net):
    async with running(net):
        _, tombstone = value_and_tombstone(net)

        def before(receiver: int, message: Message) -> None:
            if isinstance(message, Forget) and receiver == 1:
                net.members[1].replica._minter.draw_boot()
                net.before = lambda receiver, message: None

        net.before = before
        await trio.sleep(AFTER_S + 1)
        assert copies(net) == [None, tombstone, None, None]


async def test_a_proof_is_of_what_is_on_disk(net):
    """A copy whose commit is under way may be lost, and with it what it had superseded."""
    net.members[2].committer._offload = held_up = HeldUp()
    async with running(net):
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


async def test_before_anything_is_forgotten_all_remember_how_far_each_store_had_come(net):
    async with running(net):
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
        assert net.members[3].ask(AskPromised(node(1))) == [Promised(101)]
        assert net.members[1].ask(AskPromised(node(1))) == [Promised(0)]


async def test_no_row_is_left_of_a_hint_or_a_copy_on_any_disk(net):
    async with running(net):
        value_and_tombstone(net)
        await trio.sleep(AFTER_S + 2)
        for member in net.members:
            assert member.committer.engine.is_empty(Space.RECORDS)
            assert member.committer.engine.is_empty(Space.HINTS)
