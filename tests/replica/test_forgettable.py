"""What may go of a record, that it is never missed, and which keys are noted for it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py.causality import (
    EMPTY,
    NOTHING_SEEN,
    Context,
    Dot,
    Minter,
    Record,
    Sibling,
    VersionVector,
    encode_record,
)
from dynamo_py.replica.forgettable import (
    HORIZON_MS,
    Forgettable,
    gone_from_ms,
    is_gone_at,
    trimmed,
)

NOW_MS = 1_700_000_000_000
AFTER_MS = 60_000


def timestamp(ms: int = NOW_MS) -> int:
    return ms << 16


def sibling(
    boot: int,
    counter: int = 1,
    value: bytes | None = b"v",
    *,
    expires_ms: int = 0,
    ms: int = NOW_MS,
) -> Sibling:
    dot = Dot(boot, 1, counter)
    return Sibling(dot, value, timestamp(ms), b"w%d.%d" % (boot, counter), False, expires_ms)


def record(*siblings: Sibling, dead=(), cloud=(), retired=()) -> Record:
    entries = {s.dot[:2]: s.dot for s in siblings} | {dot[:2]: dot for dot in dead}
    vector = VersionVector(tuple(sorted(entries.values())), tuple(cloud))
    return Record(vector, tuple(sorted(siblings, key=lambda s: s.dot)), tuple(retired))


# --- what may go -----------------------------------------------------------------------------


def test_entries_without_a_live_dot_go_and_those_with_one_stay_whole():
    kept = sibling(2, 3)
    found = trimmed(record(kept, dead=[Dot(1, 1, 9), Dot(3, 1, 1)], cloud=[Dot(1, 1, 11)]))
    assert found == record(kept)
    found._check()


def test_a_gap_above_a_live_dot_stays():
    kept = sibling(2, 3)
    whole = record(kept, cloud=[Dot(2, 1, 7)])
    assert trimmed(whole) is whole


def test_retired_ids_go():
    assert trimmed(record(sibling(1), retired=[b"id"])) == record(sibling(1))


def test_a_record_that_has_nothing_to_forget_is_the_very_same():
    whole = record(sibling(1), sibling(2, 4))
    assert trimmed(whole) is whole


@pytest.mark.parametrize(
    ("siblings", "gone_from"),
    [
        ((), 0),
        ((sibling(1, value=None),), 0),
        ((sibling(1, value=None), sibling(2)), None),
        ((sibling(1, expires_ms=NOW_MS + 5), sibling(2, value=None)), NOW_MS + 5),
        ((sibling(1, expires_ms=NOW_MS + 5), sibling(2, expires_ms=NOW_MS + 9)), NOW_MS + 9),
    ],
)
def test_a_record_is_gone_once_all_are_tombstones_or_expired(siblings, gone_from):
    found = record(*siblings)
    assert gone_from_ms(found) == gone_from
    if gone_from is None:
        assert not is_gone_at(found, 2**60)
    else:
        assert is_gone_at(found, gone_from)
        assert gone_from == 0 or not is_gone_at(found, gone_from - 1)


# --- that nobody misses it -------------------------------------------------------------------
#
# Two worlds go through the same history: in the one nothing is ever forgotten, in the other
# each copy that is still what was proved may be trimmed at any later moment. What a reader
# sees of every copy must be the same in both, at every step.


class World:
    """Some copies of one key, and clients that keep contexts."""

    COPIES = 3
    CLIENTS = 2

    def __init__(self, seed: int) -> None:
        self.copies = [EMPTY] * self.COPIES
        self.minters = [Minter(random.Random(seed + n)) for n in range(self.COPIES)]
        self.contexts = [NOTHING_SEEN] * self.CLIENTS
        self.last: list[tuple[Context, bytes] | None] = [None] * self.CLIENTS
        self.proved: bytes | None = None
        self.clock = timestamp()

    def put(self, copy: int, client: int, write_id: bytes, *, is_delete: bool) -> None:
        held = self.copies[copy]
        dot = self.minters[copy].mint(b"key", held.vector)
        self.clock += 1
        written = Sibling(dot, None if is_delete else b"v", self.clock, write_id)
        context = self.contexts[client]
        self.last[client] = None if is_delete else (context, write_id)
        self.copies[copy] = held.update(context, written)
        self.contexts[client] = Context(context.vector.with_dot(dot), self.clock)

    def retry(self, copy: int, client: int) -> None:
        """The client's last put once more. Not over a proof: clients do not go on for so long."""
        held, last = self.copies[copy], self.last[client]
        if last is not None and not held.has_write(last[1]):
            dot = self.minters[copy].mint(b"key", held.vector)
            self.clock += 1
            written = Sibling(dot, b"v", self.clock, last[1], True)
            self.copies[copy] = held.update(last[0], written)

    def read(self, copy: int, client: int) -> None:
        self.contexts[client] = self.copies[copy].context()

    def push(self, source: int, target: int) -> None:
        self.copies[target] = self.copies[target].merge(self.copies[source])

    def prove(self) -> None:
        """All copies are one: from here on nothing older is anywhere, but in clients' contexts."""
        for source in range(self.COPIES):
            for target in range(self.COPIES):
                self.push(source, target)
        self.push(self.COPIES - 1, 0)
        assert len(set(self.copies)) == 1
        self.proved = encode_record(self.copies[0])
        self.last = [None] * self.CLIENTS

    def forget(self, copy: int) -> None:
        """Compare and drop."""
        held = self.copies[copy]
        if self.proved == encode_record(held):
            self.copies[copy] = EMPTY if is_gone_at(held, 0) else trimmed(held)

    def seen(self) -> list[set[bytes]]:
        for copy in self.copies:
            copy._check()
        return [{s.write_id for s in copy.values(0)} for copy in self.copies]


copies = st.integers(0, World.COPIES - 1)
clients = st.integers(0, World.CLIENTS - 1)
steps = st.one_of(
    st.tuples(st.just("put"), copies, clients),
    st.tuples(st.just("delete"), copies, clients),
    st.tuples(st.just("read"), copies, clients),
    st.tuples(st.just("retry"), copies, clients),
    st.tuples(st.just("push"), copies, copies),
    st.tuples(st.just("forget"), copies, copies),
    st.tuples(st.just("prove"), copies, copies),
)


@given(st.lists(steps, max_size=40))
@settings(max_examples=200, deadline=None)
def test_what_was_trimmed_after_a_proof_is_never_missed(history):
    remembering, forgetting = World(1), World(2)
    for number, (step, first, second) in enumerate(history):
        for world in (remembering, forgetting):
            if step in ("put", "delete"):
                write_id = b"w%d" % number
                world.put(first, second, write_id, is_delete=step == "delete")
            elif step == "prove":
                world.prove()
            elif step == "forget":
                if world is forgetting:
                    world.forget(first)
            else:
                getattr(world, step)(first, second)
        assert forgetting.seen() == remembering.seen(), (number, step)


def test_the_same_without_a_proof_brings_values_back():
    """That the model can tell: a copy that had not heard of the delete."""
    world = World(1)
    world.put(0, 0, b"w", is_delete=False)
    world.push(0, 1)
    world.put(0, 0, b"d", is_delete=True)
    world.proved = encode_record(world.copies[0])  # And it is not so.
    world.forget(0)
    world.push(1, 0)
    assert world.seen()[0] == {b"w"}


# --- what is noted ---------------------------------------------------------------------------


class Clock:
    now_ms = NOW_MS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def noted(clock) -> Forgettable:
    return Forgettable(wall_ms=lambda: clock.now_ms, after_ms=AFTER_MS, noted_max=3)


TOMBSTONE = record(sibling(1, value=None))
VALUE = record(sibling(1))


def test_a_tombstone_is_due_once_it_is_old_enough(noted, clock):
    noted.note(7, b"key", TOMBSTONE)
    assert noted.partitions() == [7]
    clock.now_ms += AFTER_MS - 1
    assert noted.due(7, 10) == []
    clock.now_ms += 1
    assert noted.due(7, 10) == [b"key"]


def test_a_value_alone_is_not_noted_and_takes_the_note_of_its_key_away(noted):
    noted.note(7, b"key", VALUE)
    assert noted.count == 0
    noted.note(7, b"key", TOMBSTONE)
    noted.note(7, b"key", VALUE)
    assert noted.count == 0
    noted.note(7, b"key", TOMBSTONE)
    noted.note(7, b"key", None)
    assert noted.count == 0
    noted._check()


def test_a_younger_write_puts_the_key_off(noted, clock):
    noted.note(7, b"key", TOMBSTONE)
    noted.note(7, b"key", record(sibling(1, 2, None, ms=NOW_MS + 1000)))
    clock.now_ms += AFTER_MS
    assert noted.due(7, 10) == []
    clock.now_ms += 1000
    assert noted.due(7, 10) == [b"key"]


@pytest.mark.parametrize(
    ("expires_ms", "due_ms"),
    [
        (NOW_MS + 5, NOW_MS + AFTER_MS),
        (NOW_MS + AFTER_MS + 5, NOW_MS + AFTER_MS + 5),
        (NOW_MS + HORIZON_MS + 5, None),
    ],
)
def test_a_value_that_will_expire_is_due_then_unless_that_is_far_off(
    noted, clock, expires_ms, due_ms
):
    noted.note(7, b"key", record(sibling(1, expires_ms=expires_ms)))
    if due_ms is None:
        assert noted.count == 0
        return
    clock.now_ms = due_ms - 1
    assert noted.due(7, 10) == []
    clock.now_ms = due_ms
    assert noted.due(7, 10) == [b"key"]


def test_dead_entries_and_retired_ids_are_noted_beside_a_live_value(noted):
    noted.note(1, b"a", record(sibling(1), dead=[Dot(2, 1, 1)]))
    noted.note(1, b"b", record(sibling(1), retired=[b"id"]))
    noted.note(1, b"c", record(sibling(1), sibling(2)))
    assert [len(list(noted.in_partition(1))), noted.count] == [2, 2]


def test_a_record_that_is_left_without_siblings_is_as_old_as_its_note(noted, clock):
    noted.note(7, b"key", record(dead=[Dot(1, 1, 1)], retired=[b"id"]))
    clock.now_ms += AFTER_MS - 1
    assert noted.due(7, 10) == []
    clock.now_ms += 1
    assert noted.due(7, 10) == [b"key"]


def test_more_than_there_is_room_for_are_left_to_a_scan(noted):
    for number in range(4):
        noted.note(number, b"key", TOMBSTONE)
    assert noted.count == 3
    assert noted.has_overflowed
    assert noted.is_crowded
    noted.drop_all(0)
    noted.drop(1, b"key")
    noted.drop(1, b"key")
    assert not noted.is_crowded
    noted._check()


def test_one_that_was_tried_in_vain_is_put_off_and_says_why(noted, clock):
    noted.note(7, b"key", TOMBSTONE)
    clock.now_ms += AFTER_MS
    noted.postpone(7, b"key", until_ms=clock.now_ms + 10, waits_for="n3, which is down")
    noted.postpone(7, b"other", until_ms=0, waits_for="nobody")
    assert noted.due(7, 10) == []
    assert [one.waits_for for one in noted.in_partition(7)] == ["n3, which is down"]
    clock.now_ms += 10
    assert noted.due(7, 10) == [b"key"]


def test_only_as_many_are_given_as_are_asked_for(noted, clock):
    for key in (b"a", b"b", b"c"):
        noted.note(7, key, TOMBSTONE)
    clock.now_ms += AFTER_MS
    assert noted.due(7, 2) == [b"a", b"b"]
