"""Right histories raise no alarm, and one thing wrong in them is found by the right checker.

The histories come from a deliberately dumb store: for each key, one copy that everybody reads
and writes in turn, with siblings and contexts as plain sets of names. What is not dumb are its
clients: they write blindly, on old contexts and on those of their own writes; what they do
overlaps; writes of unknown outcome take effect at once, much later or never; degraded writes
take effect late and degraded reads show the past.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.checkers import ALWAYS, WITHIN_BOUNDS
from dynamo_py.testing.checkers.antichain import check_siblings_are_concurrent
from dynamo_py.testing.checkers.deletes import check_deletes_stay_deleted
from dynamo_py.testing.checkers.freshness import check_reads_see_acknowledged_writes
from dynamo_py.testing.checkers.lost_writes import check_nothing_lost
from dynamo_py.testing.checkers.phantoms import check_no_phantoms
from dynamo_py.testing.checkers.stale_reads import check_reads_show_nothing_superseded
from dynamo_py.testing.checkers.superseded import check_superseded_stays_superseded
from dynamo_py.testing.history import History, Outcome, Read, Write

Names = frozenset[str]
NOTHING: Names = frozenset()
NEVER = None
KEYS = ("a", "b", "c")
CLIENTS = ("c1", "c2", "c3")
ACTIONS = ("put", "put", "get", "get", "delete")


@dataclass(frozen=True)
class Step:
    """What one client does next, in numbers that any store can be driven by."""

    action: str
    key: str
    client: str
    outcome: Outcome
    degraded: bool
    context_age: int
    """Which of the client's contexts it goes by: 0 is the newest; none if it has not so many."""
    delay: int | None
    """How many steps later a write takes effect whose client cannot tell."""
    early_s: int
    late_s: int


@dataclass(frozen=True)
class Context:
    """What a context covers in truth, and the writes that it was given for."""

    covers: Names = NOTHING
    given_for: Names = NOTHING


@dataclass
class Copy:
    """The state of one key: all that it ever saw, and what is alive, tombstones included."""

    seen: set[str] = field(default_factory=set)
    alive: dict[str, bool] = field(default_factory=dict)
    past: list[Context] = field(default_factory=list)

    def take(self, name: str, covers: Names, *, is_delete: bool) -> None:
        for covered in covers:
            self.alive.pop(covered, None)
        if name not in self.seen:
            self.alive[name] = is_delete
        self.seen |= {name, *covers}

    def show(self) -> Context:
        values = frozenset(name for name, is_delete in self.alive.items() if not is_delete)
        return Context(frozenset(self.seen), values)


@dataclass
class DumbStore:
    """Runs steps, one a second, and keeps their history."""

    history: History = field(default_factory=History)
    covers: dict[str, Names] = field(default_factory=dict)
    copies: dict[str, Copy] = field(default_factory=lambda: {key: Copy() for key in KEYS})
    contexts: dict[tuple[str, str], list[Context]] = field(default_factory=dict)
    due: list[tuple[int, Write]] = field(default_factory=list)

    def run(self, steps: list[Step]) -> DumbStore:
        for now_s, step in enumerate(steps):
            self._take_due(now_s)
            (self._get if step.action == "get" else self._write)(now_s, step)
            for copy in self.copies.values():
                copy.past.append(copy.show())
        self._take_due(len(steps) + 1_000)
        self.history.final = {key: copy.show().given_for for key, copy in self.copies.items()}
        return self

    def _get(self, now_s: int, step: Step) -> None:
        copy = self.copies[step.key]
        # Only a read that says so may show the past.
        is_late = step.degraded and copy.past
        shown = copy.past[-min(step.delay or 1, len(copy.past))] if is_late else copy.show()
        times = now_s - step.early_s, now_s + step.late_s
        self.history.reads.append(
            Read(step.key, step.client, shown.given_for, *times, step.degraded)
        )
        self._contexts(step).append(shown)

    def _write(self, now_s: int, step: Step) -> None:
        contexts = self._contexts(step)
        is_known = step.context_age < len(contexts)
        context = contexts[-1 - step.context_age] if is_known else Context()
        write = Write(
            step.key,
            f"{step.action}{now_s}",
            step.action == "delete",
            context.given_for,
            step.client,
            now_s - step.early_s,
            now_s + step.late_s,
            step.outcome,
            step.degraded and step.outcome is Outcome.ACKNOWLEDGED,
        )
        self.history.writes.append(write)
        self.covers[write.write] = context.covers
        at = self._takes_effect_at(now_s, write, step)
        if at is not NEVER:
            self.due.append((at, write))
            self._take_due(now_s)
        if step.outcome is Outcome.ACKNOWLEDGED:
            own = frozenset({write.write})
            contexts.append(Context(context.covers | own, own))

    @staticmethod
    def _takes_effect_at(now_s: int, write: Write, step: Step) -> int | None:
        if write.outcome is Outcome.NOT_APPLIED:
            return NEVER
        if write.outcome is Outcome.UNKNOWN:
            return NEVER if step.delay is NEVER else now_s + step.delay
        return now_s + (step.delay or 0) if write.degraded else now_s

    def _take_due(self, now_s: int) -> None:
        for at, write in self.due:
            if at <= now_s:
                covers = self.covers[write.write]
                self.copies[write.key].take(write.write, covers, is_delete=write.is_delete)
        self.due = [(at, write) for at, write in self.due if at > now_s]

    def _contexts(self, step: Step) -> list[Context]:
        return self.contexts.setdefault((step.key, step.client), [])


STEPS = st.lists(
    st.builds(
        Step,
        action=st.sampled_from(ACTIONS),
        key=st.sampled_from(KEYS[:2]),
        client=st.sampled_from(CLIENTS),
        outcome=st.sampled_from(Outcome),
        degraded=st.booleans(),
        context_age=st.integers(0, 3),
        delay=st.none() | st.integers(0, 10),
        early_s=st.integers(0, 3),
        late_s=st.integers(0, 3),
    ),
    max_size=60,
)


def random_steps(generator: random.Random, count: int) -> list[Step]:
    """Steps as a workload has them: most writes are acknowledged, few are degraded."""
    outcomes = [Outcome.ACKNOWLEDGED] * 8 + [Outcome.UNKNOWN, Outcome.NOT_APPLIED]
    return [
        Step(
            action=generator.choice(ACTIONS),
            key=generator.choice(KEYS),
            client=generator.choice(CLIENTS),
            outcome=generator.choice(outcomes),
            degraded=generator.random() < 0.1,
            context_age=generator.choice((0, 0, 0, 1, 5)),
            delay=generator.choice((NEVER, 0, 3, 30)),
            early_s=generator.randrange(2),
            late_s=generator.randrange(2),
        )
        for _ in range(count)
    ]


@given(STEPS)
def test_a_right_history_raises_no_alarm(steps):
    told = DumbStore().run(steps).history
    assert [line for check in WITHIN_BOUNDS for line in check(told)] == []


# One thing wrong each: every such history that can be made of the store's, with the name of
# the write that has to be complained of.
Mutants = Iterator[tuple[History, str]]


def drop_what_is_acknowledged(store: DumbStore) -> Mutants:
    told = store.history
    for put in told.writes:
        is_kept = put.write in told.final[put.key]
        if is_kept and is_acknowledged(put) and not may_be_deleted(store, put.write):
            yield with_final(told, put.key, told.final[put.key] - {put.write}), put.write


def bring_back_what_a_put_superseded(store: DumbStore) -> Mutants:
    for put, older in superseding_pairs(store.history):
        if not put.is_delete:
            yield with_final(store.history, put.key, store.history.final[put.key] | {older}), older


def bring_back_what_was_deleted(store: DumbStore) -> Mutants:
    for delete, older in superseding_pairs(store.history):
        if delete.is_delete:
            final = store.history.final[delete.key] | {older}
            yield with_final(store.history, delete.key, final), older


def invent_a_value_in_the_end(store: DumbStore) -> Mutants:
    for key, names in store.history.final.items():
        yield with_final(store.history, key, names | {"ghost"}), "ghost"


def invent_a_value_in_a_read(store: DumbStore) -> Mutants:
    for read in store.history.reads:
        yield with_read(store.history, read, read.found | {"ghost"}), "ghost"


def show_a_value_before_its_put(store: DumbStore) -> Mutants:
    for read in store.history.reads:
        for write in store.history.writes:
            if write.key == read.key and write.began_s > read.ended_s and not write.is_delete:
                yield with_read(store.history, read, read.found | {write.write}), write.write


def hide_what_was_acknowledged_from_a_read(store: DumbStore) -> Mutants:
    for read, write in acknowledged_before_reads(store.history):
        if write.write in read.found and not may_be_deleted(store, write.write):
            yield with_read(store.history, read, read.found - {write.write}), write.write


def show_a_read_what_was_superseded(store: DumbStore) -> Mutants:
    puts = {write.write for write in store.history.writes if not write.is_delete}
    for read, write in acknowledged_before_reads(store.history):
        for older in sorted(write.saw & puts):
            yield with_read(store.history, read, read.found | {older}), older


def show_a_value_beside_its_successor(store: DumbStore) -> Mutants:
    puts = {write.write: write for write in store.history.writes if not write.is_delete}
    for read in store.history.reads:
        for name in sorted(read.found):
            for older in sorted(puts[name].saw & puts.keys()):
                yield with_read(store.history, read, read.found | {older}), older


def is_acknowledged(write: Write) -> bool:
    return write.outcome is Outcome.ACKNOWLEDGED


def may_be_deleted(store: DumbStore, name: str) -> bool:
    return any(
        write.is_delete
        and write.outcome is not Outcome.NOT_APPLIED
        and name in store.covers[write.write]
        for write in store.history.writes
    )


def superseding_pairs(told: History) -> Iterator[tuple[Write, str]]:
    """Each acknowledged write with each value that its context was given for."""
    puts = {write.write for write in told.writes if not write.is_delete}
    for write in told.writes:
        if is_acknowledged(write):
            yield from ((write, older) for older in sorted(write.saw & puts))


def acknowledged_before_reads(told: History) -> Iterator[tuple[Read, Write]]:
    """Each read with each write that it has to know of."""
    for read in told.reads:
        for write in told.writes:
            if (
                write.key == read.key
                and is_acknowledged(write)
                and write.ended_s <= read.began_s
                and not (write.degraded or read.degraded)
            ):
                yield read, write


def with_final(told: History, key: str, names: Names) -> History:
    return replace(told, final={**told.final, key: names})


def with_read(told: History, read: Read, found: Names) -> History:
    reads = [replace(read, found=found) if each is read else each for each in told.reads]
    return replace(told, reads=reads)


@pytest.mark.parametrize(
    ("mutate", "check"),
    [
        (drop_what_is_acknowledged, check_nothing_lost),
        (bring_back_what_a_put_superseded, check_superseded_stays_superseded),
        (bring_back_what_was_deleted, check_deletes_stay_deleted),
        (invent_a_value_in_the_end, check_no_phantoms),
        (invent_a_value_in_a_read, check_no_phantoms),
        (show_a_value_before_its_put, check_no_phantoms),
        (hide_what_was_acknowledged_from_a_read, check_reads_see_acknowledged_writes),
        (show_a_read_what_was_superseded, check_reads_show_nothing_superseded),
        (show_a_value_beside_its_successor, check_siblings_are_concurrent),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_one_thing_wrong_is_found_by_the_right_checker(
    mutate: Callable[[DumbStore], Mutants], check: Callable[[History], list[str]], seed: int
):
    generator = random.Random(seed)
    store = DumbStore().run(random_steps(generator, 200))
    assert [line for each in WITHIN_BOUNDS for line in each(store.history)] == []
    mutants = list(mutate(store))
    assert mutants, "a history in which nothing can go wrong shows nothing"
    for told, name in generator.sample(mutants, min(len(mutants), 10)):
        words = [line.replace(",", "").split() for line in check(told)]
        assert any(name in line for line in words)


def test_what_holds_whatever_fails_is_checked_within_bounds_as_well():
    assert set(ALWAYS) < set(WITHIN_BOUNDS)
    assert len(set(WITHIN_BOUNDS)) == len(WITHIN_BOUNDS)
