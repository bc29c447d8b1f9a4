"""One page of the keys of a partition, by quorum.

A page is the union of the pages of R primaries, cut at the first of their ends, so that no
key between is missed; what is a tombstone after merging is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from dynamo_py.causality import decode_record
from dynamo_py.cluster.buckets import is_last_write_wins
from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.peers import Peers, WalkChanged
from dynamo_py.coordinator.plan import needs_of_read
from dynamo_py.errors import DynamoError, InvalidRequest, QuorumNotMet
from dynamo_py.wire.messages import GetPage, Message, OtherWalk, Page, Scan, ScanPage


class Scanner:
    """Coordinates scans on one node."""

    def __init__(
        self,
        peers: Peers,
        *,
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self._peers = peers
        self._monotonic = monotonic
        self._wall_ms = wall_ms

    async def scan(self, view: ClusterView, scan: Scan, *, deadline: float) -> ScanPage:
        """A page of live keys; raises `QuorumNotMet` or `WalkChanged`."""
        if scan.partition >= view.ring.partitions:
            raise InvalidRequest(f"there is no partition {scan.partition}")
        primaries = view.preference_list(scan.partition).primaries
        required = needs_of_read(scan.quorum, len(primaries)).answers
        pages = await self._pages(view, scan, primaries, required, deadline)
        ends = [page.next_start for page in pages if page.next_start is not None]
        frontier = min(ends) if ends else None
        is_last_alone = is_last_write_wins(view.buckets.of_key(scan.prefix))
        return ScanPage(self._live_keys(pages, frontier, is_last_alone), frontier)

    async def _pages(
        self,
        view: ClusterView,
        scan: Scan,
        primaries: tuple[bytes, ...],
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
            scan.limit,
            True,
        )
        pages: dict[bytes, Page] = {}
        waiting = set(primaries)
        walk_changed = False
        decided = trio.Event()

        def on_reply(node: bytes, reply: Message | DynamoError) -> None:
            nonlocal walk_changed
            waiting.discard(node)
            walk_changed |= isinstance(reply, OtherWalk)
            if isinstance(reply, Page):
                pages[node] = reply
            votes = sum(1 for page in pages.values() if page.complete)
            if votes >= required or not waiting or walk_changed:
                decided.set()

        for node in primaries:
            self._peers.ask(view, node, message, wait_s=wait_s, on_reply=partial(on_reply, node))
        with trio.move_on_after(wait_s):
            await decided.wait()
        if len(pages) >= required:
            return list(pages.values())
        if walk_changed:
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
    merged = decode_record(records[0])
    for record in records[1:]:
        merged = merged.merge(decode_record(record))
    if is_last_alone:
        return merged.winner(now_ms) is not None
    return bool(merged.values(now_ms))
