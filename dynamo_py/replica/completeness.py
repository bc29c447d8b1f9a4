"""Which of this node's copies may count as votes in reads: the durable fact ``complete``.

A copy is complete when it has everything that its partition's replicas were ever
acknowledged for. That is earned, by an exchange with every source that held the partition
before, and it is lost with the records. An incomplete copy stores and answers, and says so.

Knows nothing of the ring: sources are node ids that the caller names. The fact is a row of
the store beside the records, so that what wipes or rolls back the one does so to the other.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dynamo_py.replica.replica import OnCommit, Store
from dynamo_py.storage.engine import Change, Space

_KEY = b"complete"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[bytes, ...])


class Completeness:
    """For each partition held here, the sources that are still to be exchanged with."""

    def __init__(self, store: Store, partitions: int) -> None:
        self._store = store
        self._missing: dict[int, tuple[bytes, ...]] = {}
        for partition in range(partitions):
            row = store.get(Space.META, partition, _KEY)
            if row is not None:
                self._missing[partition] = _decoder.decode(row)

    def is_complete(self, partition: int) -> bool:
        """Whether this node's copy of ``partition`` may vote."""
        return self._missing.get(partition, _UNKNOWN) == ()

    def is_held(self, partition: int) -> bool:
        """Whether anything is known of the partition here: complete, or being completed."""
        return partition in self._missing

    def sources(self, partition: int) -> tuple[bytes, ...]:
        """Whom the copy has still to be exchanged with."""
        return self._missing.get(partition, ())

    def incomplete(self) -> list[int]:
        """The partitions that are being completed."""
        return sorted(p for p, sources in self._missing.items() if sources)

    def begin(self, partition: int, sources: Iterable[bytes]) -> None:
        """Hold ``partition`` from now on; it is complete once all ``sources`` are done."""
        self._set(partition, tuple(sorted(set(sources))), _ignore)

    def done(self, partition: int, source: bytes, on_commit: OnCommit) -> None:
        """The exchange with ``source`` is finished, and what came of it committed."""
        remaining = tuple(s for s in self.sources(partition) if s != source)
        self._set(partition, remaining, on_commit)

    def drop(self, partition: int) -> None:
        """The partition is not held here any more."""
        if self._missing.pop(partition, None) is not None:
            self._store.submit((Change(Space.META, partition, _KEY, None),), _ignore)

    def _set(self, partition: int, sources: tuple[bytes, ...], on_commit: OnCommit) -> None:
        self._missing[partition] = sources
        change = Change(Space.META, partition, _KEY, _encode(sources))
        self._store.submit((change,), on_commit)

    def statistics(self) -> dict[str, int]:
        """How many partitions are held, and how many of them may vote."""
        complete = sum(1 for sources in self._missing.values() if not sources)
        return {"held": len(self._missing), "complete": complete}


_UNKNOWN = (b"",)


def _ignore(error: object) -> None:
    """A commit that fails is told to the node by the committer; there is nothing to add."""
