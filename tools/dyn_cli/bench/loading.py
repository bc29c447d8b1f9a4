"""Fills a bucket with many records, in the order in which nodes keep them on disk.

Rows that are inserted in the order of the primary key, (partition, key), fill one page after the
other; in any other order each lands on another page.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from dyn_cli.bench.records import Values, in_partition_order, key_of
from dyn_cli.failures import Refused
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import in_parallel
from dynamo_py.wire.keys import routing_key
from ring.hashing import partition_of, position_of

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Bucket, Store

LOOKED_AT = 8
"""Records that are looked at before a load that takes all of them to be new."""
ATTEMPTS_MAX = 5


@dataclass(slots=True)
class Loaded:
    """What a load has come to."""

    records: int = 0
    """That were put."""
    errors: dict[str, int] = field(default_factory=dict)
    """How many were given up, by the kind of their last error."""


async def load(
    store: Store,
    bucket_name: str,
    values: Values,
    *,
    begin: int,
    end: int,
    in_flight: int,
    again: bool,
    timeout_s: float,
    tell: Callable[[], None],
) -> Loaded:
    """Put the records from ``begin`` to ``end - 1``; ``tell`` is called after each.

    They must not be there, or each would become a sibling: a few are looked at, and `Refused` is
    raised if one is there. With ``again`` each is read first and overwritten. A put that fails is
    tried again, `ATTEMPTS_MAX` times in all.
    """
    bucket = store.bucket(bucket_name, codec="raw")
    if not again:
        await _refuse_what_is_there(bucket, begin, end, timeout_s)
    ring = await store.admin.ring(timeout=timeout_s)
    partitions = len(ring.owners)

    def partition(number: int) -> int:
        return partition_of(position_of(routing_key(bucket_name, key_of(number))), partitions)

    # Ten million take some ten seconds, in which links must not fall silent.
    numbers = await trio.to_thread.run_sync(
        lambda: in_partition_order(begin, end, partitions=partitions, partition_of=partition)
    )
    loaded = Loaded()

    async def in_turn() -> None:
        for number in numbers:
            error = await _put(bucket, number, values.draw(), overwrites=again, timeout_s=timeout_s)
            if error is None:
                loaded.records += 1
            else:
                kind = type(error).__name__
                loaded.errors[kind] = loaded.errors.get(kind, 0) + 1
            tell()

    await in_parallel(in_turn, in_flight)
    return loaded


async def _refuse_what_is_there(bucket: Bucket, begin: int, end: int, timeout_s: float) -> None:
    step = max(1, math.ceil((end - begin) / LOOKED_AT))
    for number in (*range(begin, end, step), end - 1):
        if (await bucket.get(key_of(number), timeout=timeout_s)).exists:
            raise Refused(
                f"bucket {bucket.name} has record {number} already: say --again to overwrite,"
                " or --from to go on behind them"
            )


async def _put(
    bucket: Bucket, number: int, value: bytes, *, overwrites: bool, timeout_s: float
) -> DynamoError | None:
    """Put a record; the last error where all attempts have failed."""
    last: DynamoError | None = None
    for attempt in range(ATTEMPTS_MAX):
        try:
            # After an attempt that may have happened a plain put would be a sibling of it.
            if overwrites or last is not None:
                await bucket.overwrite(key_of(number), value, timeout=timeout_s)
            else:
                await bucket.put(key_of(number), value, timeout=timeout_s)
        except DynamoError as error:
            last = error
            if not error.retryable:
                return last
            await trio.sleep(2.0**attempt / 10)
        else:
            return None
    return last
