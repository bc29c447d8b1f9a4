"""A store that can be damaged, held up and made to refuse, and a replica on it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from dynamo_py.causality import HybridClock, Minter
from dynamo_py.errors import Damaged, DynamoError, StorageError
from dynamo_py.replica.replica import Replica
from dynamo_py.replica.store import OnCommit
from dynamo_py.storage.engine import Address, Change, EngineStats, Scanned, Space


class FakeStore:
    """The Protocol `Store` over a dictionary. Commits at once, unless ``is_held``."""

    def __init__(self) -> None:
        self.rows: dict[Address, bytes] = {}
        self.damaged: set[Address] = set()
        self.is_held = False
        self.refusal: DynamoError | None = None
        self.submissions = 0
        self._waiting: list[OnCommit] = []

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        address = (space, partition, key)
        if address in self.damaged:
            raise Damaged("a row fails its checksum")
        return self.rows.get(address)

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        keys = sorted(
            key for s, p, key in self.rows if (s, p) == (space, partition) and key > start
        )
        page = keys[:limit]
        is_bad = {key: (space, partition, key) in self.damaged for key in page}
        return Scanned(
            tuple((k, self.rows[space, partition, k]) for k in page if not is_bad[k]),
            tuple(k for k in page if is_bad[k]),
            page[-1] if len(keys) > limit else None,
        )

    def is_empty(self, space: Space) -> bool:
        return not any(address[0] == space for address in self.rows)

    def stats(self) -> EngineStats:
        sizes = [(a[0], len(a[2]) + len(value)) for a, value in self.rows.items()]
        hints = [size for space, size in sizes if space is Space.HINTS]
        records = [size for space, size in sizes if space is Space.RECORDS]
        return EngineStats(len(records), len(hints), sum(size for _, size in sizes), sum(hints))

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.submissions += 1
        for change in changes:
            address = (change.space, change.partition, change.key)
            self.damaged.discard(address)
            if change.value is None:
                self.rows.pop(address, None)
            else:
                self.rows[address] = change.value
        self._waiting.append(on_commit)
        if not self.is_held:
            self.commit()

    def commit(self, error: StorageError | None = None) -> None:
        """Tell all that wait."""
        waiting, self._waiting = self._waiting, []
        for on_commit in waiting:
            on_commit(error)

    def damage(self, space: Space, partition: int, key: bytes) -> None:
        """Let the row fail its checksum until it is written again."""
        assert (space, partition, key) in self.rows
        self.damaged.add((space, partition, key))


class Node:
    """A replica with all that it was given."""

    def __init__(self, seed: int) -> None:
        self.now_ms = 1_700_000_000_000
        self.store = FakeStore()
        self.damaged_partitions: list[int] = []
        self.replica = Replica(
            self.store,
            Minter(random.Random(seed)),
            HybridClock(lambda: self.now_ms),
            wall_ms=lambda: self.now_ms,
            on_damage=self.damaged_partitions.append,
        )


@pytest.fixture(scope="session")
def make_node() -> Callable[..., Node]:
    """Makes replicas, each with a store of its own."""
    return Node


@pytest.fixture
def node() -> Node:
    return Node(1)
