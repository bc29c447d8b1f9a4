"""A client written from docs/PROTOCOL.md alone talks to a real node.

Of this project it uses nothing but the node: sockets, `struct` and plain MessagePack.
"""

from __future__ import annotations

import struct
from contextlib import asynccontextmanager
from typing import Any

import mmh3
import msgspec
import pytest
import trio

from dynamo_py.embedded import open_node

pack, unpack = msgspec.msgpack.encode, msgspec.msgpack.decode
HEAD = struct.Struct(">IBBIIQQ")
FAILURE, STALE = 3, 2


class ForeignClient:
    """One connection, one request at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._request_id = 0
        self.flags = 0

    async def greet(self, *hello: Any) -> tuple[int, list[Any]]:
        await self._send(1, 0, list(hello))
        return await self._receive(0)

    async def ask(self, number: int, *fields: Any) -> tuple[int, list[Any]]:
        """The number and the fields of the reply."""
        self._request_id += 1
        await self._send(number, self._request_id, list(fields))
        return await self._receive(self._request_id)

    async def _send(self, number: int, request_id: int, fields: list[Any]) -> None:
        body = pack(fields)
        head = HEAD.pack(26 + len(body), number, 0, request_id, 10_000, 7, 0)
        await self._stream.send_all(head + body)

    async def _receive(self, request_id: int) -> tuple[int, list[Any]]:
        head = HEAD.unpack(await self._exactly(HEAD.size))
        length, number, self.flags, replied_id, wait_ms, _, _ = head
        assert self.flags & 1
        assert (replied_id, wait_ms) == (request_id, 0)
        return number, unpack(await self._exactly(length - 26))

    async def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await self._stream.receive_some(count - len(data))
            assert more, "the node closed the connection"
            data += more
        return data


@asynccontextmanager
async def connected(tmp_path):
    """A client, greeted, and the node's ring."""
    node = open_node(data_dir=tmp_path / "n1", listen="127.0.0.1:0", partitions=8)
    async with node as opened:
        host, port = opened.addresses["client"].split(":")
        async with await trio.open_tcp_stream(host, int(port)) as stream:
            client = ForeignClient(stream)
            number, welcome = await client.greet(1, "client", None, None, None, "foreign")
            assert (number, welcome[0], welcome[4]) == (2, 1, "n1")
            number, ring = await client.ask(16)
            assert number == 17
            yield client, ring


def values_of(record: bytes, now_ms: int) -> list[bytes]:
    """What a reader sees, as the page tells it."""
    assert record[0] == 2
    _, siblings, _, _ = unpack(record[1:])
    values: dict[bytes, bytes] = {}
    for _, value, _, write_id, _, expires_ms in sorted(siblings, key=lambda s: (s[2], s[0])):
        if value is not None and (expires_ms == 0 or now_ms < expires_ms):
            values.setdefault(write_id, value)
    return list(values.values())


def context_of(record: bytes) -> bytes:
    vector, siblings, _, superseded = unpack(record[1:])
    attempts = {*superseded, *(s[2].to_bytes(8, "big") + s[3] for s in siblings)}
    seen = sorted(attempts)[-8:]
    return b"\x02" + pack([vector, int.from_bytes(seen[-1][:8], "big") if seen else 0, seen])


async def test_it_puts_gets_and_deletes(tmp_path):
    async with connected(tmp_path) as (client, ring):
        key, digest, any_number = b"carts\0alice", ring[3], [0, 0, 0]
        number, fetched = await client.ask(12, key, any_number, digest)
        assert (number, fetched[0]) == (13, None)
        for i, value in enumerate((b"apples", b"pears")):
            number, stored = await client.ask(
                10, key, value, b"", bytes([i]) * 16, 0, any_number, digest
            )
            assert (number, stored[1], stored[4]) == (11, ["n1"], i + 1)
        _, (record, now_ms, replied, degraded, primaries) = await client.ask(
            12, key, any_number, digest
        )
        assert (replied, degraded, primaries) == (["n1"], False, 1)
        assert values_of(record, now_ms) == [b"apples", b"pears"]
        number, stored = await client.ask(
            10, key, b"both", context_of(record), bytes([2]) * 16, 0, any_number, digest
        )
        assert (number, stored[4]) == (11, 1)
        await client.ask(10, key, None, stored[0], bytes([3]) * 16, 0, any_number, digest)
        _, fetched = await client.ask(12, key, any_number, digest)
        assert values_of(fetched[0], fetched[1]) == []
        assert client.flags == 1


async def test_a_repeated_put_is_one_write(tmp_path):
    async with connected(tmp_path) as (client, ring):
        put = [b"carts\0bob", b"v", b"", bytes(16)]
        for attempt in range(3):
            number, stored = await client.ask(10, *put, attempt, [0, 0, 0], ring[3])
            assert (number, stored[4]) == (11, 1)


async def test_it_scans_every_partition(tmp_path):
    async with connected(tmp_path) as (client, ring):
        keys = [b"carts\0%d" % i for i in range(20)]
        for key in keys:
            write_id = mmh3.hash_bytes(key)
            await client.ask(10, key, b"v", b"", write_id, 0, [0, 0, 0], 0)
            assert client.flags == 1 | STALE
        found: dict[bytes, int] = {}
        for partition in range(len(ring[5])):
            start: bytes | None = b""
            while start is not None:
                number, (page, start) = await client.ask(
                    14, partition, b"carts\0", start, 2, [], ring[3]
                )
                assert number == 15
                found.update(dict.fromkeys(page, partition))
        assert sorted(found) == sorted(keys)
        for key, partition in found.items():
            position = mmh3.hash64(key, seed=0, x64arch=True, signed=False)[0]
            assert position * len(ring[5]) >> 64 == partition


@pytest.mark.parametrize(
    ("number", "fields", "kind"),
    [
        (10, [b"no key", b"v", b"", bytes(16), 0, [0, 0, 0], 0], "InvalidRequest"),
        (10, [b"b\0k", b"v", b"\x07", bytes(16), 0, [0, 0, 0], 0], "InvalidRequest"),
        (12, [b"b\0k", [9, 0, 0], 0], "InvalidRequest"),
        (12, [b"b\0k", [0, 0, 0], 0, "nobody"], "InvalidRequest"),
        (14, [8, b"b\0", b"", 5, [0, 0, 0], 0], "InvalidRequest"),
        (42, [0, b"b\0k", 0], "InvalidRequest"),
    ],
)
async def test_a_wrong_request_is_answered_with_a_failure(tmp_path, number, fields, kind):
    async with connected(tmp_path) as (client, _):
        answer, failure = await client.ask(number, *fields)
        assert (answer, failure[0], failure[2]) == (FAILURE, kind, "not_applied")
        answer, _ = await client.ask(18)
        assert answer == 19
