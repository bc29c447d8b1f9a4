"""A member's part in a proof: what is on its disk of some keys, and whether that changed since.

A proof speaks of committed and synced state alone. From the moment it is asked for, its keys
are watched: a copy or a hint that is stored of one of them breaks the proof for that key. So
`still_stands`, some time later, says of the whole time between and not of two moments.

Knows nothing of the ring, of other nodes or of messages. Of each asking node the last proof
alone is watched, so what is watched is bounded by the members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from dynamo_py.causality import decode_record
from dynamo_py.errors import Damaged, StorageError
from dynamo_py.replica.forgettable import is_gone_at
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.replica.hints import Hints
from dynamo_py.replica.store import Store
from dynamo_py.storage.engine import Space

KEYS_MAX = 200
"""Keys of one proof: some milliseconds of reading."""

HINTED = "keeps hints for them"
CHANGING = "is just storing them"
DAMAGED = "has damaged records of them"

ReadCommitted = Callable[[Space, int, bytes], bytes | None]
OnShown = Callable[["list[Seen] | StorageError"], None]


class Seen(NamedTuple):
    """What is on disk of one key. ``digest`` 0: no copy; ``obstacle``: why this shows nothing."""

    digest: int
    is_gone: bool
    obstacle: str = ""


@dataclass(slots=True)
class _Watch:
    number: int
    partition: int
    keys: tuple[bytes, ...]
    changed: dict[bytes, None] = field(default_factory=dict)


class Proofs:
    """The proofs that this node has given. Belongs to the event loop's thread."""

    def __init__(
        self,
        store: Store,
        hints: Hints,
        read_committed: ReadCommitted,
        *,
        wall_ms: Callable[[], int],
    ) -> None:
        """``read_committed`` reads a row without what is pending; raises `Damaged`."""
        self._store = store
        self._hints = hints
        self._read_committed = read_committed
        self._wall_ms = wall_ms
        self._watches: dict[bytes, _Watch] = {}
        self._watched: dict[tuple[int, bytes], int] = {}
        """By how many proofs each key is watched."""
        hints.on_kept = self.note

    def note(self, partition: int, key: bytes) -> None:
        """A copy or a hint of the key was stored, or is about to be."""
        if self._watched and (partition, key) in self._watched:
            for watch in self._watches.values():
                if watch.partition == partition and key in watch.keys:
                    watch.changed[key] = None

    def show(
        self,
        walker: bytes,
        number: int,
        partition: int,
        keys: Sequence[bytes],
        *,
        is_primary: bool,
        on_shown: OnShown,
    ) -> None:
        """Tell ``on_shown`` what is on disk of ``keys``, and watch them. Raises `StorageError`.

        A damaged copy is no proof of a primary's; another node never gets it back.
        """
        watch = _Watch(number, partition, tuple(keys))
        self._replace(walker, watch)

        def on_commit(error: StorageError | None) -> None:
            if error is not None:
                on_shown(error)
            else:
                # All that is applied now is on disk: no later batch has begun.
                on_shown([self._seen(watch, key, is_primary=is_primary) for key in keys])

        self._store.submit((), on_commit, durable=True)

    def _seen(self, watch: _Watch, key: bytes, *, is_primary: bool) -> Seen:
        partition = watch.partition
        try:
            copy = self._read_committed(Space.RECORDS, partition, key)
            pending = self._store.get(Space.RECORDS, partition, key)
        except Damaged:
            return Seen(0, True, DAMAGED if is_primary else "")
        if self._has_hint(partition, key):
            return Seen(0, False, HINTED)
        if pending != copy or key in watch.changed:
            return Seen(0, False, CHANGING)
        if copy is None:
            return Seen(0, True)
        return Seen(digest_of(key, copy), is_gone_at(decode_record(copy), self._wall_ms()))

    def _has_hint(self, partition: int, key: bytes) -> bool:
        """On disk, or about to be. One that cannot be read is lost, and comes back from nowhere."""
        if self._hints.get_or_nothing(partition, key) is not None:
            return True
        try:
            return self._read_committed(Space.HINTS, partition, key) is not None
        except Damaged:
            return False

    def still_stands(self, walker: bytes, number: int) -> list[int] | None:
        """The indices of the keys of which something was stored since; None: no such proof."""
        watch = self._watches.get(walker)
        if watch is None or watch.number != number:
            return None
        return [index for index, key in enumerate(watch.keys) if key in watch.changed]

    def _replace(self, walker: bytes, watch: _Watch) -> None:
        before = self._watches.get(walker)
        if before is not None:
            for key in before.keys:
                self._count(before.partition, key, -1)
        self._watches[walker] = watch
        for key in watch.keys:
            self._count(watch.partition, key, 1)

    def _count(self, partition: int, key: bytes, change: int) -> None:
        left = self._watched.get((partition, key), 0) + change
        if left:
            self._watched[partition, key] = left
        else:
            del self._watched[partition, key]

    def statistics(self) -> dict[str, int]:
        """Keys that are watched."""
        return {"watched": len(self._watched)}

    def _check(self) -> None:
        keys = [(w.partition, key) for w in self._watches.values() for key in w.keys]
        assert sorted(set(keys)) == sorted(self._watched)
        assert len(keys) == sum(self._watched.values())
