"""What each engine must do, held against a dictionary. Runs on all of them alike."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from dynamo_py.storage.engine import SCAN_BYTES_MAX, Change, Durability, Engine, Space
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.storage.sqlite import SqliteEngine
from dynamo_py.testing.disk import Disk
from dynamo_py.testing.engine import SimulatedEngine
from dynamo_py.testing.trace import Trace

Factory = Callable[[Path], Engine]


def simulated(durability: Durability) -> Engine:
    """On a new disk each time."""
    disk = Disk(random.Random(1), Trace(lambda: 0.0), name="a")
    return SimulatedEngine(disk.boot(), Path("/store"), durability)


FACTORIES: dict[str, Factory] = {
    "memory": lambda path: MemoryEngine(),
    "sqlite, durability commit": lambda path: SqliteEngine(path / "store", "commit"),
    "sqlite, durability interval": lambda path: SqliteEngine(path / "store", "interval"),
    "sqlite, durability none": lambda path: SqliteEngine(path / "store", "none"),
    "simulated, durability commit": lambda path: simulated("commit"),
    "simulated, durability interval": lambda path: simulated("interval"),
    "simulated, durability none": lambda path: simulated("none"),
}


@pytest.fixture(params=list(FACTORIES.values()), ids=list(FACTORIES))
def factory(request: pytest.FixtureRequest) -> Factory:
    made: Factory = request.param
    return made


@pytest.fixture
def engine(factory: Factory, tmp_path: Path) -> Iterator[Engine]:
    with opened(factory, tmp_path) as made:
        yield made


@contextmanager
def opened(factory: Factory, path: Path) -> Iterator[Engine]:
    engine = factory(path)
    try:
        yield engine
    finally:
        engine.close()


def put(partition: int, key: bytes, value: bytes, space: Space = Space.RECORDS) -> Change:
    return Change(space, partition, key, value)


def remove(partition: int, key: bytes, space: Space = Space.RECORDS) -> Change:
    return Change(space, partition, key, None)


def test_a_new_engine_is_empty(engine: Engine):
    assert engine.get(Space.RECORDS, 0, b"k") is None
    assert engine.scan(Space.RECORDS, 0, b"", 10).rows == ()
    assert all(engine.is_empty(space) for space in Space)
    stats = engine.stats()
    assert (stats.records, stats.hints, stats.bytes, stats.hint_bytes) == (0, 0, 0, 0)


def test_what_was_applied_is_read(engine: Engine):
    engine.apply([put(1, b"a", b"one"), put(2, b"a", b"two"), put(1, b"b", b"")])
    assert engine.get(Space.RECORDS, 1, b"a") == b"one"
    assert engine.get(Space.RECORDS, 2, b"a") == b"two"
    assert engine.get(Space.RECORDS, 1, b"b") == b""
    assert engine.get(Space.HINTS, 1, b"a") is None


def test_the_last_change_of_a_row_counts(engine: Engine):
    engine.apply([put(1, b"a", b"first"), remove(1, b"a"), put(1, b"a", b"last")])
    engine.apply([put(1, b"b", b"first"), remove(1, b"b")])
    assert engine.get(Space.RECORDS, 1, b"a") == b"last"
    assert engine.get(Space.RECORDS, 1, b"b") is None
    assert engine.stats().records == 1


def test_an_empty_batch_and_a_removal_of_nothing_change_nothing(engine: Engine):
    engine.apply([])
    engine.apply([remove(1, b"a")])
    assert engine.is_empty(Space.RECORDS)


def test_many_are_read_in_the_order_asked_for(engine: Engine):
    engine.apply([put(1, b"a", b"1a"), put(2, b"b", b"2b")])
    wanted = [(2, b"b"), (1, b"missing"), (1, b"a"), (2, b"b")]
    assert engine.get_many(Space.RECORDS, wanted) == [b"2b", None, b"1a", b"2b"]
    assert engine.get_many(Space.RECORDS, []) == []


def test_a_scan_sees_one_partition_in_the_order_of_bytes(engine: Engine):
    keys = [b"\xff\xff", b"\x00", b"\xff", b"a", b"a\x00", b"\x00\x00"]
    engine.apply([put(7, key, key * 2) for key in keys])
    engine.apply([put(6, b"z", b""), put(8, b"a", b""), put(7, b"h", b"", Space.HINTS)])
    page = engine.scan(Space.RECORDS, 7, b"", 100)
    assert page.rows == tuple((key, key * 2) for key in sorted(keys))
    assert page.next_start is None
    assert page.damaged_keys == ()


def test_a_scan_goes_on_strictly_after_its_start(engine: Engine):
    keys = [b"%03d" % number for number in range(25)]
    engine.apply([put(1, key, b"v") for key in keys])
    pages, start = [], b""
    while True:
        page = engine.scan(Space.RECORDS, 1, start, 10)
        pages.append([key for key, _ in page.rows])
        if page.next_start is None:
            break
        start = page.next_start
    assert [len(page) for page in pages] == [10, 10, 5]
    assert [key for page in pages for key in page] == keys


def test_a_page_of_large_values_ends_early(engine: Engine):
    value = bytes(SCAN_BYTES_MAX // 2)
    engine.apply([put(1, key, value) for key in (b"a", b"b", b"c")])
    page = engine.scan(Space.RECORDS, 1, b"", 10)
    assert [key for key, _ in page.rows] == [b"a", b"b"]
    assert page.next_start == b"b"


def test_a_batch_larger_than_a_statement_is_stored_whole(engine: Engine):
    changes = [put(number % 5, b"%06d" % number, b"v" * (number % 9)) for number in range(2000)]
    engine.apply(changes)
    assert engine.stats().records == 2000
    engine.apply([remove(change.partition, change.key) for change in changes[:1500]])
    assert engine.stats().records == 500
    assert engine.get(Space.RECORDS, changes[1499].partition, changes[1499].key) is None
    last = changes[1999]
    assert engine.get(Space.RECORDS, last.partition, last.key) == last.value


def test_values_of_16_mib_and_keys_of_64_kib_fit(engine: Engine):
    key, value = b"k" * 65536, bytes(16 * 1024 * 1024)
    engine.apply([put(1, key, value)])
    assert engine.get(Space.RECORDS, 1, key) == value
    assert engine.stats().bytes == len(key) + len(value)


def test_stats_count_what_is_there_and_not_what_was_done(engine: Engine):
    engine.apply([put(1, b"a", b"123"), put(1, b"h", b"12345", Space.HINTS)])
    engine.apply([put(1, b"a", b"1"), put(3, b"m", b"", Space.META)])
    stats = engine.stats()
    assert (stats.records, stats.hints, stats.bytes, stats.hint_bytes) == (1, 1, 9, 6)
    engine.apply([remove(1, b"a"), remove(1, b"h", Space.HINTS)])
    assert engine.is_empty(Space.RECORDS)
    assert engine.is_empty(Space.HINTS)
    assert not engine.is_empty(Space.META)


def test_each_batch_is_counted_and_nothing_else(engine: Engine):
    before = engine.stats().sequence
    engine.apply([])
    engine.sync()
    engine.checkpoint()
    assert engine.stats().sequence == before
    engine.apply([put(1, b"a", b"1"), put(1, b"b", b"1")])
    engine.apply([put(1, b"a", b"1")])
    engine.apply([remove(1, b"nothing")])
    assert engine.stats().sequence == before + 3


def test_sync_and_checkpoint_lose_nothing(engine: Engine):
    engine.apply([put(1, b"a", b"1")])
    engine.sync()
    engine.checkpoint()
    engine.apply([put(1, b"b", b"2")])
    engine.checkpoint()
    engine.sync()
    assert engine.get_many(Space.RECORDS, [(1, b"a"), (1, b"b")]) == [b"1", b"2"]


Model = dict[tuple[Space, int, bytes], bytes]

spaces = st.sampled_from(Space)
partitions = st.integers(0, 2)
keys = st.sampled_from([b"\x00", b"a", b"a\x00", b"b", b"\xff", b"\xff\x00"])
starts = st.just(b"") | keys
changes = st.builds(Change, spaces, partitions, keys, st.none() | st.binary(max_size=8))


def machine_for(factory: Factory) -> type[RuleBasedStateMachine]:
    class EngineAgainstDictionary(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.directory = tempfile.TemporaryDirectory()
            self.engine = factory(Path(self.directory.name))
            self.model: Model = {}

        def teardown(self) -> None:
            self.engine.close()
            self.directory.cleanup()

        @rule(batch=st.lists(changes, max_size=12))
        def apply(self, batch: list[Change]) -> None:
            self.engine.apply(batch)
            for change in batch:
                address = (change.space, change.partition, change.key)
                if change.value is None:
                    self.model.pop(address, None)
                else:
                    self.model[address] = change.value

        @rule(space=spaces, partition=partitions, key=keys)
        def get(self, space: Space, partition: int, key: bytes) -> None:
            expected = self.model.get((space, partition, key))
            assert self.engine.get(space, partition, key) == expected

        @rule(
            space=spaces, partition=partitions, start=st.just(b"") | keys, limit=st.integers(1, 4)
        )
        def scan(self, space: Space, partition: int, start: bytes, limit: int) -> None:
            expected = sorted(
                (key, value)
                for (its_space, its_partition, key), value in self.model.items()
                if (its_space, its_partition) == (space, partition) and key > start
            )
            page = self.engine.scan(space, partition, start, limit)
            assert list(page.rows) == expected[:limit]
            if len(expected) > limit:
                assert page.next_start == page.rows[-1][0]

        @rule()
        def checkpoint(self) -> None:
            self.engine.checkpoint()

        @rule()
        def reopen(self) -> None:
            if isinstance(self.engine, SqliteEngine):
                self.engine.close()
                self.engine = factory(Path(self.directory.name))

        @invariant()
        def counts_agree(self) -> None:
            in_space = {
                space: [(key, value) for (its, _, key), value in self.model.items() if its == space]
                for space in Space
            }
            size_bytes = {
                space: sum(len(key) + len(value) for key, value in rows)
                for space, rows in in_space.items()
            }
            stats = self.engine.stats()
            assert stats.records == len(in_space[Space.RECORDS])
            assert stats.hints == len(in_space[Space.HINTS])
            assert stats.bytes == sum(size_bytes.values())
            assert stats.hint_bytes == size_bytes[Space.HINTS]
            assert all(self.engine.is_empty(space) == (not in_space[space]) for space in Space)
            if isinstance(self.engine, MemoryEngine | SqliteEngine | SimulatedEngine):
                self.engine._check()

    return EngineAgainstDictionary


@pytest.mark.parametrize(
    "name", ["memory", "sqlite, durability commit", "simulated, durability interval"]
)
def test_an_engine_behaves_as_a_dictionary_does(name: str):
    run_state_machine_as_test(
        machine_for(FACTORIES[name]),
        settings=settings(
            max_examples=15,
            stateful_step_count=20,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
