"""How far each node's store had come when it last took part in a proof. On disk.

Once something was forgotten, a store that is older than its node's part in the proof may hold
what was forgotten, and nobody else could tell it from news. So every member remembers, before
anything is forgotten, how far each one's store had come; a node that comes back with less was
rolled back over a proof, and must not show its records to anyone.

Knows nothing of how a store's progress is counted, or of who asks.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dynamo_py.errors import Damaged, StorageError
from dynamo_py.replica.store import OnCommit, Store
from dynamo_py.storage.engine import Change, Space

_KEY = b"promises"
_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(dict[bytes, int])


class Promises:
    """What this node remembers of the others. A row that is damaged says nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sequences = _stored(store)
        self._is_stored = True
        """Whether the row has, or is about to have, all that is known."""

    def of(self, node: bytes) -> int:
        """How far ``node``'s store had come; 0: it took part in no proof that is known here."""
        return self._sequences.get(node, 0)

    def remember(self, sequences: Iterable[tuple[bytes, int]], on_commit: OnCommit) -> None:
        """Remember what is more than was known; ``on_commit`` is told once it is on disk.

        Raises what the store raises.
        """
        known = self._sequences
        news = {node: seen for node, seen in sequences if seen > known.get(node, 0)}
        if not news and self._is_stored:
            self._store.submit((), on_commit, durable=True)  # What is known may be pending yet.
            return
        known.update(news)
        self._is_stored = False

        def note(error: StorageError | None) -> None:
            self._is_stored = self._is_stored and error is None
            on_commit(error)

        row = _encode(dict(sorted(known.items())))
        self._store.submit((Change(Space.META, 0, _KEY, row),), note, durable=True)
        self._is_stored = True

    def statistics(self) -> dict[str, int]:
        """Of how many nodes something is remembered."""
        return {"nodes": len(self._sequences)}


def _stored(store: Store) -> dict[bytes, int]:
    try:
        row = store.get(Space.META, 0, _KEY)
        return {} if row is None else _decoder.decode(row)
    except (Damaged, msgspec.MsgspecError):
        return {}
