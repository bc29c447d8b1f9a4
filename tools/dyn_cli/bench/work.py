"""The operations of a workload, carried out on a store.

Overwrites pass on the context that was last seen of the record. Where that is not known, or is
known not to cover all that is there, they read first, as an application would.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dyn_cli.bench.choosers import Chooser
from dyn_cli.bench.contexts import Contexts
from dyn_cli.bench.records import Inserted, Values, key_of
from dyn_cli.bench.workloads import Kind, Mix
from dynamo_py.errors import DynamoError

if TYPE_CHECKING:
    from dynamo_py.client.bucket import Bucket
    from dynamo_py.client.results import Stored

SCAN_KEYS_MAX = 100
DRAWS_MAX = 16


class StoreWork:
    """What a loop carries out (`loops.Work`). Requests go to the buckets in turn, by worker."""

    def __init__(
        self,
        buckets: Sequence[Bucket],
        *,
        mix: Mix,
        chooser: Chooser,
        values: Values,
        inserted: Inserted,
        contexts: Contexts,
        cursors: Sequence[str | None],
        generator: random.Random,
        overlaps: bool,
        timeout_s: float,
    ) -> None:
        """``cursors`` are where scans begin. ``overlaps``: several writes of one record at once."""
        self._buckets = buckets
        self._mix = mix
        self._chooser = chooser
        self._values = values
        self._inserted = inserted
        self._contexts = contexts
        self._cursors = cursors
        self._generator = generator
        self._overlaps = overlaps
        self._timeout_s = timeout_s
        self._being_written: set[int] = set()
        self._carry_out = {
            Kind.READ: self._read,
            Kind.UPDATE: self._update,
            Kind.INSERT: self._insert,
            Kind.SCAN: self._scan,
            Kind.READ_MODIFY_WRITE: self._read_modify_write,
        }
        self.contexts_read = 0
        self.left_siblings = 0
        self.missing = 0

    def draw(self) -> Kind:
        """Which operation is next."""
        return self._mix.draw()

    async def carry_out(self, kind: Kind, worker: int) -> None:
        """Do it, within the timeout for each request; raises `DynamoError`."""
        await self._carry_out[kind](self._buckets[worker % len(self._buckets)])

    async def _read(self, bucket: Bucket) -> None:
        number = self._chooser.choose()
        found = await bucket.get(key_of(number), timeout=self._timeout_s)
        self._contexts.remember(number, found.context.data)
        self.missing += not found.exists

    async def _update(self, bucket: Bucket) -> None:
        number = self._one_to_write()
        try:
            context = self._contexts.get(number)
            if context is None:
                context = await self._context_of(bucket, number)
            await self._put(bucket, number, context)
        finally:
            self._being_written.discard(number)

    async def _read_modify_write(self, bucket: Bucket) -> None:
        number = self._one_to_write()
        try:
            found = await bucket.get(key_of(number), timeout=self._timeout_s)
            await self._put(bucket, number, found.context.data)
        finally:
            self._being_written.discard(number)

    async def _insert(self, bucket: Bucket) -> None:
        number = self._inserted.begin()
        try:
            await self._put(bucket, number, None)
        finally:
            self._inserted.finish(number)

    async def _scan(self, bucket: Bucket) -> None:
        cursor = self._cursors[int(self._generator.random() * len(self._cursors))]
        wanted = 1 + int(self._generator.random() * SCAN_KEYS_MAX)
        keys: list[str | bytes] = []
        async for key in bucket.scan(cursor=cursor, timeout=self._timeout_s):
            keys.append(key)
            if len(keys) == wanted:
                break
        for found in (await bucket.get_many(keys, timeout=self._timeout_s)).values():
            if isinstance(found, DynamoError):
                raise found

    def _one_to_write(self) -> int:
        """A record; one that no other operation is just writing, unless writes may overlap."""
        number = self._chooser.choose()
        if not self._overlaps:
            draws = 1
            # Where nearly all are being written, as when nothing goes on, one must do.
            while number in self._being_written and draws < DRAWS_MAX:
                number = self._chooser.choose()
                draws += 1
        self._being_written.add(number)
        return number

    async def _context_of(self, bucket: Bucket, number: int) -> bytes:
        self.contexts_read += 1
        found = await bucket.get(key_of(number), timeout=self._timeout_s)
        return found.context.data

    async def _put(self, bucket: Bucket, number: int, context: bytes | None) -> None:
        value = self._values.draw()
        try:
            done = await bucket.put(key_of(number), value, context=context, timeout=self._timeout_s)
        except DynamoError:
            # Whether it has happened or not is not known, so neither is what is there.
            self._contexts.forget(number)
            raise
        self._learn(number, done)

    def _learn(self, number: int, done: Stored) -> None:
        if done.siblings_count > 1:
            # What it covers is this write alone: the next one has to see the others.
            self._contexts.forget(number)
            self.left_siblings += 1
        else:
            self._contexts.remember(number, done.context.data)
