"""Loads in bulk: each record once, in the order of the disk, whatever fails on the way."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import cast

import pytest

from dyn_cli.bench.loading import ATTEMPTS_MAX, load
from dyn_cli.bench.records import Values, key_of
from dyn_cli.failures import Refused
from dynamo_py.client.bucket import Store
from dynamo_py.errors import InvalidRequest, NodeUnavailable
from dynamo_py.wire.keys import routing_key
from ring.hashing import partition_of, position_of

PARTITIONS = 8


class PlayedStore:
    """One bucket, and a ring of which only the number of partitions is asked."""

    def __init__(self, bucket) -> None:
        self._bucket = bucket
        self.admin = SimpleNamespace(ring=self._ring)

    def bucket(self, name, codec):
        assert (name, codec) == (self._bucket.name, "raw")
        return self._bucket

    async def _ring(self, **named):
        return SimpleNamespace(owners=(0,) * PARTITIONS)


async def load_into(bucket, *, begin=0, end=100, in_flight=1, again=False, tell=lambda: None):
    return await load(
        cast("Store", PlayedStore(bucket)),
        bucket.name,
        Values(100, random.Random(1)),
        begin=begin,
        end=end,
        in_flight=in_flight,
        again=again,
        timeout_s=5,
        tell=tell,
    )


def place(key: bytes) -> tuple[int, bytes]:
    return partition_of(position_of(routing_key("bench-100", key)), PARTITIONS), key


async def test_records_are_put_in_the_order_of_the_disk(bucket, autojump_clock):
    told = []
    loaded = await load_into(bucket, begin=50, end=150, tell=lambda: told.append(1))
    assert loaded.records == len(told) == 100
    assert list(bucket.siblings) == sorted(map(key_of, range(50, 150)), key=place)


async def test_what_is_there_already_is_refused(bucket, autojump_clock):
    await bucket.put(key_of(99), b"old")
    with pytest.raises(Refused, match="record 99"):
        await load_into(bucket)
    assert len(bucket.siblings) == 1


async def test_again_overwrites(bucket, autojump_clock):
    await load_into(bucket)
    await load_into(bucket, again=True, in_flight=8)
    assert [len(siblings) for siblings in bucket.siblings.values()] == [1] * 100


async def test_a_put_that_failed_is_tried_again_and_leaves_one_value(bucket, autojump_clock):
    bucket.errors = [NodeUnavailable("gone", reasons={}, outcome="unknown")] * 3
    loaded = await load_into(bucket, in_flight=4)
    assert (loaded.records, loaded.errors) == (100, {})
    assert [len(siblings) for siblings in bucket.siblings.values()] == [1] * 100


async def test_what_fails_for_good_is_counted(bucket, autojump_clock):
    gone = NodeUnavailable("gone", reasons={}, outcome="unknown")
    bucket.errors = [gone] * ATTEMPTS_MAX + [InvalidRequest("no")]
    loaded = await load_into(bucket, end=10)
    assert loaded.records == 8
    assert loaded.errors == {"NodeUnavailable": 1, "InvalidRequest": 1}
