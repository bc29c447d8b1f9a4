"""Scans: the keys of a bucket, partition by partition, with a cursor to go on from."""

from __future__ import annotations

import base64

import msgspec

from dynamo_py.client.requests import Requests, ask_for
from dynamo_py.errors import InvalidRequest
from dynamo_py.wire import messages as wire
from dynamo_py.wire.keys import routing_key, split_routing_key

PAGE_KEYS_FIRST = 32
PAGE_KEYS = 200
"""Pages double up to this: who wants a few keys does not pay for many."""

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(tuple[int, bytes])


class Scanned:
    """An asynchronous iterator over keys."""

    def __init__(
        self,
        requests: Requests,
        bucket: str,
        prefix: bytes,
        *,
        cursor: str | None,
        timeout_s: float,
    ) -> None:
        self._requests = requests
        self._prefix = routing_key(bucket, b"k")[:-1] + prefix
        self._timeout_s = timeout_s
        self._keys: list[bytes] = []
        self._page_keys = min(PAGE_KEYS, PAGE_KEYS_FIRST)
        self._partition, self._start = (0, b"") if cursor is None else _read_cursor(cursor)
        self._after_page: tuple[int, bytes] = (self._partition, self._start)

    @property
    def cursor(self) -> str | None:
        """Where a later scan goes on after the key yielded last; None after the last of all."""
        if self._partition >= self._requests.partitions:
            return None
        return base64.urlsafe_b64encode(_encode((self._partition, self._start))).decode()

    def __aiter__(self) -> Scanned:
        """The scan itself."""
        return self

    async def __anext__(self) -> str | bytes:
        """The next key."""
        while not self._keys:
            self._partition, self._start = self._after_page
            if self._partition >= self._requests.partitions:
                raise StopAsyncIteration
            await self._fetch_page()
        routing = self._keys.pop()
        self._start = routing
        if not self._keys:
            self._partition, self._start = self._after_page
        _, key = split_routing_key(routing)
        try:
            return key.decode()
        except UnicodeDecodeError:
            return key

    async def _fetch_page(self) -> None:
        message = wire.Scan(
            self._partition,
            self._prefix,
            self._start,
            self._page_keys,
            wire.Quorum(),
            self._requests.ring_digest,
        )
        page = await ask_for(self._requests, message, wire.ScanPage, timeout_s=self._timeout_s)
        self._keys = page.keys[::-1]
        self._page_keys = min(PAGE_KEYS, self._page_keys * 2)
        if page.next_start is None:
            self._after_page = (self._partition + 1, b"")
        else:
            self._after_page = (self._partition, page.next_start)


def _read_cursor(cursor: str) -> tuple[int, bytes]:
    try:
        partition, start = _decoder.decode(base64.urlsafe_b64decode(cursor))
    except (ValueError, msgspec.MsgspecError):
        raise InvalidRequest("this is no cursor: pass on what an earlier scan gave") from None
    if partition < 0:
        raise InvalidRequest("this is no cursor: pass on what an earlier scan gave")
    return partition, start
