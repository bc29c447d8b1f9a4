"""One page of the keys of a partition, by quorum.

A page is the union of the pages of R primaries, cut at the first of their ends, so that no
key between is missed; what is a tombstone after merging is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import trio

from dynamo_py.causality import decode_record
from dynamo_py.cluster.buckets import is_last_write_wins
from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.peers import Peers, WalkChanged
from dynamo_py.coordinator.plan import needs_of_read
from dynamo_py.errors import DynamoError, InvalidRequest, QuorumNotMet
from dynamo_py.wire.messages import GetPage, Message, OtherWalk, Page, Scan, ScanPage

LIMIT_MAX = 200
"""Keys of one page: reading, merging and looking at them takes a node some two milliseconds."""


class _Gathering:
    """The pages of some copies on their way. Asks as many as votes are needed, and then others."""

    def __init__(self, required: int, to_ask: Iterable[bytes]) -> None:
        self._required = required
        self._to_ask = list(to_ask)
        self._waiting = 0
        self._votes = 0
        self._ask: Callable[[bytes], None] = lambda node: None
        self.pages: dict[bytes, Page] = {}
        self.walk_changed = False
        self.decided = trio.Event()

    def begin(self, ask: Callable[[bytes], None]) -> None:
        """Ask the first ones."""
        self._ask = ask
        self._go_on()

    def ask_all(self) -> None:
        """Some are slow: ask whoever is left."""
        while self._to_ask and not self.decided.is_set():
            self._ask_next()

    def on_reply(self, node: bytes, reply: Message | DynamoError) -> None:
        """A page, or why there is none."""
        self._waiting -= 1
        self.walk_changed |= isinstance(reply, OtherWalk)
        if isinstance(reply, Page):
            self.pages[node] = reply
            self._votes += reply.complete
        self._go_on()

    def _go_on(self) -> None:
        if self.decided.is_set():
            return
        while self._to_ask and self._votes + self._waiting < self._required:
            self._ask_next()
        if self._votes >= self._required or not self._waiting or self.walk_changed:
            self.decided.set()

    def _ask_next(self) -> None:
        self._waiting += 1
        self._ask(self._to_ask.pop(0))


class Scanner:
    """Coordinates scans on one node."""

    def __init__(
        self,
        peers: Peers,
        *,
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
        hedge_s: float,
    ) -> None:
        """After ``hedge_s`` without enough answers all primaries are asked."""
        self._peers = peers
        self._hedge_s = hedge_s
        self._monotonic = monotonic
        self._wall_ms = wall_ms

    async def scan(self, view: ClusterView, scan: Scan, *, deadline: float) -> ScanPage:
        """A page of live keys; raises `QuorumNotMet` or `WalkChanged`."""
        if scan.partition >= view.ring.partitions:
            raise InvalidRequest(f"there is no partition {scan.partition}")
        primaries = view.route(scan.partition).primaries
        required = needs_of_read(scan.quorum, len(primaries)).answers
        pages = await self._pages(view, scan, required, deadline)
        ends = [page.next_start for page in pages if page.next_start is not None]
        frontier = min(ends) if ends else None
        is_last_alone = is_last_write_wins(view.buckets.of_key(scan.prefix))
        return ScanPage(self._live_keys(pages, frontier, is_last_alone), frontier)

    async def _pages(
        self,
        view: ClusterView,
        scan: Scan,
        required: int,
        deadline: float,
    ) -> list[Page]:
        """Pages of ``required`` complete copies; of others only where those do not suffice."""
        wait_s = max(0.0, deadline - self._monotonic())
        message = GetPage(
            scan.partition,
            view.placement.walk(scan.partition),
            scan.prefix,
            scan.start,
            min(scan.limit, LIMIT_MAX),
            True,
        )
        gathering = _Gathering(required, view.route(scan.partition).nearest_first)

        def ask(node: bytes) -> None:
            on_reply = partial(gathering.on_reply, node)
            self._peers.ask(view, node, message, wait_s=wait_s, on_reply=on_reply)

        gathering.begin(ask)
        with trio.move_on_after(min(self._hedge_s, wait_s)):
            await gathering.decided.wait()
        gathering.ask_all()
        with trio.move_on_after(max(0.0, deadline - self._monotonic())):
            await gathering.decided.wait()
        pages = gathering.pages
        if len(pages) >= required:
            return list(pages.values())
        if gathering.walk_changed:
            raise WalkChanged
        raise QuorumNotMet(
            f"{len(pages)} of the {required} replicas needed have answered; try again",
            required=required,
            acked=tuple(view.name_of(node) for node in pages),
            outcome="not_applied",
        )

    def _live_keys(
        self, pages: list[Page], frontier: bytes | None, is_last_alone: bool
    ) -> list[bytes]:
        held: dict[bytes, list[bytes]] = {}
        for page in pages:
            for key, record in page.rows:
                if frontier is None or key <= frontier:
                    held.setdefault(key, []).append(record)
        now_ms = self._wall_ms()
        return [key for key in sorted(held) if _is_live(held[key], now_ms, is_last_alone)]


def _is_live(records: list[bytes], now_ms: int, is_last_alone: bool) -> bool:
    first, *others = dict.fromkeys(records)  # Most copies are equal.
    merged = decode_record(first)
    for record in others:
        merged = merged.merge(decode_record(record))
    if is_last_alone:
        return merged.winner(now_ms) is not None
    return bool(merged.values(now_ms))
