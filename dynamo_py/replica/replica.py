"""This node's copy of each key: atomic get-merge-put, and hints kept for others.

Knows nothing of the ring, of other nodes or of quorums: whoever calls has decided that this
node is the one to hold the record. Every change is a plain ``def`` from reading the copy to
handing the new one to the store, so that no other change can come between; the store shows a
change to the next reader at once and reports its commit later.

Invariants: a copy only ever grows in the order of causality (what is stored descends what was
stored), but for what `Replica.forget` takes out of it; a dot is minted against the very copy
into which its write goes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dynamo_py.causality import (
    EMPTY,
    Context,
    HybridClock,
    Minter,
    Record,
    Sibling,
    decode_record,
    encode_record,
    later,
    timestamp_at,
)
from dynamo_py.config import HINT_BYTES_MAX, SIBLINGS_MAX, SIBLINGS_WARNING
from dynamo_py.errors import Damaged, DeadlineExceeded, TooManySiblings
from dynamo_py.replica.crowded import CrowdedKeys
from dynamo_py.replica.forgettable import is_gone_at, trimmed
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.replica.hints import Hint, Hints
from dynamo_py.replica.store import OnCommit, Store
from dynamo_py.storage.engine import Change, Scanned, Space

OnChange = Callable[[int, bytes, bytes | None, bytes | None], None]
"""Told partition, key, and the record's bytes before and after a change of a copy."""
OnRecord = Callable[[int, bytes, Record | None], None]
"""Told partition, key, and the record that a copy is after a change; None: there is none."""
Mirrored = Callable[[int, bytes, bytes, OnCommit], OnCommit]
"""Given partition, key, record, and who is told of its commit here: who is told in its place."""


class Write(NamedTuple):
    """A client's write, as its coordinator is about to mint it."""

    context: Context
    value: bytes | None
    write_id: bytes
    retried: bool
    expires_ms: int
    begun_ms: int = 0
    """Of one that is retried, when its first attempt was sent, since 1970; 0: not known."""
    is_last_alone: bool = False
    """Whether readers see the last write alone: it supersedes whatever is known here then."""


class Written(NamedTuple):
    """What a write made of the copy: its record, encoded, and what its client has seen now."""

    record: Record
    encoded: bytes
    context: Context


class Replica:
    """The copies and the hints of one node. Belongs to the event loop's thread."""

    def __init__(
        self,
        store: Store,
        minter: Minter,
        clock: HybridClock,
        *,
        wall_ms: Callable[[], int],
        on_damage: Callable[[int], None],
        on_change: OnChange | None = None,
        on_record: OnRecord | None = None,
        hint_bytes_max: int = HINT_BYTES_MAX,
    ) -> None:
        """``on_damage`` is told the partition in which a damaged record was met.

        ``on_change`` is told each change of a copy, in its order, once the store shows it, and
        then ``on_record`` what it is now.
        """
        self._store = store
        self._minter = minter
        self._clock = clock
        self._wall_ms = wall_ms
        self._on_damage = on_damage
        self._on_change = on_change or _nobody_is_told
        self._on_record = on_record or _nobody_is_shown
        self.hints = Hints(store, wall_ms=wall_ms, bytes_max=hint_bytes_max)
        self.crowded = CrowdedKeys(wall_ms)
        self.mirrored: Mirrored = _nowhere_else
        """Sees each record that is about to be stored: others may have to have it as well."""

    # --- reading -------------------------------------------------------------------------------

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The copy's bytes, None if there is none; raises `Damaged`."""
        try:
            return self._store.get(Space.RECORDS, partition, key)
        except Damaged:
            self._on_damage(partition)
            raise

    def get_hint(self, partition: int, key: bytes) -> Hint | None:
        """What is kept of the key for others; raises `Damaged`."""
        return self.hints.get(partition, key)

    def read(self, partition: int, key: bytes) -> tuple[bytes | None, tuple[bytes, ...]]:
        """All that this node knows of the key, copy and hint merged, and the hint's targets."""
        copy = self.get(partition, key)
        hint = self.hints.get_or_nothing(partition, key)
        if hint is None:
            return copy, ()
        if copy is None:
            return hint.record, hint.targets
        merged = decode_record(copy).merge(decode_record(hint.record))
        return encode_record(merged), hint.targets

    def scan(self, partition: int, start: bytes, limit: int) -> Scanned:
        """A page of copies in key order."""
        page = self._store.scan(Space.RECORDS, partition, start, limit)
        if page.damaged_keys:
            self._on_damage(partition)
        return page

    # --- writing -------------------------------------------------------------------------------

    def write(
        self,
        partition: int,
        key: bytes,
        write: Write,
        *,
        hinted_for: bytes | None,
        on_commit: OnCommit,
    ) -> Written:
        """Mint a dot for a client's write, and store the record that it makes.

        A write that is here already is not written twice: the record is stored as it is. With
        ``hinted_for`` it goes into the hint for that node, since this node is no primary.
        Raises `TooManySiblings` (a tombstone never does), `DeadlineExceeded` for one that is
        retried so late that nothing tells whether it happened, and what the store raises.
        """
        copy = self._copy_or_nothing(partition, key)
        held = self._known(partition, key, copy)
        if held.has_write(write.write_id):
            record = held
            sibling = held.sibling_of(write.write_id)
        else:
            context = write.context
            if write.is_last_alone:
                context = context.merge(held.context())
            self._refuse_too_many(held, context, write)
            _refuse_too_late(held, write)
            dot = self._minter.mint(key, held.vector)
            self._clock.observe(context.timestamp)
            # What is superseded is remembered by its age: what comes later has to be younger,
            # also than the writes of a node whose clock was ahead.
            sibling = Sibling(
                dot,
                write.value,
                later(self._clock.now(), max(context.timestamp, held.timestamp())),
                write.write_id,
                write.retried,
                write.expires_ms,
            )
            record = held.update(context, sibling)
            if write.value is not None and len(record.siblings) >= SIBLINGS_WARNING:
                self.crowded.note(key, record.writes())
        encoded = encode_record(record)
        if hinted_for is None:
            self._store_copy(partition, key, copy, record, encoded, on_commit)
        else:
            self.hints.keep(partition, key, record, encoded, target=hinted_for, on_commit=on_commit)
        return Written(record, encoded, _seen(write.context, sibling))

    def merge(
        self,
        partition: int,
        key: bytes,
        encoded: bytes,
        *,
        hinted_for: bytes | None,
        on_commit: OnCommit,
        durable: bool = False,
    ) -> None:
        """Merge a record from elsewhere into the copy, or into the hint for ``hinted_for``.

        ``on_commit`` is told when the result is committed, also where nothing had to change
        (what is acknowledged must be committed), and with ``durable`` after an fsync whatever
        the durability. Raises `ProtocolError` at no record, and what the store raises.
        """
        if hinted_for is not None:
            record = decode_record(encoded)
            self.hints.keep(partition, key, record, encoded, target=hinted_for, on_commit=on_commit)
            return
        held = self._copy_or_nothing(partition, key)
        merged = EMPTY
        if held != encoded:
            record = decode_record(encoded)
            merged = record if held is None else decode_record(held).merge(record)
            if merged != record:
                encoded = encode_record(merged)
        self._store_copy(partition, key, held, merged, encoded, on_commit, durable=durable)

    def _store_copy(
        self,
        partition: int,
        key: bytes,
        held: bytes | None,
        record: Record,
        encoded: bytes,
        on_commit: OnCommit,
        *,
        durable: bool = False,
    ) -> None:
        """Put ``encoded``, which is ``record``, in the place of ``held``, which was read there."""
        on_commit = self.mirrored(partition, key, encoded, on_commit)
        if held == encoded:
            # What is held may still be pending: whoever is told waits for its commit.
            self._store.submit((), on_commit, durable=True)
            return
        change = Change(Space.RECORDS, partition, key, encoded)
        self._store.submit((change,), on_commit, durable=durable)
        self._on_change(partition, key, held, encoded)
        self._on_record(partition, key, record)

    def forget(self, partition: int, key: bytes, digest: int, *, is_dropped: bool) -> bool:
        """Compare and drop: whether the copy had ``digest``, and so was dropped or else trimmed.

        For whoever has shown that nothing older is left anywhere. A copy is not dropped while
        it has a value by this node's clock. Raises what the store raises.
        """
        held = self._copy_or_nothing(partition, key)
        if held is None or digest_of(key, held) != digest:
            return False
        record = decode_record(held)
        if is_dropped and not is_gone_at(record, self._wall_ms()):
            return False
        after = None if is_dropped else trimmed(record)
        if after is record:
            return False
        encoded = None if after is None else encode_record(after)
        self._store.submit((Change(Space.RECORDS, partition, key, encoded),), _ignore)
        if after is None:
            self._minter.forget(key)
        self._on_change(partition, key, held, encoded)
        self._on_record(partition, key, after)
        return True

    def drop(self, partition: int, key: bytes, digest: int) -> bool:
        """Compare and drop what others hold: whether the copy had ``digest``, and is gone now.

        For a node that is no primary any more, once the primaries have the record. Raises what
        the store raises.
        """
        held = self._copy_or_nothing(partition, key)
        if held is None or digest_of(key, held) != digest:
            return False
        self._store.submit((Change(Space.RECORDS, partition, key, None),), _ignore)
        self._minter.forget(key)
        self._on_change(partition, key, held, None)
        self._on_record(partition, key, None)
        return True

    def drop_damaged(self, partition: int, key: bytes) -> None:
        """Drop what cannot be read any more, where `drop` may. Raises what the store raises."""
        self._store.submit((Change(Space.RECORDS, partition, key, None),), _ignore)
        self._minter.forget(key)
        self._on_record(partition, key, None)

    def _refuse_too_many(self, held: Record, context: Context, write: Write) -> None:
        """Before the dot is minted: one that is not stored would cost its copy a new life."""
        if write.value is None or len(held.siblings) < SIBLINGS_MAX:
            return
        count = held.writes_beside(context)
        if count > SIBLINGS_MAX:
            self.crowded.refused += 1
            raise TooManySiblings(
                f"this put would leave {count} siblings, at most {SIBLINGS_MAX} are allowed:"
                " get the key, merge its values, and put the result with the context",
                count=count,
                limit=SIBLINGS_MAX,
            )

    def _known(self, partition: int, key: bytes, copy: bytes | None) -> Record:
        """Copy and hint merged; a damaged copy counts as lost, so its actor is not used on."""
        record = EMPTY if copy is None else decode_record(copy)
        hint = self.hints.get_or_nothing(partition, key)
        return record if hint is None else record.merge(decode_record(hint.record))

    def _copy_or_nothing(self, partition: int, key: bytes) -> bytes | None:
        try:
            return self.get(partition, key)
        except Damaged:
            return None

    # --- failures ------------------------------------------------------------------------------

    @property
    def boot(self) -> int:
        """64 random bits of this process. Others after a failed commit: what was shown is void."""
        return self._minter.boot

    def commit_failed(self) -> None:
        """Records with our latest dots may have left, and are not stored here: start anew."""
        self._minter.draw_boot()
        self.hints.recount()

    def statistics(self) -> dict[str, int]:
        """Sizes, for the metrics page."""
        return self._minter.statistics()

    def _check(self) -> None:
        self._minter._check()
        self.hints._check()
        self.crowded._check()


def _nobody_is_told(partition: int, key: bytes, before: bytes | None, after: bytes | None) -> None:
    """Where no tree is kept."""


def _nobody_is_shown(partition: int, key: bytes, record: Record | None) -> None:
    """Where nothing is ever forgotten."""


def _nowhere_else(partition: int, key: bytes, encoded: bytes, on_commit: OnCommit) -> OnCommit:
    """Where nothing is handed over."""
    return on_commit


def _ignore(error: object) -> None:
    """What could not be forgotten is still there."""


def _refuse_too_late(held: Record, write: Write) -> None:
    """It may have happened, been superseded and been forgotten since; its value would come back."""
    if write.begun_ms and held.may_lack_since(timestamp_at(write.begun_ms)):
        raise DeadlineExceeded(
            "since the first attempt so much was written to this key that nothing tells whether it"
            " happened, so it was not repeated: read the key before you write again"
        )


def _seen(context: Context, sibling: Sibling | None) -> Context:
    """What the client has seen once its write is done: what it had seen, and its own write.

    Not the whole record: a sibling that the client never saw must survive its next put. A
    write that was superseded meanwhile adds nothing.
    """
    return context if sibling is None else context.with_write(sibling)
