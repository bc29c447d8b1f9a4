"""Group commit: order, batches, the overlay, failures, cancellation and closing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py.errors import DiskFull, Overloaded, StorageError, SyncFailed
from dynamo_py.storage import committer as committer_module
from dynamo_py.storage.committer import PROBE_INTERVAL_S, Committer
from dynamo_py.storage.engine import Change, Durability, Space
from dynamo_py.storage.memory import MemoryEngine

T = TypeVar("T")


class FakeEngine(MemoryEngine):
    """A memory engine that fails when told to, and remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[Exception] = []
        self.calls: list[str] = []

    @property
    def durability(self) -> Durability:
        return "commit"

    def apply(self, batch: Sequence[Change]) -> None:
        self.calls.append(f"apply {len(batch)}")
        if self.failures:
            raise self.failures.pop(0)
        super().apply(batch)


class Gate:
    """An offload whose work waits until it is let through."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.opened = trio.Event()
        self.arrived = trio.Event()

    async def __call__(self, work: Callable[[], T], /) -> T:
        self.arrived.set()
        if not self.is_open:
            await self.opened.wait()
        else:
            await trio.lowlevel.checkpoint()
        return work()

    def open(self) -> None:
        self.is_open = True
        self.opened.set()

    def shut(self) -> None:
        self.is_open = False
        self.opened = trio.Event()
        self.arrived = trio.Event()


class Told:
    """Remembers what the callbacks were told, in order."""

    def __init__(self) -> None:
        self.all: list[tuple[str, StorageError | None]] = []

    def of(self, name: str) -> Callable[[StorageError | None], None]:
        return lambda error: self.all.append((name, error))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.all]

    @property
    def kinds(self) -> list[tuple[str, type | None]]:
        return [(name, None if error is None else type(error)) for name, error in self.all]


def put(key: bytes, value: bytes = b"v", partition: int = 1) -> Change:
    return Change(Space.RECORDS, partition, key, value)


def remove(key: bytes, partition: int = 1) -> Change:
    return Change(Space.RECORDS, partition, key, None)


@asynccontextmanager
async def running(committer: Committer) -> AsyncIterator[trio.CancelScope]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(committer.run)
        await trio.testing.wait_all_tasks_blocked()
        yield nursery.cancel_scope
        await committer.aclose()


async def test_a_submission_is_read_at_once_and_told_when_committed():
    engine, told = FakeEngine(), Told()
    committer = Committer(engine, Gate())
    async with running(committer):
        committer.submit([put(b"a", b"1")], told.of("first"))
        assert committer.get(Space.RECORDS, 1, b"a") == b"1"
        assert engine.get(Space.RECORDS, 1, b"a") is None
        assert told.all == []
        await committer.drain()
        assert told.all == [("first", None)]
        assert engine.get(Space.RECORDS, 1, b"a") == b"1"
        committer._check()


async def test_what_arrives_during_a_commit_makes_the_next_batch():
    engine, told, gate = FakeEngine(), Told(), Gate(is_open=False)
    committer = Committer(engine, gate)
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await gate.arrived.wait()
        for name in ("b", "c", "d"):
            committer.submit([put(name.encode())], told.of(name))
        gate.open()
        await committer.drain()
    assert told.names == ["a", "b", "c", "d"]
    assert engine.calls == ["apply 1", "apply 3"]
    statistics = committer.statistics()
    assert (statistics.commits, statistics.changes, statistics.batch_changes_max) == (2, 4, 3)
    assert (statistics.pending_changes, statistics.pending_bytes) == (0, 0)


async def test_reads_see_pending_over_in_flight_over_committed():
    engine, told, gate = FakeEngine(), Told(), Gate()
    engine.apply([put(b"a", b"old"), put(b"b", b"old"), put(b"c", b"old"), put(b"d", b"old")])
    committer = Committer(engine, gate)
    async with running(committer):
        gate.shut()
        committer.submit([put(b"b", b"in flight"), put(b"c", b"in flight")], told.of("1"))
        await gate.arrived.wait()
        committer.submit([remove(b"c"), remove(b"d"), put(b"e", b"pending")], told.of("2"))
        expected = {b"a": b"old", b"b": b"in flight", b"c": None, b"d": None, b"e": b"pending"}
        for _ in range(2):
            for key, value in expected.items():
                assert committer.get(Space.RECORDS, 1, key) == value
            wanted = [(1, key) for key in expected]
            assert committer.get_many(Space.RECORDS, wanted) == list(expected.values())
            assert committer.scan(Space.RECORDS, 1, b"", 10).rows == tuple(
                (key, value) for key, value in expected.items() if value is not None
            )
            committer._check()
            gate.open()
            await committer.drain()


async def test_is_empty_sees_what_is_pending():
    committer = Committer(FakeEngine(), gate := Gate(is_open=False))
    async with running(committer):
        assert committer.is_empty(Space.RECORDS)
        committer.submit([Change(Space.META, 0, b"m", b"")], Told().of("m"))
        assert committer.is_empty(Space.RECORDS)
        committer.submit([put(b"a")], Told().of("a"))
        assert not committer.is_empty(Space.RECORDS)
        gate.open()


async def test_a_submission_without_changes_waits_for_all_before_it_and_writes_nothing():
    engine, told, gate = FakeEngine(), Told(), Gate(is_open=False)
    committer = Committer(engine, gate)
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await gate.arrived.wait()
        committer.submit([], told.of("nothing"), durable=True)
        await trio.testing.wait_all_tasks_blocked()
        assert told.names == []
        gate.open()
        await committer.drain()
    assert told.names == ["a", "nothing"]
    assert engine.calls == ["apply 1"]


async def test_a_callback_may_submit_again():
    committer, told = Committer(FakeEngine(), Gate()), Told()

    def again(error: StorageError | None) -> None:
        committer.submit([put(b"b")], told.of("second"))

    async with running(committer):
        committer.submit([put(b"a")], again)
        await committer.drain()
        await committer.drain()
    assert told.all == [("second", None)]


async def test_submissions_are_refused_while_too_much_is_pending(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(committer_module, "PENDING_BYTES_MAX", 1000)
    told, gate = Told(), Gate(is_open=False)
    committer = Committer(FakeEngine(), gate)
    async with running(committer):
        committer.submit([put(b"a", bytes(1000))], told.of("a"))
        with pytest.raises(Overloaded) as refused:
            committer.submit([put(b"b")], told.of("b"))
        assert refused.value.retryable
        assert committer.get(Space.RECORDS, 1, b"b") is None
        gate.open()
        await trio.testing.wait_all_tasks_blocked()
        committer.submit([put(b"b")], told.of("b"))
    assert told.kinds == [("a", None), ("b", None)]


async def test_a_failed_commit_fails_all_that_is_pending_and_none_of_it_is_seen():
    engine, told, gate = FakeEngine(), Told(), Gate(is_open=False)
    engine.failures = [StorageError("it broke")]
    seen_at_failure: list[bytes | None] = []

    def on_failure(error: StorageError) -> None:
        told.of("owner")(error)
        seen_at_failure.append(committer.get(Space.RECORDS, 1, b"b"))

    committer = Committer(engine, gate, on_failure=on_failure)
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await gate.arrived.wait()
        committer.submit([put(b"b")], told.of("b"))
        gate.open()
        with pytest.raises(StorageError, match="it broke"):
            await committer.drain()
        assert told.kinds == [("owner", StorageError), ("a", StorageError), ("b", StorageError)]
        assert len({id(error) for _, error in told.all}) == 3, "each gets an error of its own"
        assert told.all[1][1] is not None
        assert told.all[1][1].outcome == "unknown"
        assert seen_at_failure == [None]
        assert committer.get(Space.RECORDS, 1, b"a") is None
        with pytest.raises(StorageError, match="it broke") as refused:
            committer.submit([put(b"c")], told.of("c"))
        assert refused.value.outcome == "not_applied"
        assert committer.statistics().refusing == "it broke"
        assert committer.statistics().failures == 1
        committer._check()
    assert engine.calls == ["apply 1"]


async def test_a_full_disk_refuses_until_a_probe_finds_room(
    autojump_clock: trio.testing.MockClock,
):
    engine, told = FakeEngine(), Told()
    engine.failures = [DiskFull("no room"), DiskFull("still no room")]
    committer = Committer(engine, Gate())
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await trio.sleep(PROBE_INTERVAL_S / 2)
        assert told.kinds == [("a", DiskFull)]
        for _ in range(2):  # the second time the first probe has failed
            with pytest.raises(DiskFull) as refused:
                committer.submit([put(b"b")], told.of("b"))
            assert refused.value.retryable
            await trio.sleep(PROBE_INTERVAL_S)
        assert committer.statistics().refusing is None
        committer.submit([put(b"b")], told.of("b"))
        await committer.drain()
        assert told.kinds == [("a", DiskFull), ("b", None)]
        assert engine.is_empty(Space.META), "a probe leaves nothing behind"


async def test_a_failed_sync_refuses_until_restart(autojump_clock: trio.testing.MockClock):
    engine, told = FakeEngine(), Told()
    engine.failures = [SyncFailed("lost pages")]
    committer = Committer(engine, Gate())
    async with running(committer):
        committer.submit([put(b"a")], told.of("a"))
        await trio.sleep(1000 * PROBE_INTERVAL_S)
        with pytest.raises(SyncFailed):
            committer.submit([put(b"b")], told.of("b"))
    assert engine.calls == ["apply 1"]


async def test_when_cancelled_the_commit_under_way_ends_and_the_rest_is_told():
    engine, told, gate = FakeEngine(), Told(), Gate(is_open=False)
    committer = Committer(engine, gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(committer.run)
        committer.submit([put(b"a")], told.of("a"))
        await gate.arrived.wait()
        committer.submit([put(b"b")], told.of("b"))
        nursery.cancel_scope.cancel()
        gate.open()
    assert told.kinds == [("a", None), ("b", StorageError)]
    assert engine.get(Space.RECORDS, 1, b"a") == b"v"
    assert committer.get(Space.RECORDS, 1, b"b") is None
    with pytest.raises(StorageError, match="stopped"):
        committer.submit([put(b"c")], told.of("c"))


async def test_an_exception_of_a_callback_is_raised_and_no_other_callback_is_lost():
    engine, told, gate = FakeEngine(), Told(), Gate(is_open=False)
    committer = Committer(engine, gate)

    def faulty(error: StorageError | None) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        with pytest.raises(ZeroDivisionError):
            await committer.run()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        committer.submit([put(b"a")], faulty)
        committer.submit([put(b"b")], told.of("b"))
        await gate.arrived.wait()
        committer.submit([put(b"c")], told.of("c"))
        gate.open()
    assert told.kinds == [("b", None), ("c", StorageError)]


async def test_a_bug_of_an_engine_is_raised_and_no_callback_is_lost():
    engine, told = FakeEngine(), Told()
    engine.failures = [ZeroDivisionError()]
    committer = Committer(engine, Gate())
    committer.submit([put(b"a")], told.of("a"))
    with pytest.raises(ZeroDivisionError):
        await committer.run()
    assert told.kinds == [("a", StorageError)]
    committer._check()


async def test_closing_commits_what_is_pending_and_takes_no_more():
    engine, told, gate = FakeEngine(), Told(), Gate(is_open=False)
    committer = Committer(engine, gate)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(committer.run)
        committer.submit([put(b"a")], told.of("a"))
        await gate.arrived.wait()
        committer.submit([put(b"b")], told.of("b"))
        nursery.start_soon(committer.aclose)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(StorageError, match="closed"):
            committer.submit([put(b"c")], told.of("c"))
        gate.open()
        await committer.aclose()
        assert engine.calls == ["apply 1", "apply 1"]
    assert told.kinds == [("a", None), ("b", None)]


async def test_closing_what_never_ran_tells_all_that_was_submitted():
    committer, told = Committer(FakeEngine(), Gate()), Told()
    committer.submit([put(b"a")], told.of("a"))
    await committer.aclose()
    assert told.kinds == [("a", StorageError)]
    await committer.run()  # returns at once


steps = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.booleans()), max_size=3),
        st.sampled_from(["go on", "go on", "wait", "commit fails"]),
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(steps=steps)
def test_each_submission_is_told_once_and_what_was_told_done_is_there(
    steps: list[tuple[list[tuple[bytes, bool]], str]],
):
    async def scenario() -> None:
        engine, told = FakeEngine(), Told()
        committer = Committer(engine, Gate())
        submitted: list[tuple[str, list[Change]]] = []
        async with running(committer):
            for number, (writes, then) in enumerate(steps):
                value = b"%d" % number
                changes = [put(key, value) if is_put else remove(key) for key, is_put in writes]
                committer.submit(changes, told.of(str(number)))
                submitted.append((str(number), changes))
                if then == "commit fails" and changes:
                    engine.failures = [DiskFull("no room")]
                if then != "go on":
                    await trio.testing.wait_all_tasks_blocked()
                    assert engine.failures == []
                    await trio.sleep(2 * PROBE_INTERVAL_S)
                committer._check()
        assert told.names == [name for name, _ in submitted]
        expected = MemoryEngine()
        for (_, changes), (_, error) in zip(submitted, told.all, strict=True):
            if error is None:
                expected.apply(changes)
        rows = expected.scan(Space.RECORDS, 1, b"", 10).rows
        assert engine.scan(Space.RECORDS, 1, b"", 10).rows == rows

    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))
