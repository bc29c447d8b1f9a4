"""Hints: records that this node keeps for primaries that did not answer.

A key has one hint here, however many nodes it is kept for: the record, and the set of its
targets. (DeCandia et al. 2007, section 4.6.) Knows nothing of the ring, of who is up, or of
how a hint gets to its target: whoever hands it over says here who holds the record now.

What is kept is bounded in bytes; a full store refuses, so that the write finds another node.
What was accepted stays until its targets are taken out of it, and they are taken out only of
a hint that still has the record that they were given.

The figures are counted by one scan after the start, page by page, and kept up with each
change: changes of rows that the scan has passed count at once, the others are met by it.

Invariant: once counted, the figures are those of what the store shows. Each change is a
plain ``def`` from reading the hint to handing the new one to the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from dynamo_py.causality import Record, decode_record, encode_record
from dynamo_py.config import HINT_BYTES_MAX
from dynamo_py.errors import Damaged, DynamoError, Overloaded, ProtocolError, StorageError
from dynamo_py.replica.store import OnCommit, Store
from dynamo_py.storage.engine import Change, Space

AGE_STEP_MS = 10_000
"""How exactly the age of the oldest hint is known: a count for each such step is kept."""
COUNT_ROWS = 400
COUNT_PARTITIONS = 32
"""What one step of the count reads, at most."""
DAMAGED_MAX = 1000
"""Rows that cannot be read are remembered up to this until they are dropped."""
FULL_RETRY_S = 1.0

_FORMAT = b"\x01"


class Hint(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One key's record, and the ids of those it is kept for, sorted."""

    targets: tuple[bytes, ...]
    record: bytes
    since_ms: int

    def merged(self, record: Record, target: bytes) -> Hint:
        """The hint with ``record`` merged in, and ``target`` among its targets."""
        held = decode_record(self.record).merge(record)
        targets = tuple(sorted({*self.targets, target}))
        return Hint(targets, encode_record(held), self.since_ms)

    def aimed(self, *, gone: Iterable[bytes], instead: Iterable[bytes] = ()) -> Hint:
        """The hint without ``gone`` among its targets, and with ``instead`` among them."""
        targets = (set(self.targets) - set(gone)) | set(instead)
        return Hint(tuple(sorted(targets)), self.record, self.since_ms)


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(Hint)


def encode_hint(hint: Hint) -> bytes:
    """``hint`` as it is stored."""
    return _FORMAT + _encode(hint)


def decode_hint(data: bytes) -> Hint:
    """The hint in ``data``; raises `ProtocolError`."""
    if data[:1] != _FORMAT:
        raise ProtocolError(f"a hint of format {data[:1].hex()}; this version reads 01")
    try:
        return _decoder.decode(memoryview(data)[1:])
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"not a hint: {error}") from None


class HintPage(NamedTuple):
    """Hints of one partition in key order; those that cannot be read are left out."""

    rows: list[tuple[bytes, Hint]]
    next_start: bytes | None


@dataclass(frozen=True, slots=True)
class KeptFor:
    """What is kept for one target. A hint for two targets counts for both."""

    count: int
    bytes: int
    """Of keys and hints as they are stored."""
    age_ms: int
    """How long the oldest has waited, by the wall clock; up to `AGE_STEP_MS` too much."""


@dataclass(slots=True)
class _Kept:
    """The same while it changes, with the number of hints for each step of age."""

    count: int = 0
    bytes: int = 0
    ages: dict[int, int] = field(default_factory=dict)
    partitions: dict[int, int] = field(default_factory=dict)
    """The number of hints in each partition that has any."""

    def add(self, partition: int, hint: Hint, size: int, sign: int) -> None:
        self.count += sign
        self.bytes += sign * size
        _add_to(self.ages, hint.since_ms // AGE_STEP_MS, sign)
        _add_to(self.partitions, partition, sign)


class Hints:
    """All hints of one node. Belongs to the event loop's thread."""

    def __init__(
        self, store: Store, *, wall_ms: Callable[[], int], bytes_max: int = HINT_BYTES_MAX
    ) -> None:
        self._store = store
        self._wall_ms = wall_ms
        self._bytes_max = bytes_max
        self._may_hold_any = not store.is_empty(Space.HINTS)
        self._pending_bytes = 0
        self.on_targets: Callable[[], None] = lambda: None
        """Called when there is another set of targets, or something to count."""
        self.on_kept: Callable[[int, bytes], None] = lambda partition, key: None
        """Called with partition and key when something is kept."""
        self.refused = 0
        """How many hints were refused for want of room."""
        self.lost = 0
        """How many were dropped since the start because they could not be read."""
        self._kept: dict[bytes, _Kept] = {}
        self._rows: dict[int, int] = {}
        self._damaged: dict[tuple[int, bytes], None] = {}
        self._counted_to: tuple[int, bytes] | None = (0, b"") if self._may_hold_any else None
        """The last address that was counted; None: all are."""

    # --- reading -------------------------------------------------------------------------------

    def get(self, partition: int, key: bytes) -> Hint | None:
        """What is kept of the key for others; raises `Damaged`."""
        if not self._may_hold_any:
            return None  # As a rule: a node that never had to stand in for another looks up less.
        data = self._store.get(Space.HINTS, partition, key)
        return None if data is None else _readable(data)

    def get_or_nothing(self, partition: int, key: bytes) -> Hint | None:
        """The same, None where it is damaged."""
        try:
            return self.get(partition, key)
        except Damaged:
            return None

    def page(self, partition: int, start: bytes, limit: int) -> HintPage:
        """Hints after ``start``; where some are damaged, fewer than there are rows."""
        page = self._store.scan(Space.HINTS, partition, start, limit)
        rows = []
        for key, data in page.rows:
            try:
                rows.append((key, _readable(data)))
            except Damaged:
                self._note_damage(partition, key)
        for key in page.damaged_keys:
            self._note_damage(partition, key)
        return HintPage(rows, page.next_start)

    def partitions(self) -> list[int]:
        """The partitions in which there are hints, as far as they are counted; sorted."""
        return sorted(self._rows)

    def partitions_for(self, target: bytes) -> list[int]:
        """The same for the hints of one target."""
        kept = self._kept.get(target)
        return [] if kept is None else sorted(kept.partitions)

    # --- changing ------------------------------------------------------------------------------

    def keep(
        self,
        partition: int,
        key: bytes,
        record: Record,
        encoded: bytes,
        *,
        target: bytes,
        on_commit: OnCommit,
    ) -> None:
        """Keep ``record`` (``encoded`` is its bytes) for ``target``, merged with what is kept.

        Raises `Overloaded` where there is no room for it, and what the store raises.
        """
        try:
            held, was_damaged = self.get(partition, key), False
        except Damaged:
            held, was_damaged = None, True
        hint = (
            Hint((target,), encoded, self._wall_ms())
            if held is None
            else held.merged(record, target)
        )
        data = encode_hint(hint)
        growth = len(data) - len(encode_hint(held)) if held else len(key) + len(data)
        self._refuse_if_full(growth)
        self._may_hold_any = True
        pending = max(0, growth)
        self._pending_bytes += pending

        def committed(error: StorageError | None) -> None:
            self._pending_bytes -= pending
            on_commit(error)

        try:
            self._replace(partition, key, held, hint, data, committed)
        except DynamoError:
            self._pending_bytes -= pending
            raise
        if was_damaged:
            self.lost += 1
            self.recount()  # It may have been counted while it was sound.
        self.on_kept(partition, key)

    def aim(
        self,
        partition: int,
        key: bytes,
        record: bytes,
        *,
        gone: Iterable[bytes],
        instead: Iterable[bytes] = (),
    ) -> bool:
        """Take ``gone`` out of the targets, put ``instead`` among them; whether that was done.

        It is not where the hint's record is not ``record`` any more: there is news in it that
        those who are gone have not got. A hint without a target left is removed. Raises what
        the store raises.
        """
        held = self.get_or_nothing(partition, key)
        if held is None or held.record != record:
            return False
        hint = held.aimed(gone=gone, instead=instead)
        if hint.targets:
            self._replace(partition, key, held, hint, encode_hint(hint), _ignore)
        else:
            self._replace(partition, key, held, None, None, _ignore)
        return True

    def drop_damaged(self) -> int:
        """Remove the damaged hints that were met, and count anew; how many there were.

        They are lost already: nothing tells what was in them, nor for whom. What cannot be
        removed now stays met.
        """
        dropped = 0
        for partition, key in list(self._damaged):
            if self._is_damaged(partition, key):
                try:
                    self._store.submit((Change(Space.HINTS, partition, key, None),), _ignore)
                except DynamoError:
                    continue
                dropped += 1
            del self._damaged[partition, key]
        self.lost += dropped
        if dropped:
            self.recount()  # Some may have been counted while they were sound.
        return dropped

    def _is_damaged(self, partition: int, key: bytes) -> bool:
        try:
            self.get(partition, key)
        except Damaged:
            return True
        return False

    def _replace(
        self,
        partition: int,
        key: bytes,
        held: Hint | None,
        hint: Hint | None,
        data: bytes | None,
        on_commit: OnCommit,
    ) -> None:
        self._store.submit((Change(Space.HINTS, partition, key, data),), on_commit)
        if self._counted_to is not None and (partition, key) > self._counted_to:
            return  # The count has still to come to it.
        targets = len(self._kept)
        self._damaged.pop((partition, key), None)
        if held is not None:
            self._add(partition, key, held, -1)
        if hint is not None:
            self._add(partition, key, hint, 1)
        if len(self._kept) != targets:
            self.on_targets()

    # --- the bound -----------------------------------------------------------------------------

    @property
    def size_bytes(self) -> int:
        """What is stored, and what is about to be: an upper bound."""
        return self._store.stats().hint_bytes + self._pending_bytes

    def _refuse_if_full(self, growth: int) -> None:
        if growth > 0 and self.size_bytes + growth > self._bytes_max:
            self.refused += 1
            raise Overloaded(
                f"this node keeps {self.size_bytes} bytes of hints, and has no room for more",
                retry_after=FULL_RETRY_S,
            )

    # --- figures -------------------------------------------------------------------------------

    @property
    def is_counted(self) -> bool:
        """Whether the figures are those of all hints."""
        return self._counted_to is None

    def recount(self) -> None:
        """Count anew: after a failed commit some changes are not there any more."""
        self._kept.clear()
        self._rows.clear()
        self._counted_to = (0, b"")
        self.on_targets()

    def count_page(self, partitions: int) -> bool:
        """One bounded step of the count over ``partitions`` partitions; whether it was the last."""
        if self._counted_to is None:
            return True
        rows = 0
        partition, start = self._counted_to
        for _ in range(COUNT_PARTITIONS):
            page = self._store.scan(Space.HINTS, partition, start, COUNT_ROWS)
            for key, data in page.rows:
                self._count_row(partition, key, data)
            for key in page.damaged_keys:
                self._note_damage(partition, key)
            rows += len(page.rows)
            if page.next_start is None:
                partition, start = partition + 1, b""
            else:
                start = page.next_start
            if partition == partitions:
                self._counted_to = None
                return True
            self._counted_to = (partition, start)
            if rows >= COUNT_ROWS:
                break
        return False

    def _count_row(self, partition: int, key: bytes, data: bytes) -> None:
        try:
            self._add(partition, key, _readable(data), 1)
        except Damaged:
            self._note_damage(partition, key)

    def _note_damage(self, partition: int, key: bytes) -> None:
        if len(self._damaged) < DAMAGED_MAX:
            self._damaged[partition, key] = None

    def _add(self, partition: int, key: bytes, hint: Hint, sign: int) -> None:
        size = len(key) + len(encode_hint(hint))
        for target in hint.targets:
            kept = self._kept.setdefault(target, _Kept())
            kept.add(partition, hint, size, sign)
            if not kept.count:
                del self._kept[target]
        _add_to(self._rows, partition, sign)

    @property
    def has_damaged(self) -> bool:
        """Whether damaged hints were met that are not dropped yet."""
        return bool(self._damaged)

    def targets(self) -> tuple[bytes, ...]:
        """For whom hints are kept, as far as they are counted; sorted."""
        return tuple(sorted(self._kept))

    def kept_for(self, target: bytes) -> KeptFor:
        """What is kept for ``target``, as far as it is counted."""
        kept = self._kept.get(target)
        if kept is None:
            return KeptFor(0, 0, 0)
        age_ms = self._wall_ms() - min(kept.ages) * AGE_STEP_MS
        return KeptFor(kept.count, kept.bytes, max(0, age_ms))

    def _check(self) -> None:
        assert self._pending_bytes >= 0
        assert all(kept.count > 0 for kept in self._kept.values())
        for kept in self._kept.values():
            assert kept.count == sum(kept.ages.values()) == sum(kept.partitions.values())
        assert all(count > 0 for count in self._rows.values())
        assert self._may_hold_any or not self._kept


def _readable(data: bytes) -> Hint:
    """The hint in ``data``; raises `Damaged` where this version cannot read it."""
    try:
        return decode_hint(data)
    except ProtocolError as error:
        raise Damaged(error.message) from None


def _add_to(counts: dict[int, int], place: int, sign: int) -> None:
    """One more, or one fewer, of them; where there are none there is no count."""
    left = counts.get(place, 0) + sign
    if left:
        counts[place] = left
    else:
        del counts[place]


def _ignore(error: StorageError | None) -> None:
    """A target that stays in a hint is handed it again."""
