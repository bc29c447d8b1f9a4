"""The simulator's engine: what crashes and failures leave of it, held against a list of batches."""

from __future__ import annotations

import dataclasses
import random
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from dynamo_py.config import NodeConfig
from dynamo_py.errors import Damaged, DiskFull, StorageError, SyncFailed
from dynamo_py.net.world import real_environment
from dynamo_py.storage.engine import Change, Durability, Engine, Space
from dynamo_py.storage.node_storage import DirectoryStorage, open_storage
from dynamo_py.testing.clocks import SimulatedClock
from dynamo_py.testing.disk import Disk, Snapshot
from dynamo_py.testing.engine import SimulatedEngine
from dynamo_py.testing.trace import Trace

PATH = Path("/store")
DURABILITIES: tuple[Durability, ...] = ("commit", "interval", "none")
Rows = dict[tuple[Space, int, bytes], bytes]


def new_disk(seed: int = 1) -> Disk:
    return Disk(random.Random(seed), Trace(lambda: 0.0), name="a")


def opened(disk: Disk, durability: Durability = "commit") -> SimulatedEngine:
    return SimulatedEngine(disk.boot(), PATH, durability)


def put(key: bytes, value: bytes, partition: int = 1) -> Change:
    return Change(Space.RECORDS, partition, key, value)


def value_of(engine: Engine, key: bytes) -> bytes | None:
    return engine.get(Space.RECORDS, 1, key)


def rows_of(engine: Engine) -> Rows:
    return {
        (space, partition, key): value
        for space in Space
        for partition in range(3)
        for key, value in engine.scan(space, partition, b"", 1000).rows
    }


# --- crashes ------------------------------------------------------------------------------------


def test_what_was_committed_survives_every_crash():
    for seed in range(20):
        disk = new_disk(seed)
        engine = opened(disk)
        engine.apply([put(b"a", b"1"), put(b"b", b"2")])
        engine.apply([put(b"a", b"3"), Change(Space.RECORDS, 1, b"b", None)])
        disk.crash(lose="some" if seed % 2 else "all")
        engine = opened(disk)
        assert rows_of(engine) == {(Space.RECORDS, 1, b"a"): b"3"}
        assert engine.stats().bytes == 2


@pytest.mark.parametrize("durability", ["interval", "none"])
def test_what_was_not_synced_is_lost_from_the_last_batch_on(durability: Durability):
    found = set()
    for seed in range(50):
        disk = new_disk(seed)
        engine = opened(disk, durability)
        engine.apply([put(b"a", b"synced")])
        engine.sync()
        for value in (b"1", b"2"):
            engine.apply([put(b"a", value), put(b"b", value)])
        disk.crash(lose="some")
        engine = opened(disk, durability)
        found.add((value_of(engine, b"a"), value_of(engine, b"b")))
    assert found == {(b"synced", None), (b"1", b"1"), (b"2", b"2")}


@pytest.mark.parametrize("durability", ["interval", "none"])
def test_closing_syncs_and_killing_does_not(durability: Durability):
    disk = new_disk()
    files = disk.boot()
    engine = SimulatedEngine(files, PATH, durability)
    engine.apply([put(b"a", b"1")])
    engine.close()
    files.close()
    files = disk.boot()
    engine = SimulatedEngine(files, PATH, durability)
    engine.apply([put(b"a", b"2")])
    files.close()
    before = disk.snapshot()
    assert value_of(opened(disk, durability), b"a") == b"2"  # the kernel still had it
    disk.crash(lose="all")
    disk.roll_back(before)
    assert value_of(opened(disk, durability), b"a") == b"1"


def test_an_engine_of_a_process_that_has_crashed_changes_nothing():
    disk = new_disk()
    late = opened(disk, "interval")
    late.apply([put(b"a", b"1")])
    late.sync()
    late.apply([put(b"a", b"lost")])
    disk.crash(lose="all")
    engine = opened(disk, "interval")
    disk.full = True
    late.apply([put(b"a", b"late")])
    late.sync()
    late.checkpoint()
    assert not late.flip_row(Space.RECORDS, 1, b"a")
    assert value_of(late, b"a") == b"lost"
    late.close()
    late._check()
    engine._check()
    disk.full = False
    assert value_of(engine, b"a") == b"1"
    engine.apply([put(b"a", b"2")])
    engine.sync()
    disk.crash(lose="all")
    assert value_of(opened(disk), b"a") == b"2"
    assert disk.statistics.late_calls == 4


def test_a_file_is_made_once_and_its_name_is_not_lost():
    disk = new_disk()
    opened(disk)
    disk.crash(lose="all")
    assert disk.boot().names(PATH.parent) == [PATH.name]


def test_the_production_code_opens_a_storage_over_the_disk():
    disk = new_disk()
    config = NodeConfig(name="a", data_dir="/srv/a")
    world = dataclasses.replace(
        real_environment(), clock=SimulatedClock(lambda: 0.0), random=random.Random(1)
    )

    def stored() -> AbstractContextManager[DirectoryStorage]:
        files = disk.boot()
        return open_storage(config, world, files=files, open_engine=partial(SimulatedEngine, files))

    with stored() as storage:
        node_id = storage.node_id
        storage.join_cluster(bytes(16), node_id)
        storage.engine.apply([put(b"a", b"1")])
        disk.crash(lose="all")
    with stored() as storage:
        assert (storage.node_id, storage.cluster_id) == (node_id, bytes(16))
        assert value_of(storage.engine, b"a") == b"1"


# --- failures -----------------------------------------------------------------------------------


def test_a_batch_whose_sync_failed_is_not_read_and_may_surface_later():
    found = set()
    for seed in range(30):
        disk = new_disk(seed)
        engine = opened(disk)
        engine.apply([put(b"a", b"1")])
        disk.fail_next_sync()
        with pytest.raises(SyncFailed, match="restart"):
            engine.apply([put(b"a", b"2")])
        assert value_of(engine, b"a") == b"1"
        engine.apply([put(b"b", b"not proven")])
        disk.crash(lose="some")
        engine = opened(disk)
        found.add((value_of(engine, b"a"), value_of(engine, b"b")))
    assert found == {(b"1", None), (b"2", None), (b"2", b"not proven")}


def test_what_was_applied_before_a_failed_sync_is_still_read():
    disk = new_disk()
    engine = opened(disk, "interval")
    engine.apply([put(b"a", b"1")])
    disk.fail_next_sync()
    with pytest.raises(SyncFailed):
        engine.sync()
    engine.sync()
    assert value_of(engine, b"a") == b"1"
    disk.crash(lose="all")
    assert value_of(opened(disk), b"a") is None


def test_nothing_is_applied_on_a_full_disk():
    disk = new_disk()
    engine = opened(disk, "interval")
    engine.apply([put(b"a", b"1")])
    disk.full = True
    with pytest.raises(DiskFull, match="free some space"):
        engine.apply([put(b"a", b"2")])
    with pytest.raises(DiskFull):
        engine.sync()
    assert value_of(engine, b"a") == b"1"
    disk.crash(lose="some")
    with pytest.raises(DiskFull):
        opened(disk)
    disk.crash(lose="all")
    disk.full = False
    engine = opened(disk)
    engine.apply([put(b"a", b"3")])
    assert value_of(engine, b"a") == b"3"


def test_a_file_of_something_else_is_refused():
    disk = new_disk()
    files = disk.boot()
    with files.writing(PATH) as file:
        file.write(b"letters")
    with pytest.raises(StorageError, match="could not be read"):
        SimulatedEngine(files, PATH)
    assert files.read(PATH) == b"letters"


# --- rot ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", DURABILITIES)
def test_a_rotten_row_is_told_until_it_is_written_again(durability: Durability):
    disk = new_disk()
    engine = opened(disk, durability)
    engine.apply([put(key, key) for key in (b"a", b"b", b"c")])
    engine.sync()
    assert engine.flip_row(Space.RECORDS, 1, b"b")
    assert not engine.flip_row(Space.RECORDS, 1, b"missing")
    for _ in range(2):  # before a crash, and after it
        with pytest.raises(Damaged, match="fails its checksum"):
            value_of(engine, b"b")
        with pytest.raises(Damaged):
            engine.get_many(Space.RECORDS, [(1, b"a"), (1, b"b")])
        page = engine.scan(Space.RECORDS, 1, b"", 2)
        assert (page.rows, page.damaged_keys, page.next_start) == (((b"a", b"a"),), (b"b",), b"b")
        assert engine.stats().records == 3
        disk.crash(lose="all")
        engine = opened(disk, durability)
    engine.apply([put(b"b", b"sound")])
    assert value_of(engine, b"b") == b"sound"
    engine.sync()
    disk.crash(lose="all")
    assert value_of(opened(disk, durability), b"b") == b"sound"


def test_a_sound_row_over_a_rotten_one_can_be_lost():
    disk = new_disk()
    engine = opened(disk, "none")
    engine.apply([put(b"a", b"1")])
    engine.sync()
    engine.flip_row(Space.RECORDS, 1, b"a")
    engine.apply([put(b"a", b"2")])
    assert value_of(engine, b"a") == b"2"
    disk.crash(lose="all")
    with pytest.raises(Damaged):
        value_of(opened(disk), b"a")


def test_a_row_can_rot_while_no_process_runs():
    disk = new_disk()
    engine = opened(disk)
    engine.apply([put(b"b", b"2"), put(b"a", b"1"), Change(Space.HINTS, 1, b"h", b"")])
    disk.crash(lose="all")
    (address, _) = disk.addresses(PATH, Space.RECORDS)
    assert address == (Space.RECORDS, 1, b"a")
    assert disk.flip_row(PATH, address)
    assert not disk.flip_row(PATH, (Space.RECORDS, 1, b"missing"))
    assert disk.addresses(Path("/missing"), Space.RECORDS) == []
    with pytest.raises(Damaged):
        value_of(opened(disk), b"a")


# --- anything, in any order ---------------------------------------------------------------------

keys = st.sampled_from([b"a", b"b", b"c"])
changes = st.builds(
    Change, st.sampled_from(Space), st.integers(0, 2), keys, st.none() | st.binary(max_size=2)
)
batches = st.lists(changes, min_size=1, max_size=3)
losses = st.sampled_from(["all", "some"])


@dataclass
class Submitted:
    """A batch since the last crash."""

    batch: list[Change]
    is_readable: bool = True
    is_synced: bool = False


def after(rows: Rows, submitted: list[Submitted]) -> Rows:
    rows = dict(rows)
    for each in submitted:
        for change in each.batch:
            address = (change.space, change.partition, change.key)
            if change.value is None:
                rows.pop(address, None)
            else:
                rows[address] = change.value
    return rows


class EngineAgainstBatches(RuleBasedStateMachine):
    """What is there after a crash is some prefix of the batches, with all that were synced."""

    @initialize(seed=st.integers(0, 2**32), durability=st.sampled_from(DURABILITIES))
    def boot(self, seed: int, durability: Durability) -> None:
        self.disk = new_disk(seed)
        self.durability = durability
        self.base: Rows = {}
        self.submitted: list[Submitted] = []
        self.is_failing = self.is_doubtful = False
        self.copy: tuple[Snapshot, Rows] | None = None
        self.late: list[SimulatedEngine] = []
        self.open()

    def open(self) -> None:
        """Whatever is there when an engine is opened is synced by it."""
        self.disk.full = self.is_failing = self.is_doubtful = False
        self.files = self.disk.boot()
        self.engine = SimulatedEngine(self.files, PATH, self.durability)
        self.base, self.submitted = rows_of(self.engine), []

    def synced(self) -> list[Submitted]:
        return [each for each in self.submitted if each.is_synced]

    def note_sync(self, *, failed: bool) -> None:
        self.is_doubtful |= failed
        if failed:
            self.is_failing = False
        if not self.is_doubtful:
            for each in self.submitted:
                each.is_synced = True

    @rule(batch=batches)
    def apply(self, batch: list[Change]) -> None:
        fails = self.is_failing and self.durability == "commit" and not self.disk.full
        try:
            self.engine.apply(batch)
        except DiskFull:
            assert self.disk.full
        except SyncFailed:
            assert fails
            self.submitted.append(Submitted(batch, is_readable=False))
            self.note_sync(failed=True)
        else:
            assert not fails
            assert not self.disk.full
            self.submitted.append(Submitted(batch))
            if self.durability == "commit":
                self.note_sync(failed=False)

    @precondition(lambda self: self.durability != "commit" and not self.disk.full)
    @rule()
    def sync(self) -> None:
        if self.is_failing:
            with pytest.raises(SyncFailed):
                self.engine.sync()
            self.note_sync(failed=True)
        else:
            self.engine.sync()
            self.note_sync(failed=False)

    @rule()
    def fail_next_sync(self) -> None:
        self.disk.fail_next_sync()
        self.is_failing = True

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        self.disk.full = full

    @rule(lose=losses)
    def crash(self, lose) -> None:
        self.disk.crash(lose=lose)
        self.late.append(self.engine)
        base, submitted, synced = self.base, self.submitted, self.synced()
        self.open()
        counts = range(len(synced), len(submitted) + 1) if lose == "some" else [len(synced)]
        assert self.base in [after(base, submitted[:count]) for count in counts]

    @rule()
    def kill(self) -> None:
        self.files.close()
        base, submitted, synced = self.base, self.submitted, self.synced()
        first = len(synced) if self.is_doubtful else len(submitted)
        self.open()
        counts = range(first, len(submitted) + 1)
        assert self.base in [after(base, submitted[:count]) for count in counts]

    @rule()
    def take_snapshot(self) -> None:
        self.copy = (self.disk.snapshot(), after(self.base, self.synced()))

    @precondition(lambda self: self.copy is not None)
    @rule(lose=losses)
    def roll_back(self, lose) -> None:
        assert self.copy is not None
        self.disk.crash(lose=lose)
        self.disk.roll_back(self.copy[0])
        self.open()
        assert self.base == self.copy[1]

    @precondition(lambda self: self.late)
    @rule(batch=batches)
    def call_late(self, batch: list[Change]) -> None:
        self.late[-1].apply(batch)
        self.late[-1].sync()

    @invariant()
    def the_readable_is_read(self) -> None:
        readable = [each for each in self.submitted if each.is_readable]
        assert rows_of(self.engine) == after(self.base, readable)
        self.engine._check()

    def teardown(self) -> None:
        self.crash("some")


def test_a_crash_leaves_a_prefix_of_the_batches_with_all_that_were_synced():
    run_state_machine_as_test(
        EngineAgainstBatches, settings=settings(max_examples=60, stateful_step_count=25)
    )
