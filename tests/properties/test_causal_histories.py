"""Random histories of one key on three replicas, against an oracle that knows what was seen.

The replicas forget copies, fail commits after a record has left, crash, come back from an
old snapshot, keep hints and deliver them late; clients write blindly, on old contexts, and
repeat writes through other replicas. After each step every record is what
`dynamo_py.testing.causal_history` says of the events that led to it.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field, replace
from itertools import permutations

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from dynamo_py.causality import (
    EMPTY,
    NOTHING_SEEN,
    Context,
    Minter,
    Sibling,
    decode_context,
    decode_record,
    encode_context,
    encode_record,
    merge_all,
)
from dynamo_py.causality import attempts as memory
from dynamo_py.testing.causal_history import NO_EVENTS, Event, Events, Known, Oracle

KEY = b"cart:alice"
NODES = 3
CLIENTS = 3
REMEMBERED_MAX = 1_000
SKEW = 4
"""By how many writes the clocks of coordinators lie apart at most."""


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

    copy: Known = field(default_factory=Known)
    hint: Known = field(default_factory=Known)

    def known(self) -> Known:
        return self.copy.merge(self.hint)


@dataclass(slots=True)
class Node:
    """A replica: what it shows, what of that is committed, and snapshots of the latter."""

    minter: Minter
    shown: Disk = field(default_factory=Disk)
    committed: Disk = field(default_factory=Disk)
    snapshots: list[Disk] = field(default_factory=lambda: [Disk()])


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
            sibling = known.record.sibling_of(write.write_id)
        else:
            known, sibling = self.minted(known, write, node, retried=retried)
        self.oracle.check(known)
        if as_hint:
            self.show(node, known, as_hint=True)
        else:
            # Stored as it is: a merge with the copy would mend what the update left undone.
            node.shown = replace(node.shown, copy=known)
        if sibling is None:
            return seen
        number = self.oracle.number_of[sibling.dot]
        return Seen(seen.context.with_write(sibling), seen.history | {number})

    def minted(
        self, known: Known, write: Write, node: Node, *, retried: bool
    ) -> tuple[Known, Sibling]:
        dot = node.minter.mint(KEY, known.record.vector)
        number = len(self.oracle.events)
        timestamp = (number + self.random.randrange(SKEW)) * 1_000 + number
        sibling = Sibling(dot, write.value, timestamp, write.write_id, retried)
        assert self.oracle.add(Event(sibling, write.seen.history)) == number
        context = decode_context(encode_context(write.seen.context))
        record = known.record.update(context, sibling)
        history = known.history | write.seen.history | {number}
        return Known(record, history, known.retired.union(known.record.retired)), sibling

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

    def merge_is_a_join(self, records):
        """Associativity is all that may be lost, and only where attempts were forgotten."""
        for _ in range(10):
            a, b, c = (self.random.choice(records) for _ in range(3))
            assert a.merge(b) == b.merge(a)
            assert a.merge(a) == a
            assert a.merge(b).merge(b) == a.merge(b)
            assert a.merge(b).descends(a)
            together = a.merge(b).merge(c)
            if len(together.superseded) < memory.ATTEMPTS_MAX:
                assert together == a.merge(b.merge(c))

    def converged(self, records):
        """One record after the other merges what another one has, until nothing changes."""
        records = list(records)
        pairs = list(permutations(range(len(records)), 2))
        while not all(records[i].descends(records[j]) for i, j in pairs):
            for i, j in self.random.sample(pairs, len(pairs)):
                records[i] = records[i].merge(records[j])
        assert len({encode_record(record) for record in records}) == 1
        return records[0]

    def teardown(self):
        """All that ever left a node meets: exactly what nothing superseded is left."""
        known = self.everything()
        records = [k.record for k in known]
        self.merge_is_a_join(records)
        orders = [records, *(self.random.sample(records, len(records)) for _ in range(3))]
        merged = [merge_all(order) for order in orders]
        everything = Known(
            self.converged(merged),
            NO_EVENTS.union(*(k.history for k in known)),
            frozenset().union(*(k.retired for k in known)),
        )
        self.oracle.check(everything)
        record, history = everything.record, everything.history
        values = [s.write_id for s in record.values(now_ms=0)]
        assert len(values) == len(set(values)), "a retry is a second value"
        if self.oracle.nothing_was_forgotten(everything):
            assert len({encode_record(one) for one in merged}) == 1
            left = self.oracle.left_of(history)
            assert frozenset(record.retired) == self.oracle.repeated(history - left, history)
            alive = (self.oracle.events[n].sibling for n in left)
            assert set(values) == {s.write_id for s in alive if s.value is not None}


class ForgetfulHistories(Histories):
    """The same with a minter that remembers one key, which other keys' writes push out."""

    def new_minter(self) -> Minter:
        return Minter(self.random, remembered_max=1)

    @rule(at=nodes)
    def write_another_key(self, at):
        self.nodes[at].minter.mint(b"another key", EMPTY.vector)


class ShortMemories(Histories):
    """The same where so few attempts are remembered that superseded values do come back."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts_max = memory.ATTEMPTS_MAX
        memory.ATTEMPTS_MAX = 1

    def teardown(self):
        try:
            super().teardown()
        finally:
            memory.ATTEMPTS_MAX = self.attempts_max


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

TestShortMemories = ShortMemories.TestCase
TestShortMemories.settings = settings(
    max_examples=2_000 if EXPLORE else 60, stateful_step_count=40, phases=PHASES
)
