"""The cache of rows: what it returns is what was put last, and it stays within its bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.storage.engine import Space
from dynamo_py.storage.row_cache import ROW_BYTES_MAX, ROW_OVERHEAD_BYTES, RowCache

KEYS = st.sampled_from([b"a", b"b", b"c", b"d"])
VALUES = st.none() | st.binary(max_size=50)


def at(key: bytes) -> tuple[Space, int, bytes]:
    return (Space.RECORDS, 0, key)


@given(st.lists(st.tuples(KEYS, VALUES), max_size=30))
def test_a_row_is_either_as_it_was_put_last_or_not_kept(changes):
    cache = RowCache(bytes_max=3 * ROW_OVERHEAD_BYTES)
    last: dict[bytes, bytes | None] = {}
    for key, value in changes:
        cache.put(at(key), value)
        last[key] = value
        cache._check()
        assert all(cache.get(at(k)) in (None, v) for k, v in last.items())


def test_the_row_that_was_not_asked_for_goes_first():
    cache = RowCache(bytes_max=2 * (ROW_OVERHEAD_BYTES + 2))
    cache.put(at(b"a"), b"1")
    cache.put(at(b"b"), b"2")
    assert cache.get(at(b"a")) == b"1"
    cache.put(at(b"c"), b"3")
    assert [cache.get(at(k)) for k in (b"a", b"b", b"c")] == [b"1", None, b"3"]


def test_a_row_that_is_gone_is_not_returned():
    cache = RowCache()
    cache.put(at(b"a"), b"1")
    cache.put(at(b"a"), None)
    assert cache.get(at(b"a")) is None
    assert cache.size_bytes == 0


def test_a_large_row_is_not_kept_and_pushes_nothing_out():
    cache = RowCache()
    cache.put(at(b"a"), b"1")
    cache.put(at(b"b"), bytes(ROW_BYTES_MAX + 1))
    assert cache.get(at(b"b")) is None
    assert cache.get(at(b"a")) == b"1"
