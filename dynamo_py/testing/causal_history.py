"""An oracle for records under causality: it knows what was truly seen, and checks what is left.

The oracle is the plain causal history (Schwarz and Mattern 1994): every attempt that minted
a dot is an *event* with the set of events that its client had truly seen, and everything
that holds a record or a context carries, beside it, the set of events that led to it. So
at each moment one knows what a vector should cover, which values should be left, and which
attempts should be remembered as gone: the youngest few of the history without the siblings.
The oracle compares dots only to name events; it never asks a vector.

The one limit is stated by `Oracle.check_that_it_could_not_be_known`: what was superseded is
back only if as many attempts as are remembered, all younger than the one that was known, were
superseded before another one surfaced.

Knows nothing of replicas, clients or what befalls them: whoever plays a history adds its events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dynamo_py.causality import EMPTY, Dot, Record, Sibling, vector_of
from dynamo_py.causality import attempts as memory

Events = frozenset[int]
"""Events by their numbers."""
NO_EVENTS: Events = frozenset()


@dataclass(frozen=True, slots=True)
class Event:
    """One attempt of a write that minted a dot, and what its client had seen."""

    sibling: Sibling
    saw: Events


@dataclass(frozen=True, slots=True)
class Known:
    """A record, the events that truly led to it, and the ids that were retired on its way."""

    record: Record = EMPTY
    history: Events = NO_EVENTS
    retired: frozenset[bytes] = frozenset()

    def merge(self, other: Known) -> Known:
        """Both: what a replica that met both knows."""
        return Known(
            self.record.merge(other.record),
            self.history | other.history,
            self.retired.union(other.retired, self.record.retired, other.record.retired),
        )


class Oracle:
    """All events so far, and what follows from them. Each has a number, in the order they came."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.number_of: dict[Dot, int] = {}

    def add(self, event: Event) -> int:
        """Take in a new event; its number. An `AssertionError` if its dot was minted before."""
        assert event.sibling.dot not in self.number_of, "two writes share a dot"
        number = len(self.events)
        self.number_of[event.sibling.dot] = number
        self.events.append(event)
        return number

    def numbers(self, record: Record) -> Events:
        """The events whose siblings the record holds."""
        return frozenset(self.number_of[sibling.dot] for sibling in record.siblings)

    def ids(self, numbers: Iterable[int]) -> frozenset[bytes]:
        """The write ids of these events."""
        return frozenset(self.events[number].sibling.write_id for number in numbers)

    def attempts(self, numbers: Iterable[int]) -> list[bytes]:
        """The attempts of these events, oldest first, as records remember them."""
        return sorted(self.events[number].sibling.attempt for number in numbers)

    def superseded(self, history: Events) -> Events:
        """All that some event of the history had seen."""
        return NO_EVENTS.union(*(self.events[number].saw for number in history))

    def of_write(self, numbers: Events, ids: frozenset[bytes]) -> Events:
        """Those of the events that are attempts of the writes with these ids."""
        return frozenset(n for n in numbers if self.events[n].sibling.write_id in ids)

    def left_of(self, history: Events) -> Events:
        """What is left of a history: of no write that was superseded is there any attempt."""
        return history - self.of_write(history, self.ids(self.superseded(history)))

    def repeated(self, gone: Events, history: Events) -> frozenset[bytes]:
        """The superseded writes that had more attempts than one, or may have."""
        return frozenset(
            write_id
            for write_id in self.ids(gone)
            for attempts in [self.of_write(history, frozenset({write_id}))]
            if len(attempts) > 1 or any(self.events[n].sibling.retried for n in attempts)
        )

    def nothing_was_forgotten(self, known: Known) -> bool:
        """Whether so few attempts are gone that the record remembers each."""
        return len(known.history - self.numbers(known.record)) <= memory.ATTEMPTS_MAX

    def check(self, known: Known) -> None:
        """What holds of every record at every moment, whatever it has met so far.

        Raises `AssertionError` where it does not.
        """
        record, history = known.record, known.history
        record._check()
        assert record.vector == vector_of(self.events[n].sibling.dot for n in history)
        held = self.numbers(record)
        assert all(s == self.events[self.number_of[s.dot]].sibling for s in record.siblings), (
            "one dot, two values"
        )
        gone = history - held
        assert list(record.superseded) == self.attempts(gone)[-memory.ATTEMPTS_MAX :]
        assert not held & self.superseded(history), "something covered survives"
        assert self.left_of(history) <= held, "something concurrent was dropped"
        for back in sorted(held - self.left_of(history)):
            self.check_that_it_could_not_be_known(back, gone)
        assert known.retired <= frozenset(record.retired), "retired, and forgotten"
        assert frozenset(record.retired) <= self.repeated(gone, history), "retired for no reason"
        if self.nothing_was_forgotten(known):
            assert held == self.left_of(history)

    def check_that_it_could_not_be_known(self, back: int, gone: Events) -> None:
        """The limit: a superseded write is back only if so many others were superseded since."""
        write_id = self.events[back].sibling.write_id
        known = self.attempts(self.of_write(gone, frozenset({write_id})))[-1]
        since = [attempt for attempt in self.attempts(gone) if attempt > known]
        assert len(since) >= memory.ATTEMPTS_MAX, "a superseded value is back"
