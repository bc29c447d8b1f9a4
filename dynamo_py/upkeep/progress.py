"""How far this node's store has come: a number that grows with each batch, over all its lives.

It is the store's own count of batches above a *base*. After a rollback the base is raised, so
that the number goes on above all that was ever told: a second rollback, to a copy between the
two, is noticed as well. The base is a row of the store, and so as old as the rest of it.

Beside it stands, while the store is in doubt, how far it had come when the doubt began: what
it takes in meanwhile must not let an old store pass for a new one at the next start.

Knows nothing of other nodes, nor of how what they remember is learned.
"""

from __future__ import annotations

import msgspec

from dynamo_py.errors import Damaged, DynamoError, StorageError
from dynamo_py.replica.store import OnCommit, Store
from dynamo_py.storage.engine import Change, Space

_KEY = b"progress"


class _Row(msgspec.Struct, frozen=True, array_like=True):
    """What is stored."""

    base: int = 0
    doubted: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(_Row)


class OwnProgress:
    """The progress of this node's store, read when it was opened and kept up since.

    Made before anything is submitted: what is committed then is what was found.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._row = _stored(store)
        doubted = self._row.doubted
        self.opened = self.now if doubted is None else doubted
        """What the store had when it was opened; where that was in doubt already, when it began."""

    @property
    def now(self) -> int:
        """How far the store has come; of what is committed alone."""
        return self._row.base + self._store.stats().sequence

    def doubt(self) -> None:
        """Write down that ``opened`` is in doubt. To be called before anything is submitted.

        Nothing where it is written already. Raises what the store raises: then it takes
        nothing else either.
        """
        if self._row.doubted is not None:
            return
        before = self._row

        def note(error: StorageError | None) -> None:
            if error is not None:
                self._row = before

        doubted = _Row(before.base, self.opened)
        self._row = doubted
        try:
            self._store.submit((self._change(doubted),), note, durable=True)
        except DynamoError:
            self._row = before
            raise

    def settle(self, remembered: int, on_commit: OnCommit) -> None:
        """The doubt is over; what is told from now on is above ``remembered``.

        ``on_commit`` is told when that, and all that was submitted before, is on disk. Until
        then it is not so. Raises what the store raises.
        """
        base = max(self._row.base, remembered + 1 - self._store.stats().sequence)
        settled = _Row(base)

        def note(error: StorageError | None) -> None:
            if error is None:
                self._row = settled
            on_commit(error)

        self._store.submit((self._change(settled),), note, durable=True)

    @staticmethod
    def _change(row: _Row) -> Change:
        return Change(Space.META, 0, _KEY, _encode(row))


def _stored(store: Store) -> _Row:
    """What the row says. One that cannot be trusted says nothing: then the store seems old."""
    try:
        row = store.get(Space.META, 0, _KEY)
        return _Row() if row is None else _decoder.decode(row)
    except (Damaged, msgspec.MsgspecError):
        return _Row(doubted=0)
