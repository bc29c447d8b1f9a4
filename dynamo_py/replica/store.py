"""What a replica stores into: the part of `dynamo_py.storage.committer.Committer` that it uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from dynamo_py.errors import StorageError
from dynamo_py.storage.engine import Change, EngineStats, Scanned, Space

OnCommit: TypeAlias = Callable[[StorageError | None], None]
"""Told once: None when a change is committed, else why it is not."""


class Store(Protocol):
    """Rows, pending ones included; changes are shown at once and committed later."""

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        """The value, pending changes included; raises `Damaged`."""
        ...

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        """A page of rows in key order, after ``start``."""
        ...

    def is_empty(self, space: Space) -> bool:
        """Whether the space has no row, pending ones counted."""
        ...

    def stats(self) -> EngineStats:
        """How much is stored, of what is committed."""
        ...

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        """Take the changes; ``on_commit`` is told when they are committed."""
        ...
