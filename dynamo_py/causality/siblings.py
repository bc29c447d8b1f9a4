"""The record of one key: what was seen, and the values that nothing has superseded.

Pure: knows nothing of nodes, quorums, disks or clocks (a time to compare with is passed in).

Theory. A record is a pair of sets: the dots *seen* (a version vector) and, among them, the
*siblings*, each a dot with its value or tombstone. A dot that is seen and has no sibling was
superseded. Merging two records keeps a sibling if both have it, or if one has it and the
other has not seen it: what one side saw and no longer holds is gone for both. That is a
join of a semilattice (the optimised observed-remove set of Bieniusa et al. 2012, the
dotted version vector set of Almeida et al. 2014), so the order and the number of merges do
not matter, and nothing concurrent is ever dropped.

A client that got no answer repeats its put under the same *write id*, perhaps through
another coordinator, so that one write can have two dots: two *attempts*. Siblings with one
write id are one value, and when one attempt is superseded, so are all, those included that
surface later from a node that was cut off. For that a record remembers, in ``superseded``, the
`ATTEMPTS_MAX` youngest attempts that it has seen and that are gone; a context, in ``seen``,
the youngest that its client has seen at all. An attempt of which another is remembered there
is dropped when the two meet, and the write, known to be repeated now, is *retired*: its id
stays in ``retired``, without a bound but for the number of such writes. A repeated attempt
carries a mark of its own, by which it is retired as soon as it is superseded.

What is remembered follows from what was seen alone: ``superseded`` is always the youngest part
of the history without the siblings. Until something falls out of it, a merge is a function of
the histories, hence commutative, associative and idempotent. Beyond, which attempts were met
in time may hang on the order of merges. Even so a merge never leaves the order of the
semilattice: its result is an upper bound of both sides, so all who go on merging what others
have end with the same record, and `descends` tells when that is so.

Invariants: every sibling's dot is in the vector; no sibling's write id is retired or remembered
as superseded; a write that is remembered twice is retired; siblings, retired ids and attempts
are sorted, so equal records are equal bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from dynamo_py.causality.attempts import (
    ATTEMPTS_MAX,
    Attempt,
    attempt_of,
    has_attempt_of,
    is_memory,
    repeated_in,
    timestamp_of,
    with_one_more,
    write_ids_of,
    youngest,
)
from dynamo_py.causality.version_vector import Dot, VersionVector

NEVER_EXPIRES = 0


class Sibling(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One value, or one tombstone (``value`` is None), with the write that put it there.

    ``timestamp`` is the coordinator's hybrid timestamp; ``write_id`` the client's name for
    the write; ``retried`` says that it was minted by a repeated attempt; ``expires_ms`` is
    the wall-clock time, in milliseconds since 1970, from which the value counts as a
    tombstone (0: never).
    """

    dot: Dot
    value: bytes | None
    timestamp: Annotated[int, msgspec.Meta(ge=0)]
    write_id: bytes
    retried: bool = False
    expires_ms: Annotated[int, msgspec.Meta(ge=0)] = NEVER_EXPIRES

    @property
    def attempt(self) -> bytes:
        """The name of the attempt that minted this sibling."""
        return attempt_of(self.timestamp, self.write_id)

    def is_value_at(self, now_ms: int) -> bool:
        """Whether a reader at ``now_ms`` sees a value here: no tombstone, and not expired."""
        if self.value is None:
            return False
        return self.expires_ms == NEVER_EXPIRES or now_ms < self.expires_ms


class Context(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a client has seen of a key; opaque bytes to the client.

    ``timestamp`` is the highest hybrid timestamp it has seen there, which the next
    coordinator takes in before it mints, so that time never runs back along a causal chain.
    ``seen`` are the youngest attempts it has seen: who has seen one has seen the write.
    """

    vector: VersionVector = VersionVector()
    timestamp: Annotated[int, msgspec.Meta(ge=0)] = 0
    seen: tuple[Attempt, ...] = ()

    def merge(self, other: Context) -> Context:
        """A context that has seen what either has."""
        return Context(
            self.vector.merge(other.vector),
            max(self.timestamp, other.timestamp),
            youngest({*self.seen, *other.seen}),
        )

    def with_write(self, sibling: Sibling) -> Context:
        """A context that has seen ``sibling`` besides, and nothing else of its record."""
        attempt = sibling.attempt
        return Context(
            self.vector.with_dot(sibling.dot),
            max(self.timestamp, sibling.timestamp),
            self.seen if attempt in self.seen else with_one_more(self.seen, attempt),
        )

    def is_canonical(self) -> bool:
        """Whether this is the one form of what it says; all are but what comes from outside.

        An attempt younger than ``timestamp`` would never be forgotten, and push out all others.
        """
        is_in_time = not self.seen or timestamp_of(self.seen[-1]) <= self.timestamp
        return self.vector.is_canonical() and is_memory(self.seen) and is_in_time


NOTHING_SEEN = Context()


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state of one key on one replica, or merged over several."""

    vector: VersionVector = VersionVector()
    siblings: tuple[Sibling, ...] = ()
    retired: tuple[bytes, ...] = ()
    superseded: tuple[Attempt, ...] = ()

    def update(self, context: Context, write: Sibling) -> Record:
        """The record after ``write``, made by a client that had seen ``context``.

        ``write.dot`` must be new: minted against this very record (see
        `dynamo_py.causality.minter`). What the context covers is superseded; the rest stays
        beside the new value. The caller asks `has_write` first, so that a repeated write is
        not written twice.
        """
        assert not self.vector.covers(write.dot), "a dot is minted once"
        vector = self.vector.merge(context.vector).with_dot(write.dot)
        covered_ids = self._covered_ids(context)
        gone = [s for s in self.siblings if s.write_id in covered_ids]
        kept = [s for s in self.siblings if s.write_id not in covered_ids]
        siblings = tuple(sorted((*kept, write), key=_by_dot))
        if self._gone_leave(gone, context.seen):
            return Record(vector, siblings, self.retired, context.seen)
        if not (gone or context.seen):
            return Record(vector, siblings, self.retired, self.superseded)
        attempts = {*self.superseded, *context.seen}
        if has_attempt_of(context.seen, write.write_id):
            # A client that has seen this very write, and writes it once more, means it.
            attempts = {a for a in attempts if write_ids_of([a]) != {write.write_id}}
        return _remembering(vector, siblings, self.retired, attempts, gone)

    def writes_beside(self, context: Context) -> int:
        """How many writes an `update` with ``context`` would leave, its own one counted."""
        covered_ids = self._covered_ids(context)
        return 1 + len({s.write_id for s in self.siblings} - covered_ids)

    def _covered_ids(self, context: Context) -> set[bytes]:
        """The writes of which ``context`` has seen an attempt, all siblings' ones included."""
        covered = {s.write_id for s in self.siblings if context.vector.covers(s.dot)}
        if len(covered) < len(self.siblings):
            covered |= write_ids_of(context.seen)
        return covered

    def merge(self, other: Record) -> Record:
        """The join of both records; commutative, idempotent, an upper bound of both.

        Associative as long as nothing has fallen out of ``superseded``.
        """
        if self is other or self == other:
            return self
        kept, gone = self._told_apart_by(other)
        theirs_kept, theirs_gone = other._told_apart_by(self)
        vector = self.vector.merge(other.vector)
        retired = self.retired
        if other.retired != retired:
            retired = _sorted_ids((*retired, *other.retired))
        elif not (kept or theirs_gone) and self._gone_leave(gone, other.superseded):
            return Record(vector, other.siblings, retired, other.superseded)
        mine = {s.dot for s in self.siblings}
        kept += [s for s in theirs_kept if s.dot not in mine]
        gone += theirs_gone
        attempts = {*self.superseded, *other.superseded}
        if kept and (gone or attempts or retired):
            gone_ids = write_ids_of(attempts).union(retired, (s.write_id for s in gone))
            gone += [s for s in kept if s.write_id in gone_ids]
            kept = [s for s in kept if s.write_id not in gone_ids]
        siblings = tuple(sorted(kept, key=_by_dot))
        return _remembering(vector, siblings, retired, attempts, gone)

    def _gone_leave(self, gone: list[Sibling], memory: tuple[bytes, ...]) -> bool:
        """Whether ``memory`` is just what is to be remembered here once ``gone`` are gone.

        As a rule it is: one value was read and overwritten, by someone who had seen as much as
        this record has. Then there is nothing to find out about other attempts.
        """
        return (
            len(gone) == 1
            and not gone[0].retried
            and with_one_more(self.superseded, gone[0].attempt) == memory
        )

    def descends(self, other: Record) -> bool:
        """Whether merging ``other`` would change nothing."""
        return self is other or self == other or self.merge(other) == self

    def timestamp(self) -> int:
        """The highest timestamp of a sibling or of a remembered attempt; 0 where there is none."""
        highest = timestamp_of(self.superseded[-1]) if self.superseded else 0
        for sibling in self.siblings:
            highest = max(highest, sibling.timestamp)
        return highest

    def has_write(self, write_id: bytes) -> bool:
        """Whether this write took effect here already, superseded or not, as far as is known."""
        return (
            write_id in self.retired
            or any(s.write_id == write_id for s in self.siblings)
            or has_attempt_of(self.superseded, write_id)
        )

    def may_lack_since(self, timestamp: int) -> bool:
        """Whether a superseded attempt of ``timestamp`` or later may not be remembered any more."""
        is_full = len(self.superseded) == ATTEMPTS_MAX
        return is_full and timestamp_of(self.superseded[0]) > timestamp

    def sibling_of(self, write_id: bytes) -> Sibling | None:
        """The first sibling that the write ``write_id`` put here; None if it holds none."""
        return next((s for s in self.siblings if s.write_id == write_id), None)

    def context(self) -> Context:
        """A context that covers all that this record has seen."""
        if len(self.siblings) == 1:
            seen = with_one_more(self.superseded, self.siblings[0].attempt)
        else:
            seen = youngest({*self.superseded, *(s.attempt for s in self.siblings)})
        return Context(self.vector, timestamp_of(seen[-1]) if seen else 0, seen)

    def values(self, now_ms: int) -> tuple[Sibling, ...]:
        """What a reader sees at ``now_ms``: one sibling a write, no tombstones, oldest first."""
        firsts: dict[bytes, Sibling] = {}
        for sibling in sorted(self.siblings, key=_by_age):
            if sibling.is_value_at(now_ms):
                firsts.setdefault(sibling.write_id, sibling)
        return tuple(firsts.values())

    def winner(self, now_ms: int) -> Sibling | None:
        """What a reader at ``now_ms`` sees where the last write wins: the youngest, if a value.

        The youngest of all writes, so that a delete hides what is older. A write is as old as
        its first attempt.
        """
        firsts = {s.write_id: s for s in sorted(self.siblings, key=_by_age, reverse=True)}
        if not firsts:
            return None
        youngest = max(firsts.values(), key=_by_age).write_id
        return next((s for s in self.values(now_ms) if s.write_id == youngest), None)

    def writes(self) -> int:
        """How many siblings there are, tombstones too, those of one write counted once."""
        return len({s.write_id for s in self.siblings})

    def _told_apart_by(self, other: Record) -> tuple[list[Sibling], list[Sibling]]:
        """The siblings here that ``other`` has too or never saw, and those it saw superseded."""
        theirs = {s.dot for s in other.siblings}
        kept: list[Sibling] = []
        gone: list[Sibling] = []
        for sibling in self.siblings:
            superseded = sibling.dot not in theirs and other.vector.covers(sibling.dot)
            (gone if superseded else kept).append(sibling)
        return kept, gone

    def _check(self) -> None:
        self.vector._check()
        dots = [s.dot for s in self.siblings]
        assert dots == sorted(set(dots)), "siblings are sorted by dot, each once"
        assert all(self.vector.covers(dot) for dot in dots), "a sibling that was never seen"
        assert self.retired == _sorted_ids(self.retired), "retired ids are sorted, each once"
        assert not any(s.write_id in self.retired for s in self.siblings), "retired and alive"
        assert is_memory(self.superseded), "attempts are sorted, each once, and bounded"
        gone_ids = write_ids_of(self.superseded)
        assert not any(s.write_id in gone_ids for s in self.siblings), "superseded and alive"
        repeated = repeated_in(set(self.superseded))
        assert set(repeated) <= set(self.retired), "superseded twice and not retired"


EMPTY = Record()


def merge_all(records: Iterable[Record]) -> Record:
    """The join of any number of records; the empty record for none."""
    merged = EMPTY
    for record in records:
        merged = merged.merge(record)
    return merged


def _remembering(
    vector: VersionVector,
    siblings: tuple[Sibling, ...],
    retired: tuple[bytes, ...],
    attempts: set[bytes],
    gone: list[Sibling],
) -> Record:
    """The record of ``siblings`` that remembers ``attempts`` and those of ``gone``.

    A write that is known by now to have been repeated is retired.
    """
    attempts.update(s.attempt for s in gone)
    repeated = repeated_in(attempts)
    repeated += [s.write_id for s in gone if s.retried]
    if repeated:
        retired = _sorted_ids((*retired, *repeated))
    return Record(vector, siblings, retired, youngest(attempts))


def _by_dot(sibling: Sibling) -> Dot:
    return sibling.dot


def _by_age(sibling: Sibling) -> tuple[int, Dot]:
    return (sibling.timestamp, sibling.dot)


def _sorted_ids(ids: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(sorted(set(ids)))
