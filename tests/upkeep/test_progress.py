"""How far a store has come, over its lives, its rollbacks, and starts that end in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.errors import Damaged, DiskFull, StorageError
from dynamo_py.replica.store import OnCommit
from dynamo_py.storage.engine import Change, EngineStats, Scanned, Space
from dynamo_py.upkeep.progress import OwnProgress

Rows = dict[bytes, bytes | None]


@dataclass
class CountedStore:
    """Rows of one space, and how many batches have made them."""

    rows: Rows = field(default_factory=dict)
    sequence: int = 0
    refusal: StorageError | None = None
    failure: StorageError | None = None
    is_damaged: bool = False

    def get(self, space: Space, partition: int, key: bytes) -> bytes | None:
        if self.is_damaged:
            raise Damaged("a row fails its checksum")
        return self.rows.get(key)

    def scan(self, space: Space, partition: int, start: bytes, limit: int) -> Scanned:
        raise NotImplementedError

    def is_empty(self, space: Space) -> bool:
        raise NotImplementedError

    def submit(
        self, changes: Sequence[Change], on_commit: OnCommit, *, durable: bool = False
    ) -> None:
        assert durable
        if self.refusal is not None:
            raise self.refusal
        if self.failure is None:
            self.rows |= {change.key: change.value for change in changes}
            self.sequence += 1
        on_commit(self.failure)

    def stats(self) -> EngineStats:
        return EngineStats(0, 0, 0, sequence=self.sequence)

    def write(self, batches: int) -> None:
        """Batches of others."""
        self.sequence += batches

    def copied(self) -> CountedStore:
        return CountedStore(dict(self.rows), self.sequence)


def settle(progress: OwnProgress, remembered: int) -> list[StorageError | None]:
    told: list[StorageError | None] = []
    progress.settle(remembered, told.append)
    return told


def test_progress_grows_with_each_batch_and_is_there_after_a_restart():
    store = CountedStore()
    progress = OwnProgress(store)
    assert (progress.opened, progress.now) == (0, 0)
    store.write(5)
    assert (progress.opened, progress.now) == (0, 5)
    assert OwnProgress(store).opened == 5


def test_once_the_doubt_is_over_progress_is_above_all_that_is_remembered():
    store = CountedStore(sequence=100)
    progress = OwnProgress(store)
    progress.doubt()
    assert settle(progress, 300) == [None]
    assert progress.now > 300
    store.write(7)
    again = OwnProgress(store)
    assert again.opened == progress.now > 307


def test_a_store_that_nobody_remembers_more_of_goes_on_as_it_did():
    store = CountedStore(sequence=100)
    progress = OwnProgress(store)
    progress.doubt()
    settle(progress, 0)
    assert progress.now == 102, "the two rows themselves"


def test_what_is_taken_in_while_in_doubt_makes_no_old_store_a_new_one():
    store = CountedStore(sequence=100)
    OwnProgress(store).doubt()
    store.write(1000)  # The process ends before anybody has said what is remembered.
    again = OwnProgress(store)
    assert again.opened == 100
    again.doubt()
    assert store.sequence == 1101, "it is written down once"
    settle(again, 300)
    assert OwnProgress(store).opened > 1100


def test_a_doubt_that_could_not_be_stored_is_stored_when_it_is_told_again():
    store = CountedStore(sequence=100)
    progress = OwnProgress(store)
    store.failure = DiskFull("no room")
    progress.doubt()
    store.failure = None
    store.write(1000)
    progress.doubt()
    assert OwnProgress(store).opened == 100


def test_a_doubt_that_is_refused_is_told_to_the_caller():
    store = CountedStore(refusal=DiskFull("no room"))
    with pytest.raises(DiskFull):
        OwnProgress(store).doubt()


def test_while_the_end_of_the_doubt_is_not_on_disk_it_lasts():
    store = CountedStore(sequence=100)
    progress = OwnProgress(store)
    progress.doubt()
    store.failure = DiskFull("no room")
    assert settle(progress, 300) == [store.failure]
    assert progress.now < 300
    store.failure = None
    assert OwnProgress(store).opened == 100
    assert settle(progress, 300) == [None]
    assert progress.now > 300


@pytest.mark.parametrize("is_damaged", [True, False])
def test_a_store_whose_row_cannot_be_read_seems_old(is_damaged):
    store = CountedStore({b"progress": b"garbage"}, 100, is_damaged=is_damaged)
    progress = OwnProgress(store)
    assert progress.opened == 0
    store.is_damaged = False
    settle(progress, 300)
    assert OwnProgress(store).opened > 300


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), max_size=12))
def test_every_copy_but_the_newest_is_older_than_what_is_remembered(steps):
    """Whatever was copied, at whatever time, and rolled back to however often."""
    store = CountedStore()
    copies = []
    for which, batches in steps:
        progress = OwnProgress(store)
        progress.doubt()
        settle(progress, remembered := 0 if not copies else copies[-1][1])
        assert progress.now > remembered
        store.write(batches)
        copies.append((store.copied(), progress.now))
        store.write(1)
        copies.append((store.copied(), progress.now))
        told = progress.now
        for copy, _ in copies[:-1]:
            assert OwnProgress(copy.copied()).opened < told
        store = copies[-1 - min(which, len(copies) - 1)][0].copied()
