"""Reads what some leaves of a partition hold: for this node's exchanges, and for others'.

Which keys a leaf has is written down nowhere, so the partition is read, in the order of keys,
in slices of background work. Knows nothing of what is done with the answers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass

import trio

from dynamo_py.causality import Context, decode_record, encode_context
from dynamo_py.errors import DynamoError, Overloaded
from dynamo_py.net.link import OnReply
from dynamo_py.replica.hash_tree import digest_of, leaf_of
from dynamo_py.replica.replica import Replica
from dynamo_py.upkeep.building import Throttle
from dynamo_py.wire.sync_messages import GetLeaves, LeafRow, Leaves

PAGE_ROWS = 200
"""Rows read in one slice."""
WAITING_MAX = 64
"""Listings that others may have asked for at once; one more is refused."""
PAGES_MAX = 50
"""Pages read for one answer: at the slowest pace some seconds of others' waiting."""
ROWS_MAX = 2000
"""Rows of one answer: some 150 KiB."""


@dataclass(frozen=True, slots=True)
class Span:
    """The keys of some leaves of a partition after ``start`` and up to ``end`` (None: all)."""

    partition: int
    leaves: Container[int]
    start: bytes
    end: bytes | None


async def read_span(
    replica: Replica,
    wait_slice: Callable[[], Awaitable[None]],
    span: Span,
    take: Callable[[bytes, bytes], bool],
) -> bytes | None:
    """Give each key and record of ``span`` to ``take`` until it answers that it has enough.

    ``wait_slice`` waits until the next page may be read. Returns the last key looked at, where
    there may be more: then, and after `PAGES_MAX` pages. None: all were looked at. Damaged
    records are left out.
    """
    start: bytes | None = span.start
    for _ in range(PAGES_MAX):
        if start is None:
            break
        await wait_slice()
        page = replica.scan(span.partition, start, PAGE_ROWS)
        for key, record in page.rows:
            if span.end is not None and key > span.end:
                return None
            if leaf_of(key) in span.leaves and take(key, record):
                return key
        start = page.next_start
    return start


class _Queue:
    """Listings that are made one after the other."""

    def __init__(self, wait_slice: Callable[[], Awaitable[None]]) -> None:
        self.wait_slice = wait_slice
        self.waiting: deque[tuple[GetLeaves, OnReply]] = deque()
        self.asked = trio.Event()


class Listings:
    """Answers other nodes' `GetLeaves` while `run` runs.

    One after the other; but urgent ones do not wait for the others, nor for the throttle.
    """

    def __init__(self, replica: Replica, throttle: Throttle) -> None:
        self._replica = replica
        self._patient = _Queue(throttle.slice)
        self._urgent = _Queue(trio.lowlevel.checkpoint)

    def answer(self, asked: GetLeaves, reply: OnReply) -> None:
        """Have ``reply`` called with the answer; raises `Overloaded`."""
        queue = self._urgent if asked.urgent else self._patient
        if len(queue.waiting) >= WAITING_MAX:
            raise Overloaded(f"{len(queue.waiting)} listings of leaves are waiting already")
        queue.waiting.append((asked, reply))
        queue.asked.set()

    async def run(self) -> None:
        """Answer until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve, self._patient)
            nursery.start_soon(self._serve, self._urgent)

    async def _serve(self, queue: _Queue) -> None:
        while True:
            if not queue.waiting:
                queue.asked = trio.Event()
                await queue.asked.wait()
            asked, reply = queue.waiting.popleft()
            try:
                answer = await self._list(asked, queue.wait_slice)
            except DynamoError as error:
                reply(error)
            else:
                reply(answer)

    async def _list(self, asked: GetLeaves, wait_slice: Callable[[], Awaitable[None]]) -> Leaves:
        unmet = {digest: index for index, digest in enumerate(asked.known)}
        rows: list[LeafRow] = []

        def take(key: bytes, record: bytes) -> bool:
            digest = digest_of(key, record)
            if unmet.pop(digest, None) is None:
                rows.append(LeafRow(key, _context_of(record), digest))
            return len(rows) >= ROWS_MAX

        span = Span(asked.partition, frozenset(asked.leaves), asked.start, asked.end)
        reached = await read_span(self._replica, wait_slice, span, take)
        return Leaves(rows, sorted(unmet.values()), reached)

    def statistics(self) -> dict[str, int]:
        """Listings that wait."""
        return {"waiting": len(self._patient.waiting) + len(self._urgent.waiting)}


def _context_of(record: bytes) -> bytes:
    return encode_context(Context(decode_record(record).vector))
