"""Group commit: when it syncs, and when it checkpoints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio
import trio.testing

from dynamo_py.errors import StorageError, SyncFailed
from dynamo_py.storage import committer as committer_module
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Change, Durability, EngineStats, Space
from dynamo_py.storage.memory import MemoryEngine

T = TypeVar("T")


class RecordingEngine(MemoryEngine):
    """A memory engine with a log that it does not have, which fails when told to."""

    def __init__(self, durability: Durability) -> None:
        super().__init__()
        self.its_durability = durability
        self.failures: list[Exception] = []
        self.calls: list[str] = []
        self.log_bytes = 0

    @property
    def durability(self) -> Durability:
        return self.its_durability

    def stats(self) -> EngineStats:
        return EngineStats(records=0, hints=0, bytes=0, log_bytes=self.log_bytes)

    def apply(self, batch: Sequence[Change]) -> None:
        self.record(f"apply {len(batch)}")
        super().apply(batch)

    def sync(self) -> None:
        self.record("sync")

    def checkpoint(self) -> None:
        self.record("checkpoint")
        self.log_bytes = 0

    def record(self, call: str) -> None:
        self.calls.append(call)
        if self.failures:
            raise self.failures.pop(0)


async def at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()


class Told:
    """Remembers what the callbacks were told, in order."""

    def __init__(self) -> None:
        self.kinds: list[tuple[str, type | None]] = []

    def of(self, name: str) -> Callable[[StorageError | None], None]:
        return lambda error: self.kinds.append((name, None if error is None else type(error)))


def put(key: bytes) -> Change:
    return Change(Space.RECORDS, 1, key, b"v")


@asynccontextmanager
async def running(committer: Committer) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(committer.run)
        await trio.testing.wait_all_tasks_blocked()
        yield
        await committer.aclose()


@pytest.mark.parametrize("durability", ["interval", "none"])
async def test_without_durability_only_what_asks_for_it_waits_for_the_sync(
    durability: Durability,
):
    engine, told = RecordingEngine(durability), Told()
    committer = Committer(engine, at_once)
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await committer.drain()
        assert engine.calls == ["apply 1"]
        committer.submit([put(b"b")], told.of("b"), durable=True)
        await committer.drain()
        assert engine.calls == ["apply 1", "apply 1", "sync"]
        await committer.wait_durable()
        assert engine.calls == ["apply 1", "apply 1", "sync"], "nothing was written since"
        committer.submit([put(b"c")], told.of("c"))
        await committer.wait_durable()
        assert engine.calls[3:] == ["apply 1", "sync"]


async def test_with_durability_interval_a_sync_follows_within_the_interval(
    autojump_clock: trio.testing.MockClock,
):
    engine = RecordingEngine("interval")
    committer = Committer(engine, at_once, sync_interval_s=5)
    async with running(committer):
        await trio.sleep(1)
        committer.submit([put(b"a")], Told().of("a"))
        await trio.sleep(3.9)
        assert engine.calls == ["apply 1"]
        await trio.sleep(0.2)
        assert engine.calls == ["apply 1", "sync"]
        await trio.sleep(100)
        assert engine.calls == ["apply 1", "sync"], "there is nothing new to sync"


async def test_with_durability_interval_a_sync_comes_under_steady_load_too(
    autojump_clock: trio.testing.MockClock,
):
    engine = RecordingEngine("interval")
    committer = Committer(engine, at_once, sync_interval_s=5)
    async with running(committer):
        for _ in range(12):
            committer.submit([put(b"a")], Told().of("a"))
            await trio.sleep(1)
        assert engine.calls.count("sync") == 2


async def test_a_failed_sync_of_the_interval_is_a_failure_like_any_other(
    autojump_clock: trio.testing.MockClock,
):
    engine, told = RecordingEngine("interval"), Told()
    committer = Committer(engine, at_once, on_failure=lambda error: told.of("owner")(error))
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await committer.drain()
        engine.failures = [SyncFailed("lost pages")]
        await trio.sleep(10)
        assert told.kinds == [("a", None), ("owner", SyncFailed)]
        with pytest.raises(SyncFailed):
            await committer.wait_durable()
    assert engine.calls == ["apply 1", "sync"], "a second sync would prove nothing"


@pytest.mark.parametrize("durability", ["interval", "none"])
async def test_closing_syncs_what_was_applied(durability: Durability):
    engine = RecordingEngine(durability)
    committer = Committer(engine, at_once)
    async with running(committer):
        committer.submit([put(b"a")], Told().of("a"))
    assert engine.calls == ["apply 1", "sync"]


async def test_a_long_log_is_checkpointed_after_a_commit():
    engine = RecordingEngine("commit")
    committer = Committer(engine, at_once)
    async with running(committer):
        engine.log_bytes = committer_module.CHECKPOINT_LOG_BYTES
        committer.submit([put(b"a")], Told().of("a"))
        await committer.drain()
        await trio.testing.wait_all_tasks_blocked()
        committer.submit([put(b"b")], Told().of("b"))
        await committer.drain()
    assert engine.calls == ["apply 1", "checkpoint", "apply 1"]
    assert committer.statistics().checkpoints == 1


async def test_an_idle_log_is_checkpointed_once(autojump_clock: trio.testing.MockClock):
    engine = RecordingEngine("commit")
    committer = Committer(engine, at_once)
    async with running(committer):
        engine.log_bytes = committer_module.CHECKPOINT_IDLE_LOG_BYTES
        committer.submit([put(b"a")], Told().of("a"))
        await trio.sleep(committer_module.CHECKPOINT_IDLE_S * 0.9)
        assert engine.calls == ["apply 1"]
        await trio.sleep(1000)
    assert engine.calls == ["apply 1", "checkpoint"]


async def test_a_failed_checkpoint_is_a_failure_like_any_other(
    autojump_clock: trio.testing.MockClock,
):
    engine, told = RecordingEngine("commit"), Told()
    committer = Committer(engine, at_once, on_failure=lambda error: told.of("owner")(error))
    async with running(committer):
        engine.log_bytes = committer_module.CHECKPOINT_IDLE_LOG_BYTES
        committer.submit([put(b"a")], told.of("a"))
        await committer.drain()
        engine.failures = [SyncFailed("lost pages")]
        await trio.sleep(committer_module.CHECKPOINT_IDLE_S * 2)
        assert told.kinds == [("a", None), ("owner", SyncFailed)]
        with pytest.raises(SyncFailed):
            committer.submit([put(b"b")], told.of("b"))
