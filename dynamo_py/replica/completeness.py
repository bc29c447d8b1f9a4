"""Which of this node's copies may count as votes in reads: the durable fact ``complete``.

A copy is complete when it has everything that its partition's replicas were ever
acknowledged for. That is earned, by an exchange with every source that held the partition
before, and it is lost with the records. An incomplete copy stores and answers, and says so.

What is stored here may itself be old, in a directory that was rolled back. While that is not
ruled out all copies are in *doubt*, and none of them votes.

Knows nothing of the ring: sources are node ids that the caller names. The fact is a row of
the store beside the records, so that what wipes or rolls back the one does so to the other.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import msgspec

from dynamo_py.errors import Damaged, DynamoError, StorageError
from dynamo_py.replica.store import OnCommit, Store
from dynamo_py.storage.engine import Change, Space

_KEY = b"complete"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[bytes, ...])


class Completeness:
    """For each partition held here, the sources that are still to be exchanged with."""

    def __init__(self, store: Store, partitions: int) -> None:
        self._store = store
        self._missing: dict[int, tuple[bytes, ...]] = {}
        self.is_in_doubt = False
        """Whether what the rows say is not to be believed yet; for `doubt` and `confirm`."""
        for partition in range(partitions):
            sources = _stored_sources(store, partition)
            if sources is not None:
                self._missing[partition] = sources

    def is_complete(self, partition: int) -> bool:
        """Whether this node's copy of ``partition`` may vote."""
        return not self.is_in_doubt and self._missing.get(partition, _UNKNOWN) == ()

    def is_held(self, partition: int) -> bool:
        """Whether anything is known of the partition here: complete, or being completed."""
        return partition in self._missing

    def sources(self, partition: int) -> tuple[bytes, ...]:
        """Whom the copy has still to be exchanged with."""
        return self._missing.get(partition, ())

    def held(self) -> list[int]:
        """The partitions that are held, complete or not."""
        return sorted(self._missing)

    def incomplete(self) -> list[int]:
        """The partitions that are being completed."""
        return sorted(p for p, sources in self._missing.items() if sources)

    def voteless(self) -> int:
        """How many of the partitions held here may not vote."""
        return len(self._missing) if self.is_in_doubt else len(self.incomplete())

    def doubt(self) -> None:
        """No copy may vote until `confirm`, whatever is known of it."""
        self.is_in_doubt = True

    def confirm(self) -> None:
        """What is known of each copy is true."""
        self.is_in_doubt = False

    def begin(self, partition: int, sources: Iterable[bytes]) -> None:
        """Hold ``partition`` from now on; it is complete once all ``sources`` are done."""
        self._missing[partition] = tuple(sorted(set(sources)))
        self._keep(_row(partition, self._missing[partition]))

    def done(self, partition: int, source: bytes, on_commit: OnCommit) -> None:
        """The exchange with ``source`` is finished; it counts once all that came is committed.

        A failed commit takes with it what the source gave, so nothing is known before.
        """
        before = self.sources(partition)
        remaining = tuple(s for s in before if s != source)

        def note(error: StorageError | None) -> None:
            # Not where the copy has lost something since, and began anew.
            if error is None and self._missing.get(partition) is before:
                self._missing[partition] = remaining
            on_commit(error)

        self._store.submit((_row(partition, remaining),), note)

    def drop(self, partition: int) -> None:
        """The partition is not held here any more."""
        if self._missing.pop(partition, None) is not None:
            self._keep(Change(Space.META, partition, _KEY, None))

    def _keep(self, change: Change) -> None:
        """Store what was lost or left. A store that refuses must not keep it from being so.

        Nothing false can come of the old row: this node knows of the change again after a
        restart, by the table, which is not stored either then, or by the damage.
        """
        with suppress(DynamoError):
            self._store.submit((change,), _ignore)

    def statistics(self) -> dict[str, int]:
        """How many partitions are held, and how many of them may vote."""
        held = len(self._missing)
        return {"held": held, "complete": held - self.voteless()}


_UNKNOWN = (b"",)


def _row(partition: int, sources: tuple[bytes, ...]) -> Change:
    return Change(Space.META, partition, _KEY, _encode(sources))


def _stored_sources(store: Store, partition: int) -> tuple[bytes, ...] | None:
    """What the row says; None where there is none, or none that can be trusted."""
    try:
        row = store.get(Space.META, partition, _KEY)
        return None if row is None else _decoder.decode(row)
    except (Damaged, msgspec.MsgspecError):
        return None


def _ignore(error: object) -> None:
    """A commit that fails is told to the node by the committer; there is nothing to add."""
