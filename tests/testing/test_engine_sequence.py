"""The simulated engine counts its batches, and loses the count with them."""

from __future__ import annotations

import random
from pathlib import Path

from dynamo_py.storage.engine import Change, Durability, Space
from dynamo_py.testing.disk import Disk
from dynamo_py.testing.engine import SimulatedEngine
from dynamo_py.testing.trace import Trace


def new_disk(seed: int = 1) -> Disk:
    return Disk(random.Random(seed), Trace(lambda: 0.0), name="a")


def opened(disk: Disk, durability: Durability = "commit") -> SimulatedEngine:
    return SimulatedEngine(disk.boot(), Path("/store"), durability)


def put(key: bytes, value: bytes) -> Change:
    return Change(Space.RECORDS, 1, key, value)


def test_the_count_of_batches_is_lost_with_the_batches():
    found = set()
    for seed in range(20):
        disk = new_disk(seed)
        engine = opened(disk, durability="none")
        engine.apply([put(b"a", b"1")])
        engine.sync()
        for number in range(4):
            engine.apply([put(b"b%d" % number, b"2")])
        assert engine.stats().sequence == 5
        disk.crash(lose="some")
        engine = opened(disk)
        assert engine.stats().sequence == engine.stats().records
        found.add(engine.stats().sequence)
    assert found == {1, 2, 3, 4, 5}


def test_a_disk_that_is_rolled_back_has_the_count_that_it_had():
    disk = new_disk()
    engine = opened(disk)
    engine.apply([put(b"a", b"1")])
    snapshot = disk.snapshot()
    engine.apply([put(b"a", b"2")])
    disk.crash(lose="all")
    disk.roll_back(snapshot)
    for _ in range(2):  # opening, or looking, does not count
        assert opened(disk).stats().sequence == 1
        disk.crash(lose="some")
