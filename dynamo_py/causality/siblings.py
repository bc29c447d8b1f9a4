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
another coordinator, so that one write can have two dots. Siblings with one write id are one
value. When a write that was repeated is superseded, its id is kept in ``retired``: the first
attempt may still surface from a node that was cut off, and must not be a new value then. A
merge that drops a repeated attempt retires its id as well, since the coordinator that
superseded it may have known it from the client's context alone. It goes by that attempt's own
mark and by nothing else that the two records happen to hold, or the order of merges would
matter.

Invariants: every sibling's dot is in the vector; no sibling's write id is retired; siblings
and retired ids are sorted, so equal records are equal bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated

import msgspec

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

    def is_value_at(self, now_ms: int) -> bool:
        """Whether a reader at ``now_ms`` sees a value here: no tombstone, and not expired."""
        if self.value is None:
            return False
        return self.expires_ms == NEVER_EXPIRES or now_ms < self.expires_ms


class Context(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a client has seen of a key; opaque bytes to the client.

    ``timestamp`` is the highest hybrid timestamp it has seen there, which the next
    coordinator takes in before it mints, so that time never runs back along a causal chain.
    """

    vector: VersionVector = VersionVector()
    timestamp: Annotated[int, msgspec.Meta(ge=0)] = 0

    def merge(self, other: Context) -> Context:
        """A context that has seen what either has."""
        return Context(self.vector.merge(other.vector), max(self.timestamp, other.timestamp))


NOTHING_SEEN = Context()


class Record(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The state of one key on one replica, or merged over several."""

    vector: VersionVector = VersionVector()
    siblings: tuple[Sibling, ...] = ()
    retired: tuple[bytes, ...] = ()

    def update(self, context: Context, write: Sibling) -> Record:
        """The record after ``write``, made by a client that had seen ``context``.

        ``write.dot`` must be new: minted against this very record (see
        `dynamo_py.causality.minter`). What the context covers is superseded; the rest stays
        beside the new value. The caller asks `has_write` first, so that a repeated write is
        not written twice.
        """
        assert not self.vector.covers(write.dot), "a dot is minted once"
        if not self.siblings:
            vector = self.vector.merge(context.vector).with_dot(write.dot)
            return Record(vector, (write,), self.retired)
        covered_ids = self._covered_ids(context)
        kept = [s for s in self.siblings if s.write_id not in covered_ids]
        return Record(
            self.vector.merge(context.vector).with_dot(write.dot),
            tuple(sorted([*kept, write], key=_by_dot)),
            _sorted_ids((*self.retired, *self._repeated(covered_ids))),
        )

    def writes_beside(self, context: Context) -> int:
        """How many writes an `update` with ``context`` would leave, its own one counted."""
        covered_ids = self._covered_ids(context)
        return 1 + len({s.write_id for s in self.siblings} - covered_ids)

    def _covered_ids(self, context: Context) -> set[bytes]:
        """The writes of which ``context`` has seen an attempt."""
        return {s.write_id for s in self.siblings if context.vector.covers(s.dot)}

    def merge(self, other: Record) -> Record:
        """The join of both records: commutative, associative, idempotent."""
        if self is other or self == other:
            return self
        kept, gone = self._told_apart_by(other)
        theirs_kept, theirs_gone = other._told_apart_by(self)
        mine = {s.dot for s in self.siblings}
        kept += [s for s in theirs_kept if s.dot not in mine]
        retired = self.retired
        repeated = [s.write_id for s in (*gone, *theirs_gone) if s.retried]
        if repeated or other.retired != retired:
            retired = _sorted_ids((*retired, *other.retired, *repeated))
        if retired:
            kept = [s for s in kept if s.write_id not in retired]
        kept.sort(key=_by_dot)
        return Record(self.vector.merge(other.vector), tuple(kept), retired)

    def descends(self, other: Record) -> bool:
        """Whether merging ``other`` would change nothing."""
        return self is other or self == other or self.merge(other) == self

    def has_write(self, write_id: bytes) -> bool:
        """Whether this write took effect here already, superseded or not, as far as is known."""
        return write_id in self.retired or any(s.write_id == write_id for s in self.siblings)

    def dot_of(self, write_id: bytes) -> Dot | None:
        """The first dot under which ``write_id`` is held, or None."""
        return next((s.dot for s in self.siblings if s.write_id == write_id), None)

    def context(self) -> Context:
        """A context that covers all that this record has seen."""
        return Context(self.vector, max((s.timestamp for s in self.siblings), default=0))

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

    def _repeated(self, write_ids: set[bytes]) -> list[bytes]:
        """Those of ``write_ids`` that more than one attempt may have written."""
        attempts = Counter(s.write_id for s in self.siblings)
        retried = {s.write_id for s in self.siblings if s.retried}
        return sorted(i for i in write_ids if i in retried or attempts[i] > 1)

    def _check(self) -> None:
        self.vector._check()
        dots = [s.dot for s in self.siblings]
        assert dots == sorted(set(dots)), "siblings are sorted by dot, each once"
        assert all(self.vector.covers(dot) for dot in dots), "a sibling that was never seen"
        assert self.retired == _sorted_ids(self.retired), "retired ids are sorted, each once"
        assert not any(s.write_id in self.retired for s in self.siblings), "retired and alive"


EMPTY = Record()


def merge_all(records: Iterable[Record]) -> Record:
    """The join of any number of records; the empty record for none."""
    merged = EMPTY
    for record in records:
        merged = merged.merge(record)
    return merged


def _by_dot(sibling: Sibling) -> Dot:
    return sibling.dot


def _by_age(sibling: Sibling) -> tuple[int, Dot]:
    return (sibling.timestamp, sibling.dot)


def _sorted_ids(ids: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(sorted(set(ids)))
