"""Compares this node's copies with those of the other primaries, again and again.

Of two primaries of a partition the one with the lower id begins, so that each pair is compared
once. A *round* with one other node glances at the roots of all partitions shared with it, some
tens of bytes each, and exchanges those that differ. It comes every ``interval_s`` seconds while
all is equal; soon again, and ever less often, while differences are found or the other node
does not answer; at once where something has happened: a node is up again, a record was damaged,
an administrator asks (`hurry`); and `SETTLE_S` after the first of some changes of the table, with
those that share other partitions than before.

Knows nothing of how copies are compared (`dynamo_py.upkeep.exchange` does). A copy that its
own node is just completing is left to it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from dynamo_py.cluster.view import ClusterView, Placement
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import in_parallel
from dynamo_py.log import get_logger
from dynamo_py.upkeep.exchange import Exchanges
from dynamo_py.wire.sync_messages import PairSync, Sync

EXCHANGES_MAX = 3
"""Exchanges under way at once."""
AGAIN_FIRST_S = 0.5
"""How soon a round comes again that has found differences; doubled each time."""
AGAIN_FILLING_S = 2.0
"""How soon at the latest while a copy is just being completed: nobody tells when it is done."""

SETTLE_S = 2.0
"""So soon is compared what two nodes share anew: tokens move one after the other."""

FILLING = "a copy is being completed"

log = get_logger(__name__)


@dataclass(slots=True)
class PairState:
    """How two copies of a partition stand to each other, as far as is known here."""

    in_sync_at: float = -math.inf
    """When the last exchange without an overdue difference began, by trio's clock."""
    differences: int = 0
    """Keys that differed in the last exchange."""
    problem: str = "not compared yet"
    """Why the last exchange did not show them in sync; empty: it did."""


@dataclass(slots=True)
class _Peer:
    """The rounds with one other node."""

    due: float = -math.inf
    pause_s: float = AGAIN_FIRST_S
    is_busy: bool = False
    pairs: dict[int, PairState] = field(default_factory=dict)


class Exchanging:
    """The loop that keeps replicas in sync."""

    def __init__(
        self,
        exchanges: Exchanges,
        view: Callable[[], ClusterView],
        *,
        interval_s: float,
        is_filling: Callable[[int], bool],
    ) -> None:
        """``is_filling`` says of a partition whether this node is just completing its copy."""
        self._exchanges = exchanges
        self._view = view
        self._interval_s = interval_s
        self._is_filling = is_filling
        self._peers: dict[bytes, _Peer] = {}
        self._placement: Placement | None = None
        self._up: frozenset[bytes] = frozenset()
        self._changed = trio.Event()
        self._places = trio.CapacityLimiter(EXCHANGES_MAX)

    # --- what is told ---------------------------------------------------------------------------

    def on_view(self, view: ClusterView) -> None:
        """Another view: compare with who is up again, and what is shared anew."""
        if view.placement is not self._placement:
            self._placement = view.placement
            self._share(view)
        for node in sorted(view.up - self._up):
            self._hurry(node)
        self._up = view.up

    def hurry(self) -> None:
        """Compare everything now."""
        for node in self._peers:
            self._hurry(node)

    def _hurry(self, node: bytes) -> None:
        peer = self._peers.get(node)
        if peer is not None:
            peer.due = -math.inf
            peer.pause_s = AGAIN_FIRST_S
            self._changed.set()

    def _share(self, view: ClusterView) -> None:
        """With whom this node has to compare which partitions; what is known of them is kept."""
        shared: dict[bytes, list[int]] = {}
        for partition in range(view.ring.partitions):
            primaries = view.preference_list(partition).primaries
            for node in primaries if view.me in primaries else ():
                if node > view.me:
                    shared.setdefault(node, []).append(partition)
        before, self._peers = self._peers, {}
        for node in sorted(shared):
            peer = self._peers[node] = before.get(node) or _Peer()
            if not peer.pairs.keys() >= set(shared[node]):
                peer.due = min(peer.due, trio.current_time() + SETTLE_S)
                peer.pause_s = AGAIN_FIRST_S
                self._changed.set()
            peer.pairs = {p: peer.pairs.get(p) or PairState() for p in shared[node]}

    # --- rounds ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Compare until cancelled."""
        self.on_view(self._view())
        for peer in self._peers.values():
            peer.is_busy = False  # After a failure of this loop none of its rounds is left.
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                now = trio.current_time()
                waiting = {n: p for n, p in self._peers.items() if self._can_compare(n, p)}
                for node, peer in waiting.items():
                    if peer.due <= now:
                        peer.is_busy = True
                        # Whoever hurries from here on has the next round follow at once.
                        peer.due = math.inf
                        nursery.start_soon(self._round, node, peer)
                due = min((p.due for p in waiting.values() if not p.is_busy), default=math.inf)
                with trio.move_on_at(due):
                    await self._changed.wait()

    def _can_compare(self, node: bytes, peer: _Peer) -> bool:
        return not peer.is_busy and self._view().is_up(node)

    async def _round(self, node: bytes, peer: _Peer) -> None:
        """One round with one node, and when the next one is due."""
        try:
            is_quiet = await self._compare(node, peer)
        except DynamoError as error:
            is_quiet = False
            for state in peer.pairs.values():
                state.problem = error.message
            log.debug("not compared", node=self._view().name_of(node), reason=error.message)
        finally:
            peer.is_busy = False
        if is_quiet:
            peer.pause_s = AGAIN_FIRST_S
            pause_s = self._interval_s
        else:
            is_filling = any(state.problem == FILLING for state in peer.pairs.values())
            pause_max_s = AGAIN_FILLING_S if is_filling else self._interval_s
            pause_s = min(peer.pause_s, pause_max_s, self._interval_s)
            peer.pause_s *= 2
        peer.due = min(peer.due, trio.current_time() + pause_s)
        self._changed.set()

    async def _compare(self, node: bytes, peer: _Peer) -> bool:
        """Glance at all that is shared, exchange what differs; whether all was equal."""
        began = trio.current_time()
        pairs = dict(peer.pairs)
        glance = await self._exchanges.glance(node, list(pairs))
        for partition in glance.equal:
            _note(pairs[partition], began)
        for partition in glance.filling:
            pairs[partition].problem = FILLING
        todo: deque[int] = deque()
        for partition in glance.differing:
            if self._is_filling(partition):
                pairs[partition].problem = FILLING
            else:
                todo.append(partition)
        is_quiet = len(glance.equal) + len(todo) == len(pairs)

        async def work() -> None:
            nonlocal is_quiet
            while todo:
                partition = todo.popleft()
                is_quiet &= await self._exchange(node, partition, pairs[partition])

        await in_parallel(work, min(EXCHANGES_MAX, len(todo)))
        return is_quiet

    async def _exchange(self, node: bytes, partition: int, state: PairState) -> bool:
        """Exchange one partition; whether nothing differed."""
        began = trio.current_time()
        async with self._places:
            try:
                compared = await self._exchanges.exchange(partition, node)
            except DynamoError as error:
                state.problem = error.message
                return False
        state.differences = compared.differences
        if compared.is_in_sync:
            _note(state, began, compared.differences)
        else:
            state.problem = f"{compared.differences} keys differed"
        return not compared.differences and compared.is_in_sync

    # --- what is known --------------------------------------------------------------------------

    def pairs(self) -> list[tuple[int, bytes, PairState]]:
        """Partition, other node and state of each pair of copies that this node compares."""
        return [
            (partition, node, peer.pairs[partition])
            for node, peer in sorted(self._peers.items())
            for partition in sorted(peer.pairs)
        ]

    def report(self, hurry: bool) -> Sync:
        """The same by name, for administrators; ``hurry`` has all compared again at once."""
        if hurry:
            self.hurry()
        view, now = self._view(), trio.current_time()
        pairs = []
        for partition, node, state in self.pairs():
            is_up = view.is_up(node)
            name = view.name_of(node)
            age_ms = -1 if state.in_sync_at == -math.inf else int((now - state.in_sync_at) * 1000)
            problem = state.problem if is_up else f"{name} is down"
            pairs.append(
                PairSync(partition, view.name_of(view.me), name, age_ms, state.differences, problem)
            )
        return Sync(pairs, [])

    def statistics(self) -> dict[str, int]:
        """Pairs of copies compared from here, and those whose last exchange found no fault."""
        states = [state for _, _, state in self.pairs()]
        return {"pairs": len(states), "in_sync": sum(not state.problem for state in states)}

    def figures(self) -> dict[str, int]:
        """Figures for the metrics page, by name."""
        pairs, done = self.statistics(), self._exchanges.statistics()
        return {
            "pairs_compared": pairs["pairs"],
            "pairs_in_sync": pairs["in_sync"],
            "exchanges_total": done["exchanges"],
            "exchange_bytes_total": done["bytes"],
            "exchanged_records_total": done["fetched"] + done["pushed"],
            "dot_clashes_total": done["clashes"],
        }

    def _check(self) -> None:
        me = self._view().me
        assert all(node > me for node in self._peers)


def _note(state: PairState, began: float, differences: int = 0) -> None:
    state.in_sync_at, state.differences, state.problem = began, differences, ""
