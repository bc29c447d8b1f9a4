"""The committer, the SQLite engine, real threads, and a process that is killed."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import trio

from dynamo_py.errors import StorageError
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Change, Space
from dynamo_py.storage.sqlite import SqliteEngine

WRITER = """
import os, sys, trio
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Change, Space
from dynamo_py.storage.sqlite import SqliteEngine

async def main():
    committer = Committer(SqliteEngine(sys.argv[1]), trio.to_thread.run_sync)
    numbers = iter(range(20_000))

    async def put_all():
        for number in numbers:
            key = b"%06d" % number
            done = trio.Event()
            def on_commit(error):
                assert error is None, error
                os.write(1, key + b"\\n")
                done.set()
            change = Change(Space.RECORDS, number % 64, key, key * (number % 40 + 1))
            committer.submit([change], on_commit)
            await done.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(committer.run)
        for _ in range(64):
            nursery.start_soon(put_all)

trio.run(main)
"""


def test_whatever_was_acknowledged_before_a_sigkill_is_there_afterwards(tmp_path: Path):
    path = tmp_path / "store"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    with writer:
        assert writer.stdout is not None
        # The pipe holds some 10,000 lines more, so that the writer cannot have finished.
        acknowledged = [writer.stdout.readline() for _ in range(5_000)]
        writer.kill()
        acknowledged += writer.stdout.readlines()
    keys = [line.strip() for line in acknowledged if line.endswith(b"\n")]
    assert 5_000 <= len(keys) < 20_000, "killed in the middle"
    with closing(SqliteEngine(path)) as engine:
        for key in keys:
            number = int(key)
            stored = engine.get(Space.RECORDS, number % 64, key)
            assert stored == key * (number % 40 + 1)
        engine._check()
        # A batch is atomic and in order: what is there beyond is what was still in flight.
        assert len(keys) <= engine.stats().records <= len(keys) + 64


async def test_readers_see_each_write_from_its_submission_on(tmp_path: Path):
    with closing(SqliteEngine(tmp_path / "store")) as engine:
        committer = Committer(engine, trio.to_thread.run_sync)

        async def count_up(partition: int) -> None:
            for number in range(1, 26):
                done = trio.Event()

                def on_commit(error: StorageError | None, done: trio.Event = done) -> None:
                    assert error is None
                    done.set()

                value = b"%d" % number
                committer.submit([Change(Space.RECORDS, partition, b"k", value)], on_commit)
                while not done.is_set():
                    assert committer.get(Space.RECORDS, partition, b"k") == value
                    assert committer.scan(Space.RECORDS, partition, b"", 5).rows == ((b"k", value),)
                    await trio.lowlevel.checkpoint()
                assert engine.get(Space.RECORDS, partition, b"k") == value

        async with trio.open_nursery() as nursery:
            nursery.start_soon(committer.run)
            async with trio.open_nursery() as writers:
                for partition in range(8):
                    writers.start_soon(count_up, partition)
            await committer._checkpoint()
            assert engine.stats().log_bytes == 0
            await committer.aclose()
        engine._check()
