"""Operations on a store: overwrites carry what was seen, and make no siblings unasked."""

from __future__ import annotations

import random

import pytest
import trio

from dyn_cli.bench.choosers import Uniform
from dyn_cli.bench.contexts import Contexts
from dyn_cli.bench.loops import closed_loop
from dyn_cli.bench.recording import Recorder, Window
from dyn_cli.bench.records import Inserted, Values, key_of
from dyn_cli.bench.work import SCAN_KEYS_MAX, StoreWork
from dyn_cli.bench.workloads import WORKLOADS, Kind, Mix
from dynamo_py.errors import NodeUnavailable

RECORDS = 100


def work_on(bucket, *, workload="put", records=RECORDS, overlaps=False, cursors=(None,)):
    generator = random.Random(1)
    return StoreWork(
        [bucket],
        mix=Mix(WORKLOADS[workload], generator),
        chooser=Uniform(records, generator),
        values=Values(100, generator),
        inserted=Inserted(records),
        contexts=Contexts(),
        cursors=cursors,
        generator=generator,
        overlaps=overlaps,
        timeout_s=5,
    )


async def run(work, *, operations=1_000, in_flight=16):
    recorder = Recorder(Window(trio.current_time(), operations_max=operations))
    await closed_loop(work, recorder, in_flight=in_flight)
    return recorder


@pytest.mark.parametrize("workload", ["put", "a", "f"])
async def test_overwrites_of_many_at_once_leave_one_value_each(bucket, autojump_clock, workload):
    work = work_on(bucket, workload=workload)
    await run(work)
    assert bucket.siblings
    assert all(len(values) == 1 for values in bucket.siblings.values())
    assert work.left_siblings == 0


async def test_an_overwrite_reads_first_where_the_context_is_not_known(bucket, autojump_clock):
    work = work_on(bucket, records=1)
    await work.carry_out(Kind.UPDATE, 0)
    await work.carry_out(Kind.UPDATE, 0)
    await work.carry_out(Kind.UPDATE, 0)
    assert bucket.asked == ["get", "put", "put", "put"]
    assert work.contexts_read == 1


async def test_overlapping_writes_become_siblings_which_the_next_one_merges(bucket, autojump_clock):
    work = work_on(bucket, records=1, overlaps=True)
    await run(work, operations=50, in_flight=8)
    assert work.left_siblings > 0
    # However long it goes on, no more than those that were under way at once.
    assert len(bucket.siblings[key_of(0)]) <= 2 * 8
    await work.carry_out(Kind.UPDATE, 0)
    await work.carry_out(Kind.UPDATE, 0)
    assert len(bucket.siblings[key_of(0)]) == 1


async def test_after_an_error_the_next_overwrite_reads_first(bucket, autojump_clock):
    work = work_on(bucket, records=1)
    await work.carry_out(Kind.UPDATE, 0)
    bucket.errors = [NodeUnavailable("gone", reasons={}, outcome="unknown")]
    with pytest.raises(NodeUnavailable):
        await work.carry_out(Kind.UPDATE, 0)
    bucket.asked.clear()
    await work.carry_out(Kind.UPDATE, 0)
    assert bucket.asked == ["get", "put"]


async def test_what_is_read_is_what_the_next_overwrite_covers(bucket, autojump_clock):
    work = work_on(bucket, records=1)
    await bucket.put(key_of(0), b"old")
    await bucket.put(key_of(0), b"its sibling")
    await work.carry_out(Kind.READ, 0)
    await work.carry_out(Kind.UPDATE, 0)
    assert len(bucket.siblings[key_of(0)]) == 1
    assert work.contexts_read == 0


async def test_reads_of_nothing_are_counted(bucket):
    work = work_on(bucket)
    await work.carry_out(Kind.READ, 0)
    assert work.missing == 1


async def test_inserts_are_new_records_in_a_row(bucket, autojump_clock):
    work = work_on(bucket, records=5)
    for _ in range(3):
        await work.carry_out(Kind.INSERT, 0)
    assert sorted(bucket.siblings) == [key_of(5), key_of(6), key_of(7)]


async def test_a_scan_reads_some_records_from_where_it_begins(bucket, autojump_clock):
    for number in range(RECORDS):
        await bucket.put(key_of(number), b"")
    bucket.asked.clear()
    work = work_on(bucket, cursors=["50"])
    await work.carry_out(Kind.SCAN, 0)
    assert bucket.asked[0] == "scan 50"
    assert 1 <= bucket.asked.count("get") <= min(50, SCAN_KEYS_MAX)
