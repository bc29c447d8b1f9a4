"""Preparing: what is missing is put, what is there stays, and its contexts are known."""

from __future__ import annotations

import random

import pytest

from dyn_cli.bench.contexts import Contexts
from dyn_cli.bench.preparing import KEYS_A_CURSOR, count_inserted, make_sure_of, scan_starts
from dyn_cli.bench.records import Values, key_of

TIMEOUT_S = 5.0


async def fill(bucket, count: int) -> None:
    for number in range(count):
        await bucket.put(key_of(number), b"old")


async def test_only_what_is_missing_is_put(bucket, autojump_clock):
    await fill(bucket, 30)
    contexts = Contexts()
    values = Values(100, random.Random(1))
    added = await make_sure_of(range(100), bucket, values, contexts, timeout_s=TIMEOUT_S)
    assert added == 70
    assert len(contexts) == len(bucket.siblings) == 100
    assert all(len(siblings) == 1 for siblings in bucket.siblings.values())
    for number in range(100):
        await bucket.put(key_of(number), b"new", context=contexts.get(number))
    assert all(list(siblings.values()) == [b"new"] for siblings in bucket.siblings.values())


@pytest.mark.parametrize("there", [10, 11, 12, 13, 25, 41, 42, 43, 200])
async def test_records_that_earlier_loads_inserted_are_counted(bucket, autojump_clock, there):
    await fill(bucket, there)
    assert await count_inserted(bucket, 10, timeout_s=TIMEOUT_S) == there


async def test_scans_begin_all_over_the_bucket(bucket, autojump_clock):
    await fill(bucket, 3 * KEYS_A_CURSOR + 1)
    starts = await scan_starts(bucket, timeout_s=TIMEOUT_S)
    assert starts == [None, *(str(place * KEYS_A_CURSOR) for place in (1, 2, 3))]
