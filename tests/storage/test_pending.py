"""The table of pending writes, and reads through it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.errors import StorageError
from dynamo_py.storage import pending as pending_module
from dynamo_py.storage.engine import Change, Scanned, Space
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.storage.pending import PendingChanges, cut


def ignore(error: StorageError | None) -> None:
    pass


def put(key: bytes, value: bytes, partition: int = 1) -> Change:
    return Change(Space.RECORDS, partition, key, value)


def remove(key: bytes, partition: int = 1) -> Change:
    return Change(Space.RECORDS, partition, key, None)


def pending_of(*submissions: list[Change]) -> PendingChanges:
    pending = PendingChanges()
    for changes in submissions:
        pending.add(changes, ignore, durable=False)
    return pending


def test_submissions_share_a_batch_until_it_is_taken():
    pending = pending_of([put(b"a", b"1")], [put(b"b", b"2")])
    first = pending.take()
    assert len(first.callbacks) == 2
    pending.add([put(b"a", b"3")], ignore, durable=True)
    pending._check()
    assert not first.is_durable
    pending.drop(first)
    second = pending.take()
    assert [change.value for change in second.changes.values()] == [b"3"]
    assert second.is_durable


def test_the_newest_change_of_a_row_is_found_also_while_an_older_one_is_in_flight():
    pending = pending_of([put(b"a", b"1")])
    batch = pending.take()
    pending.add([remove(b"a")], ignore, durable=False)
    assert pending.find((Space.RECORDS, 1, b"a")) == remove(b"a")
    pending.drop(batch)
    assert pending.find((Space.RECORDS, 1, b"a")) == remove(b"a")
    assert pending.find((Space.HINTS, 1, b"a")) is None


def test_a_batch_is_bounded_and_a_submission_is_never_cut(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pending_module, "BATCH_CHANGES_MAX", 3)
    pending = pending_of(
        [put(b"a", b"")],
        [put(b"%d" % number, b"") for number in range(5)],
        [put(b"z", b"")],
    )
    first = pending.take()
    assert len(first.changes) == 6
    pending.drop(first)
    assert len(pending.take().changes) == 1


def test_a_batch_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pending_module, "BATCH_BYTES_MAX", 1000)
    pending = pending_of([put(b"a", bytes(1000))], [put(b"b", b"")])
    assert len(pending.take().changes) == 1
    assert pending.changes_count() == 2


def test_size_returns_to_nothing():
    pending = pending_of([put(b"a", b"1")], [put(b"a", b"2")])
    assert pending.size_bytes > 0
    pending.drop(pending.take())
    assert pending.size_bytes == 0
    pending.add([put(b"a", b"1")], ignore, durable=False)
    assert len(pending.drop_all()) == 1
    assert pending.size_bytes == 0
    assert not pending
    pending._check()


def test_a_put_over_a_damaged_row_hides_the_damage():
    page = Scanned((), (b"a", b"b"), None)
    pending = pending_of([put(b"a", b"new")])
    assert pending.overlay(Space.RECORDS, 1, b"", page) == Scanned(((b"a", b"new"),), (b"b",))


def test_cut_moves_the_start_of_the_next_page():
    page = Scanned(((b"a", b""), (b"c", b"")), (b"b", b"d"), None)
    assert cut(page, 4) == page
    assert cut(page, 3) == Scanned(((b"a", b""), (b"c", b"")), (b"b",), b"c")
    assert cut(page, 2) == Scanned(((b"a", b""),), (b"b",), b"b")
    assert cut(page, 1) == Scanned(((b"a", b""),), (), b"a")


keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e", b"f"])
changes = st.builds(
    Change,
    st.sampled_from([Space.RECORDS, Space.HINTS]),
    st.integers(0, 1),
    keys,
    st.none() | st.binary(max_size=2),
)
submissions = st.lists(st.lists(changes, max_size=4), max_size=6)


@given(committed=submissions, in_flight=submissions, waiting=submissions, limit=st.integers(1, 7))
def test_reads_through_the_overlay_are_those_of_an_engine_with_all_applied(
    committed: list[list[Change]],
    in_flight: list[list[Change]],
    waiting: list[list[Change]],
    limit: int,
):
    engine, expected = MemoryEngine(), MemoryEngine()
    for batch in committed:
        engine.apply(batch)
    for batch in [*committed, *in_flight, *waiting]:
        expected.apply(batch)
    pending = pending_of(*in_flight)
    if pending:
        pending.take()
    for batch in waiting:
        pending.add(batch, ignore, durable=False)
    pending._check()

    for space in (Space.RECORDS, Space.HINTS):
        for partition in (0, 1):
            wanted = expected.scan(space, partition, b"", 100).rows
            assert all_rows(engine, pending, space, partition, limit) == wanted
            for key, value in wanted:
                change = pending.find((space, partition, key))
                found = engine.get(space, partition, key) if change is None else change.value
                assert found == value


def all_rows(
    engine: MemoryEngine, pending: PendingChanges, space: Space, partition: int, limit: int
) -> tuple[tuple[bytes, bytes], ...]:
    rows: tuple[tuple[bytes, bytes], ...] = ()
    start = b""
    while True:
        stored = engine.scan(space, partition, start, limit)
        page = cut(pending.overlay(space, partition, start, stored), limit)
        assert len(page.rows) <= limit
        rows += page.rows
        if page.next_start is None:
            return rows
        assert page.next_start > start
        start = page.next_start
