"""A store whose commits can be held up, failed or refused, for the state of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio

from dynamo_py.errors import Damaged, DynamoError, StorageError
from dynamo_py.replica.store import OnCommit
from dynamo_py.storage.engine import Address, Change, Scanned, Space


class HeldStore:
    """The Protocol `Store`. Rows are visible at once, and on disk when they are committed."""

    def __init__(self) -> None:
        self.visible: dict[Address, bytes | None] = {}
        self.on_disk: dict[Address, bytes | None] = {}
        self.is_held = False
        self.refusal: DynamoError | None = None
        self.damaged: set[Address] = set()
        self.submitted = trio.Event()
        self._waiting: list[tuple[Sequence[Change], OnCommit]] = []

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        if (space, partition, key) in self.damaged:
            raise Damaged("a row fails its checksum")
        return self.visible.get((space, partition, key))

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        raise NotImplementedError

    def is_empty(self, space: Space) -> bool:
        return not any(a[0] == space and v is not None for a, v in self.visible.items())

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        for change in changes:
            self.visible[change.space, change.partition, change.key] = change.value
        self._waiting.append((changes, on_commit))
        self.submitted.set()
        if not self.is_held:
            self.commit()

    def commit(self) -> None:
        """All that waits is on disk: tell."""
        waiting, self._waiting = self._waiting, []
        for changes, _ in waiting:
            for change in changes:
                self.on_disk[change.space, change.partition, change.key] = change.value
        for _, on_commit in waiting:
            on_commit(None)

    def fail(self, error: StorageError) -> None:
        """Nothing of what waits is on disk: tell, and forget it."""
        waiting, self._waiting = self._waiting, []
        self.visible = dict(self.on_disk)
        for _, on_commit in waiting:
            on_commit(error)

    def restarted(self) -> HeldStore:
        """The store as a new process finds it."""
        store = HeldStore()
        store.visible = dict(self.on_disk)
        store.on_disk = dict(self.on_disk)
        return store


@pytest.fixture
async def store() -> HeldStore:
    return HeldStore()
