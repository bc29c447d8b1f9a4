"""Before a load: its records are there, and what a client knows of them is known.

Waits on a store; knows nothing of loops or of what is measured.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dyn_cli.bench.contexts import Contexts
from dyn_cli.bench.records import RECORDS_MAX, Values, key_of
from dynamo_py.lifetimes import in_parallel

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Bucket

IN_FLIGHT = 64
CURSORS_MAX = 1_000
KEYS_A_CURSOR = 100
"""Scans begin at each so-manieth key."""


async def make_sure_of(
    numbers: Iterable[int], bucket: Bucket, values: Values, contexts: Contexts, *, timeout_s: float
) -> int:
    """Read these records, put those that are not there, remember the contexts; how many were put.

    The first error leaves as it is.
    """
    left = iter(numbers)
    added = 0

    async def in_turn() -> None:
        nonlocal added
        for number in left:
            key = key_of(number)
            found = await bucket.get(key, timeout=timeout_s)
            context = found.context.data
            if not found.exists:
                done = await bucket.put(key, values.draw(), context=found, timeout=timeout_s)
                context = done.context.data
                added += 1
            contexts.remember(number, context)

    await in_parallel(in_turn, IN_FLIGHT)
    return added


async def count_inserted(bucket: Bucket, count: int, *, timeout_s: float) -> int:
    """How many records there are, at least ``count``: earlier loads may have inserted some.

    Found by looking at some of them, as if there were no gaps.
    """

    async def is_there(number: int) -> bool:
        return (await bucket.get(key_of(number), timeout=timeout_s)).exists

    step = 1
    while count + step <= RECORDS_MAX and await is_there(count + step - 1):
        step *= 2
    # All up to `step // 2` more are taken to be there, and not as many as `step`.
    there, missing = step // 2, step
    while missing - there > 1:
        middle = (there + missing) // 2
        if await is_there(count + middle - 1):
            there = middle
        else:
            missing = middle
    return count + there


async def scan_starts(bucket: Bucket, *, timeout_s: float) -> list[str | None]:
    """Cursors all over the bucket, at most `CURSORS_MAX`; None stands for its beginning."""
    starts: list[str | None] = [None]
    scanned = bucket.scan(timeout=timeout_s)
    seen = 0
    async for _ in scanned:
        seen += 1
        if seen % KEYS_A_CURSOR == 0 and scanned.cursor is not None:
            starts.append(scanned.cursor)
            if len(starts) == CURSORS_MAX:
                break
    return starts
