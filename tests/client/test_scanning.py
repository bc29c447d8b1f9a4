"""Scans: every key once, from wherever an earlier scan stopped."""

from __future__ import annotations

import base64

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamo_py.client import scanning
from dynamo_py.client.bucket import Store
from dynamo_py.client.scanning import Scanned
from dynamo_py.errors import InvalidRequest, NodeUnavailable
from dynamo_py.wire import messages as wire

keys = st.binary(min_size=1, max_size=4) | st.text("ab", min_size=1, max_size=4).map(str.encode)


async def collected(scan: Scanned, count: int | None = None) -> list[str | bytes]:
    """The next ``count`` keys, or all."""
    found: list[str | bytes] = []
    while count is None or len(found) < count:
        try:
            found.append(await anext(scan))
        except StopAsyncIteration:
            break
    return found


def as_user(key: bytes) -> str | bytes:
    try:
        return key.decode()
    except UnicodeDecodeError:
        return key


def test_a_scan_goes_on_from_any_key(new_memory, monkeypatch):
    monkeypatch.setattr(scanning, "PAGE_KEYS", 3)

    @given(st.sets(keys, max_size=30), st.sampled_from([b"", b"a", b"ab"]), st.data())
    @settings(max_examples=60)
    def check(stored, prefix, data):
        memory = new_memory()
        for key in stored:
            memory.put(b"carts\0" + key, b"v")
            memory.put(b"cart\0" + key, b"another bucket")
        bucket = Store(memory).bucket("carts")
        expected = {as_user(key) for key in stored if key.startswith(prefix)}
        first = data.draw(st.integers(0, len(expected)))

        async def main() -> None:
            scan = bucket.scan(prefix=prefix)
            before = await collected(scan, first)
            cursor = scan.cursor
            rest = await collected(scan)
            assert scan.cursor is None
            later = (
                [] if cursor is None else await collected(bucket.scan(prefix=prefix, cursor=cursor))
            )
            assert later == rest
            assert set(before) | set(rest) == expected
            assert len(before) + len(rest) == len(expected)

        trio.run(main)

    check()


async def test_keys_are_text_where_they_can_be(memory):
    for key in ("é".encode(), b"\xff", b"a\0b"):
        memory.put(b"carts\0" + key, b"v")
    found = await collected(Store(memory).bucket("carts").scan())
    assert set(found) == {"é", b"\xff", "a\0b"}


async def test_deleted_keys_are_not_seen(memory):
    carts = Store(memory).bucket("carts")
    await carts.put("alice", b"v")
    await carts.put("bob", b"v")
    await carts.delete("alice")
    assert [key async for key in carts.scan()] == ["bob"]


async def test_an_empty_bucket_has_no_keys(memory):
    scan = Store(memory).bucket("carts").scan()
    assert await collected(scan) == []
    assert scan.cursor is None


async def test_a_scan_that_failed_goes_on_where_it_was(memory, monkeypatch):
    monkeypatch.setattr(scanning, "PAGE_KEYS", 2)
    for number in range(20):
        memory.put(b"carts\0%d" % number, b"v")
    fails = iter([False, False, True] * 100)

    def before(message: wire.Message) -> None:
        if next(fails):
            raise NodeUnavailable("gone")

    memory.before = before
    scan = Store(memory).bucket("carts").scan()
    found: list[str | bytes] = []
    errors = 0
    while True:
        try:
            found.append(await anext(scan))
        except StopAsyncIteration:
            break
        except NodeUnavailable:
            errors += 1
    assert errors
    assert sorted(found, key=str) == sorted((str(number) for number in range(20)), key=str)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "not base64!",
        "é",
        base64.urlsafe_b64encode(b"\xff").decode(),
        base64.urlsafe_b64encode(msgspec.msgpack.encode((-1, b""))).decode(),
        base64.urlsafe_b64encode(msgspec.msgpack.encode((0, "text"))).decode(),
        base64.urlsafe_b64encode(msgspec.msgpack.encode((0, b"", 1))).decode(),
    ],
)
def test_what_is_no_cursor_is_refused(memory, cursor):
    with pytest.raises(InvalidRequest, match="no cursor"):
        Store(memory).bucket("carts").scan(cursor=cursor)


async def test_a_cursor_past_the_last_partition_is_the_end(memory):
    cursor = base64.urlsafe_b64encode(msgspec.msgpack.encode((10**6, b""))).decode()
    assert await collected(Store(memory).bucket("carts").scan(cursor=cursor)) == []


@pytest.mark.parametrize("prefix", ["\ud800", 5, None])
def test_a_prefix_that_cannot_be_is_refused(memory, prefix):
    with pytest.raises(InvalidRequest):
        Store(memory).bucket("carts").scan(prefix=prefix)
