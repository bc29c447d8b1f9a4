"""Carries out a plan: prepares its records, warms up, measures, and says what it came to."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import trio

from dyn_cli.bench.contexts import Contexts
from dyn_cli.bench.loops import closed_loop, open_loop
from dyn_cli.bench.plans import Plan, chooser_of
from dyn_cli.bench.preparing import count_inserted, make_sure_of, scan_starts
from dyn_cli.bench.recording import Recorder, Window
from dyn_cli.bench.records import Inserted, Values
from dyn_cli.bench.results import Row, latency_of
from dyn_cli.bench.servers import Sample, Server, costs, sampled
from dyn_cli.bench.work import StoreWork
from dyn_cli.bench.workloads import Kind, Mix
from dynamo_py.client.connecting import connect

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Bucket, Store

TARGET = "dynamo-py"


@asynccontextmanager
async def clients(addresses: Sequence[str], count: int) -> AsyncIterator[list[Store]]:
    """So many clients, each with connections of its own; raises as `connect`."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(connect(*addresses)) for _ in range(count)]


async def measure(
    plan: Plan, addresses: Sequence[str], servers: Sequence[Server], *, prepares: bool = True
) -> Row:
    """Carry out a plan on the cluster at ``addresses``, of which ``servers`` are on this machine.

    Without ``prepares`` the records are taken to be there already, and what their contexts are
    is read when they are overwritten first. Errors of the load are counted; those of preparing,
    and of connecting, are raised.
    """
    async with clients(addresses, plan.clients) as stores:
        buckets = [store.bucket(plan.bucket_name, codec="raw") for store in stores]
        work = await _work_of(plan, buckets, prepares=prepares)
        recorder, before, after, cpu_s = await _run(plan, work, servers)
    latencies = recorder.latencies
    ended = recorder.ended
    return Row(
        target=TARGET,
        workload=plan.workload.name,
        choice=plan.choice.value,
        records=plan.records,
        value_bytes=plan.value_bytes,
        loop="closed" if plan.rate_per_s is None else "open",
        in_flight=plan.in_flight if plan.rate_per_s is None else None,
        rate_per_s=plan.rate_per_s,
        connections=plan.clients,
        turn=plan.turn,
        seconds=recorder.seconds,
        operations=recorder.operations,
        per_second=recorder.operations / recorder.seconds if recorder.seconds else 0.0,
        errors=recorder.errors,
        latency=latency_of(recorder.all_latencies()),
        by_kind={kind.value: latency_of(latencies[kind]) for kind in Kind if kind in latencies}
        if len(latencies) > 1
        else {},
        client_cpu_us_per_operation=cpu_s / ended * 1e6 if ended else None,
        servers=costs(servers, before, after, operations=ended),
        contexts_read=work.contexts_read,
        left_siblings=work.left_siblings,
        missing=work.missing,
    )


async def _work_of(plan: Plan, buckets: Sequence[Bucket], *, prepares: bool) -> StoreWork:
    """The plan's operations, once its records are there."""
    generator = random.Random(plan.seed)
    values, contexts = Values(plan.value_bytes, generator), Contexts()
    bucket, timeout_s = buckets[0], plan.timeout_s
    if prepares:
        await make_sure_of(plan.prepared_numbers(), bucket, values, contexts, timeout_s=timeout_s)
    count = plan.records
    if plan.workload.has(Kind.INSERT):
        count = await count_inserted(bucket, count, timeout_s=timeout_s)
    has_scans = plan.workload.has(Kind.SCAN)
    inserted = Inserted(count)
    return StoreWork(
        buckets,
        mix=Mix(plan.workload, generator),
        chooser=chooser_of(plan, inserted, generator),
        values=values,
        inserted=inserted,
        contexts=contexts,
        cursors=await scan_starts(bucket, timeout_s=timeout_s) if has_scans else [None],
        generator=generator,
        overlaps=plan.overlaps,
        timeout_s=timeout_s,
    )


async def _run(
    plan: Plan, work: StoreWork, servers: Sequence[Server]
) -> tuple[Recorder, tuple[Sample, ...], tuple[Sample, ...], float]:
    """The load itself: what counts of it, the servers before and after, and the client's CPU."""
    begin_s = trio.current_time() + plan.warm_up_s
    recorder = Recorder(_window(plan, begin_s))
    before: tuple[Sample, ...] = ()
    cpu_before_s = time.process_time()

    async def sample_at_the_beginning() -> None:
        nonlocal before, cpu_before_s
        await trio.sleep_until(begin_s)
        cpu_before_s = time.process_time()
        before = await sampled(servers)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(sample_at_the_beginning)
        if plan.rate_per_s is None:
            await closed_loop(work, recorder, in_flight=plan.in_flight)
        else:
            await open_loop(work, recorder, per_second=plan.rate_per_s)
    cpu_s = time.process_time() - cpu_before_s
    return recorder, before, await sampled(servers), cpu_s


def _window(plan: Plan, begin_s: float) -> Window:
    if plan.operations is not None:
        return Window(begin_s, operations_max=plan.operations)
    return Window(begin_s, begin_s + plan.seconds)
