"""This node's copy of each key: atomic get-merge-put, and hints kept for others.

Knows nothing of the ring, of other nodes or of quorums: whoever calls has decided that this
node is the one to hold the record. Every change is a plain ``def`` from reading the copy to
handing the new one to the store, so that no other change can come between; the store shows a
change to the next reader at once and reports its commit later.

Invariants: a copy only ever grows in the order of causality (what is stored descends what was
stored); a dot is minted against the very copy into which its write goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from dynamo_py.causality import (
    EMPTY,
    Context,
    HybridClock,
    Minter,
    Record,
    Sibling,
    decode_record,
    encode_record,
)
from dynamo_py.config import SIBLINGS_MAX
from dynamo_py.errors import Damaged, StorageError, TooManySiblings
from dynamo_py.replica.hints import Hint, decode_hint, encode_hint
from dynamo_py.storage.engine import Change, Scanned, Space

OnCommit = Callable[[StorageError | None], None]


class Store(Protocol):
    """The part of `dynamo_py.storage.committer.Committer` that a replica uses."""

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        """The value, pending changes included; raises `Damaged`."""
        ...

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        """A page of rows in key order, after ``start``."""
        ...

    def is_empty(self, space: Space) -> bool:
        """Whether the space has no row, pending ones counted."""
        ...

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        """Take the changes; ``on_commit`` is told when they are committed."""
        ...


class Write(NamedTuple):
    """A client's write, as its coordinator is about to mint it."""

    context: Context
    value: bytes | None
    write_id: bytes
    retried: bool
    expires_ms: int


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
    ) -> None:
        """``on_damage`` is told the partition in which a damaged record was met."""
        self._store = store
        self._minter = minter
        self._clock = clock
        self._wall_ms = wall_ms
        self._on_damage = on_damage
        self._may_hold_hints = not store.is_empty(Space.HINTS)

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
        if not self._may_hold_hints:
            return None  # As a rule: a node that never had to stand in for another looks up less.
        data = self._store.get(Space.HINTS, partition, key)
        return None if data is None else decode_hint(data)

    def read(self, partition: int, key: bytes) -> tuple[bytes | None, tuple[bytes, ...]]:
        """All that this node knows of the key, copy and hint merged, and the hint's targets."""
        copy = self.get(partition, key)
        hint = self._hint_or_nothing(partition, key)
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
        Raises `TooManySiblings` (a tombstone never does), and what the store raises.
        """
        held = self._known(partition, key)
        if held.has_write(write.write_id):
            record = held
            sibling = held.sibling_of(write.write_id)
        else:
            self._refuse_too_many(held, write)
            dot = self._minter.mint(key, held.vector)
            self._clock.observe(write.context.timestamp)
            sibling = Sibling(
                dot,
                write.value,
                self._clock.now(),
                write.write_id,
                write.retried,
                write.expires_ms,
            )
            record = held.update(write.context, sibling)
        encoded = encode_record(record)
        self._put(partition, key, record, encoded, hinted_for, on_commit)
        return Written(record, encoded, _seen(write.context, sibling))

    def merge(
        self,
        partition: int,
        key: bytes,
        encoded: bytes,
        *,
        hinted_for: bytes | None,
        on_commit: OnCommit,
    ) -> None:
        """Merge a record from elsewhere into the copy, or into the hint for ``hinted_for``.

        ``on_commit`` is told when the result is committed, also where nothing had to change
        (what is acknowledged must be committed). Raises `ProtocolError` at no record, and
        what the store raises.
        """
        if hinted_for is not None:
            self._put(partition, key, decode_record(encoded), encoded, hinted_for, on_commit)
            return
        held = self._copy_or_nothing(partition, key)
        if held == encoded:
            self._store.submit((), on_commit, durable=True)
            return
        record = decode_record(encoded)
        if held is not None:
            merged = decode_record(held).merge(record)
            if merged != record:
                encoded = encode_record(merged)
        self._store.submit((Change(Space.RECORDS, partition, key, encoded),), on_commit)

    def _put(
        self,
        partition: int,
        key: bytes,
        record: Record,
        encoded: bytes,
        hinted_for: bytes | None,
        on_commit: OnCommit,
    ) -> None:
        if hinted_for is None:
            change = Change(Space.RECORDS, partition, key, encoded)
        else:
            held = self._hint_or_nothing(partition, key)
            hint = (
                Hint((hinted_for,), encoded, self._wall_ms())
                if held is None
                else held.merged(record, hinted_for)
            )
            self._may_hold_hints = True
            change = Change(Space.HINTS, partition, key, encode_hint(hint))
        self._store.submit((change,), on_commit)

    def _refuse_too_many(self, held: Record, write: Write) -> None:
        """Before the dot is minted: one that is not stored would cost its copy a new life."""
        if write.value is None or len(held.siblings) < SIBLINGS_MAX:
            return
        count = held.writes_beside(write.context)
        if count > SIBLINGS_MAX:
            raise TooManySiblings(
                f"this put would leave {count} siblings, at most {SIBLINGS_MAX} are allowed:"
                " get the key, merge its values, and put the result with the context",
                count=count,
                limit=SIBLINGS_MAX,
            )

    def _known(self, partition: int, key: bytes) -> Record:
        """Copy and hint merged; a damaged copy counts as lost, so its actor is not used on."""
        copy = self._copy_or_nothing(partition, key)
        record = EMPTY if copy is None else decode_record(copy)
        hint = self._hint_or_nothing(partition, key)
        return record if hint is None else record.merge(decode_record(hint.record))

    def _copy_or_nothing(self, partition: int, key: bytes) -> bytes | None:
        try:
            return self.get(partition, key)
        except Damaged:
            return None

    def _hint_or_nothing(self, partition: int, key: bytes) -> Hint | None:
        try:
            return self.get_hint(partition, key)
        except Damaged:
            return None

    # --- failures ------------------------------------------------------------------------------

    def commit_failed(self) -> None:
        """Records with our latest dots may have left, and are not stored here: start anew."""
        self._minter.draw_boot()

    def statistics(self) -> dict[str, int]:
        """Sizes, for the metrics page."""
        return self._minter.statistics()

    def _check(self) -> None:
        self._minter._check()


def _seen(context: Context, sibling: Sibling | None) -> Context:
    """What the client has seen once its write is done: what it had seen, and its own write.

    Not the whole record: a sibling that the client never saw must survive its next put. A
    write that was superseded meanwhile adds nothing.
    """
    return context if sibling is None else context.with_write(sibling)
