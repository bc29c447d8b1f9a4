"""What a committer does about rows that have rotted on disk and are sound in its memory."""

from __future__ import annotations

import random
from pathlib import Path

import trio

from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Change, Space
from dynamo_py.testing.disk import Disk
from dynamo_py.testing.engine import SimulatedEngine
from dynamo_py.testing.trace import Trace


async def test_a_rotten_row_that_is_held_in_memory_is_written_again(autojump_clock):
    disk = Disk(random.Random(1), Trace(trio.current_time), name="a")
    engine = SimulatedEngine(disk.boot(), Path("/store"))

    async def inline(work):
        await trio.sleep(0.001)
        return work()

    committer = Committer(engine, inline)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(committer.run)
        for key in (b"held", b"gone"):
            committer.submit([Change(Space.RECORDS, 1, key, b"value")], lambda error: None)
        await trio.sleep(1)
        committer._cache.put((Space.RECORDS, 1, b"gone"), None)
        for key in (b"held", b"gone"):
            engine.flip_row(Space.RECORDS, 1, key)
        page = committer.scan(Space.RECORDS, 1, b"", 10)
        assert (page.rows, page.damaged_keys) == (((b"held", b"value"),), (b"gone",))
        await trio.sleep(1)
        assert engine.get(Space.RECORDS, 1, b"held") == b"value"
        nursery.cancel_scope.cancel()
