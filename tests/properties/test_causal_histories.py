"""Random histories of one key on three replicas, against an oracle that knows what was seen.

The replicas forget copies, fail commits after a record has left, crash, come back from an
old snapshot, keep hints and deliver them late; clients write blindly, on old contexts, and
repeat writes through other replicas.

The oracle is the plain causal history (Schwarz and Mattern 1994): every attempt that minted
a dot is an *event* with the set of events that its client had truly seen, and everything
that holds a record or a context carries, beside it, the set of events that led to it. So
at each moment one knows what a vector should cover and which values should be left. The
oracle compares dots only to name events; it never asks a vector.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dynamo_py.causality import (
    EMPTY,
    NOTHING_SEEN,
    Context,
    Dot,
    Minter,
    Record,
    Sibling,
    decode_context,
    decode_record,
    encode_context,
    encode_record,
    merge_all,
    vector_of,
)

Events = frozenset[int]
NO_EVENTS: Events = frozenset()
KEY = b"cart:alice"
NODES = 3
CLIENTS = 3
REMEMBERED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt of a write that minted a dot, and what that did to others.

    ``saw``: what its client had seen. ``fellows``: further attempts, held by the record that
    it was minted in, of writes that it supersedes. ``retires``: ids of those writes of which
    that record showed that there was more than one attempt.
    """

    sibling: Sibling
    saw: Events
    fellows: Events
    retires: frozenset[bytes]

    @property
    def supersedes(self) -> Events:
        return self.saw | self.fellows


@dataclass(frozen=True, slots=True)
class Known:
    """A record, the events that truly led to it, and the ids that updates on its way retired."""

    record: Record = EMPTY
    history: Events = NO_EVENTS
    retired: frozenset[bytes] = frozenset()

    def merge(self, other: Known) -> Known:
        return Known(
            self.record.merge(other.record),
            self.history | other.history,
            self.retired | other.retired,
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """A client's context, and the events that it truly has seen."""

    context: Context = NOTHING_SEEN
    history: Events = NO_EVENTS

    def merge(self, other: Seen) -> Seen:
        return Seen(self.context.merge(other.context), self.history | other.history)


@dataclass(frozen=True, slots=True)
class Write:
    """What a client wants written; a repeated attempt sends the very same."""

    client: int
    write_id: bytes
    value: bytes | None
    seen: Seen


@dataclass(frozen=True, slots=True)
class Disk:
    """What one node keeps of the key: its copy, and a hint for others."""

    copy: Known = Known()
    hint: Known = Known()

    def known(self) -> Known:
        return self.copy.merge(self.hint)


@dataclass(slots=True)
class Node:
    """A replica: what it shows, what of that is committed, and snapshots of the latter."""

    minter: Minter
    shown: Disk = Disk()
    committed: Disk = Disk()
    snapshots: list[Disk] = field(default_factory=lambda: [Disk()])


class Oracle:
    """All events so far, and what follows from them."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.number_of: dict[Dot, int] = {}

    def add(self, event: Event) -> int:
        assert event.sibling.dot not in self.number_of, "two writes share a dot"
        number = len(self.events)
        self.number_of[event.sibling.dot] = number
        self.events.append(event)
        return number

    def numbers(self, record: Record) -> Events:
        return frozenset(self.number_of[sibling.dot] for sibling in record.siblings)

    def ids(self, numbers: Iterable[int]) -> frozenset[bytes]:
        return frozenset(self.events[number].sibling.write_id for number in numbers)

    def seen_by_others(self, history: Events) -> Events:
        return NO_EVENTS.union(*(self.events[number].saw for number in history))

    def superseded(self, history: Events) -> Events:
        return NO_EVENTS.union(*(self.events[number].supersedes for number in history))

    def of_write(self, numbers: Events, ids: frozenset[bytes]) -> Events:
        return frozenset(n for n in numbers if self.events[n].sibling.write_id in ids)

    def many_attempts(self, held: Events) -> bool:
        return len(held) > 1 or any(self.events[n].sibling.retried for n in held)

    def event(self, sibling: Sibling, seen: Seen, held: Events) -> Event:
        """The event of ``sibling``, minted in a record that holds the events ``held``."""
        ids = self.ids(held & seen.history)
        retires = {i for i in ids if self.many_attempts(self.of_write(held, frozenset({i})))}
        fellows = self.of_write(held, ids) - seen.history
        return Event(sibling, seen.history, fellows, frozenset(retires))

    def left_of(self, history: Events) -> tuple[Events, frozenset[bytes]]:
        """What is left when all records of a history are merged, and which ids are retired."""
        gone = self.superseded(history)
        retired = frozenset().union(
            *(self.events[number].retires for number in history),
            self.ids(n for n in gone if self.events[n].sibling.retried),
        )
        return frozenset(history - gone - self.of_write(history, retired)), retired

    def check(self, known: Known) -> None:
        """What holds of every record at every moment, whatever it has met so far."""
        record, history = known.record, known.history
        record._check()
        assert record.vector == vector_of(self.events[n].sibling.dot for n in history)
        held = self.numbers(record)
        assert all(s == self.events[self.number_of[s.dot]].sibling for s in record.siblings), (
            "one dot, two values"
        )
        covered = held & self.seen_by_others(history)
        assert not covered, "something covered survives"
        retired = frozenset(record.retired)
        assert known.retired <= retired, "a repeated write was superseded and not retired"
        assert retired <= self.ids(self.seen_by_others(history)), "retired for no reason"
        concurrent = history - self.superseded(history) - self.of_write(history, retired)
        assert concurrent <= held, "something concurrent was dropped"


nodes = st.integers(0, NODES - 1)
clients = st.integers(0, CLIENTS - 1)
picks = st.integers(0, 10_000)
usually = st.integers(0, 3).map(bool)
seldom = usually.map(lambda yes: not yes)


class Histories(RuleBasedStateMachine):
    """One key's life. ``left`` holds every record that ever left a node."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(2007)
        self.oracle = Oracle()
        self.nodes = [Node(self.new_minter()) for _ in range(NODES)]
        self.clients = [Seen() for _ in range(CLIENTS)]
        self.writes: list[Write] = []
        self.left: list[Known] = []
        self.checked: set[Known] = set()

    def new_minter(self) -> Minter:
        return Minter(self.random, remembered_max=REMEMBERED_MAX)

    def show(self, node: Node, known: Known, *, as_hint: bool) -> None:
        if as_hint:
            node.shown = replace(node.shown, hint=node.shown.hint.merge(known))
        else:
            node.shown = replace(node.shown, copy=node.shown.copy.merge(known))

    def attempt(self, write: Write, node: Node, *, retried: bool, as_hint: bool) -> Seen:
        """One attempt of ``write`` at ``node``; what its answer would tell the client."""
        known = node.shown.known()
        seen = write.seen
        if known.record.has_write(write.write_id):
            dot = known.record.dot_of(write.write_id)
        else:
            known, dot = self.minted(known, write, node, retried=retried)
        self.oracle.check(known)
        if as_hint:
            self.show(node, known, as_hint=True)
        else:
            # Stored as it is: a merge with the copy would mend what the update left undone.
            node.shown = replace(node.shown, copy=known)
        if dot is None:
            return seen
        context = Context(seen.context.vector.with_dot(dot), seen.context.timestamp)
        return Seen(context, seen.history | {self.oracle.number_of[dot]})

    def minted(self, known: Known, write: Write, node: Node, *, retried: bool) -> tuple[Known, Dot]:
        dot = node.minter.mint(KEY, known.record.vector)
        timestamp = len(self.oracle.events)
        sibling = Sibling(dot, write.value, timestamp, write.write_id, retried)
        event = self.oracle.event(sibling, write.seen, self.oracle.numbers(known.record))
        number = self.oracle.add(event)
        context = decode_context(encode_context(write.seen.context))
        record = known.record.update(context, sibling)
        history = known.history | write.seen.history | {number}
        return Known(record, history, known.retired | event.retires), dot

    def answer(self, client: int, at: int, reply: Seen) -> None:
        self.left.append(self.nodes[at].shown.known())
        self.clients[client] = self.clients[client].merge(reply)

    # --- clients -----------------------------------------------------------------------------

    @rule(
        client=clients, at=nodes, is_delete=seldom, blind=seldom, as_hint=seldom, answered=usually
    )
    def put(self, client, at, is_delete, blind, as_hint, answered):
        seen = Seen() if blind else self.clients[client]
        number = len(self.writes)
        value = None if is_delete else b"value %d" % number
        write = Write(client, b"write %03d" % number, value, seen)
        self.writes.append(write)
        reply = self.attempt(write, self.nodes[at], retried=False, as_hint=as_hint)
        if answered:
            self.answer(client, at, reply)

    @precondition(lambda self: self.writes)
    @rule(pick=picks, at=nodes, as_hint=seldom, answered=usually)
    def retry(self, pick, at, as_hint, answered):
        write = self.writes[-1 - pick % min(4, len(self.writes))]
        reply = self.attempt(write, self.nodes[at], retried=True, as_hint=as_hint)
        if answered:
            self.answer(write.client, at, reply)

    @rule(client=clients, at=nodes)
    def get(self, client, at):
        known = self.nodes[at].shown.known()
        self.answer(client, at, Seen(known.record.context(), known.history))

    @rule(client=clients, read_at=nodes, write_at=nodes)
    def read_modify_write(self, client, read_at, write_at):
        self.get(client, read_at)
        self.put(client, write_at, False, False, False, True)

    @rule(client=clients, first_at=nodes, then_at=nodes, next_at=nodes, meet=st.booleans())
    def put_again_and_go_on(self, client, first_at, then_at, next_at, meet):
        """The answer is lost, a second attempt is made, and the client goes on from its reply.

        With ``meet``, the next coordinator has met the first attempt's by then. A third
        attempt may come at any time, by `retry`.
        """
        self.put(client, first_at, False, False, False, False)
        self.retry(0, then_at, False, True)
        if meet:
            self.replicate(first_at, next_at)
        self.put(client, next_at, False, False, False, True)

    # --- replicas ----------------------------------------------------------------------------

    @rule(origin=nodes, destination=nodes)
    def replicate(self, origin, destination):
        known = self.nodes[origin].shown.known()
        self.left.append(known)
        self.show(self.nodes[destination], known, as_hint=False)

    @precondition(lambda self: self.left)
    @rule(pick=picks, at=nodes, as_hint=seldom)
    def arrive_late(self, pick, at, as_hint):
        """Anything that ever left a node arrives, perhaps once more, perhaps as a hint."""
        known = self.left[pick % len(self.left)]
        decoded = decode_record(encode_record(known.record))
        self.show(self.nodes[at], replace(known, record=decoded), as_hint=as_hint)

    @rule(origin=nodes, destination=nodes)
    def hand_hint_back(self, origin, destination):
        hint = self.nodes[origin].shown.hint
        self.show(self.nodes[destination], hint, as_hint=False)
        self.nodes[origin].shown = replace(self.nodes[origin].shown, hint=Known())

    @rule(at=nodes, snapshot=st.booleans())
    def commit(self, at, snapshot):
        node = self.nodes[at]
        node.committed = node.shown
        if snapshot:
            node.snapshots.append(node.committed)

    @rule(at=nodes, was_sent=usually)
    def fail_commit(self, at, was_sent):
        node = self.nodes[at]
        if was_sent:
            self.left.append(node.shown.known())
        node.shown = node.committed
        node.minter.draw_boot()

    @rule(at=nodes, pick=picks, from_snapshot=st.booleans())
    def restart(self, at, pick, from_snapshot):
        """After a crash, perhaps on an old copy of the data directory, or on an empty disk."""
        node = self.nodes[at]
        if from_snapshot:
            node.committed = node.snapshots[pick % len(node.snapshots)]
        node.shown = node.committed
        node.minter = self.new_minter()

    @rule(at=nodes, tell=st.booleans())
    def forget_copy(self, at, tell):
        """The copy is dropped, or was found damaged, which the minter is not told."""
        node = self.nodes[at]
        node.shown = node.committed = replace(node.committed, copy=Known())
        if tell:
            node.minter.forget(KEY)

    # --- what holds --------------------------------------------------------------------------

    def everything(self) -> list[Known]:
        return [*self.left, *(node.shown.known() for node in self.nodes)]

    @invariant()
    def every_record_is_what_its_history_says(self):
        for node in self.nodes:
            node.minter._check()
            for known in (node.shown.copy, node.shown.hint, node.shown.known()):
                if known not in self.checked:
                    self.oracle.check(known)
                    self.checked.add(known)

    def merge_is_commutative_associative_and_idempotent(self, records):
        for _ in range(10):
            a, b, c = (self.random.choice(records) for _ in range(3))
            assert a.merge(b) == b.merge(a)
            assert a.merge(b).merge(c) == a.merge(b.merge(c))
            assert a.merge(a) == a
            assert a.merge(b).merge(b) == a.merge(b)
            assert a.merge(b).descends(a)

    def teardown(self):
        """All that ever left a node meets: exactly what nothing superseded is left."""
        known = self.everything()
        records = [k.record for k in known]
        self.merge_is_commutative_associative_and_idempotent(records)
        forwards = merge_all(records)
        shuffled = self.random.sample(records, len(records))
        assert encode_record(merge_all(shuffled)) == encode_record(forwards)
        history = NO_EVENTS.union(*(k.history for k in known))
        self.oracle.check(Known(forwards, history, frozenset().union(*(k.retired for k in known))))
        left, retired = self.oracle.left_of(history)
        assert self.oracle.numbers(forwards) == left
        assert frozenset(forwards.retired) == retired
        values = [s.write_id for s in forwards.values(now_ms=0)]
        assert len(values) == len(set(values)), "a retry is a second value"
        alive = (self.oracle.events[n].sibling for n in left)
        assert set(values) == {s.write_id for s in alive if s.value is not None}


class ForgetfulHistories(Histories):
    """The same with a minter that remembers one key, which other keys' writes push out."""

    def new_minter(self) -> Minter:
        return Minter(self.random, remembered_max=1)

    @rule(at=nodes)
    def write_another_key(self, at):
        self.nodes[at].minter.mint(b"another key", EMPTY.vector)


# Shrinking a failed history takes minutes: it waits until somebody asks for it, with
# HYPOTHESIS_PROFILE=explore, and -o faulthandler_timeout=0 where that is set.
EXPLORE = os.environ.get("HYPOTHESIS_PROFILE") == "explore"
PHASES = list(Phase) if EXPLORE else [Phase.explicit, Phase.reuse, Phase.generate]

TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=2_000 if EXPLORE else 250, stateful_step_count=40, phases=PHASES
)

TestForgetfulHistories = ForgetfulHistories.TestCase
TestForgetfulHistories.settings = settings(
    max_examples=2_000 if EXPLORE else 30, stateful_step_count=40, phases=PHASES
)
