"""Hands hints back to the nodes that they are kept for, once these are up again.

For each target that is up one task walks over the hints in the order of (partition, key) and
sends each as a `HandOff`. A target is taken out of a hint only when it has answered `Done`,
which it does when the record is on its disk, and only if the hint has not grown since it was
sent. What is left, because it has grown or was not confirmed, is for the next round. A target
that goes down ends its task; one that comes back gets another.

A target that is a primary no more, since a member was removed or a token has moved, is
replaced by those that are: all of them must confirm. Where this node is one of them it merges
the hint into its own copy, durably, before anybody is taken out of it.

Knows nothing of why a target was down. After a restart all hints are counted first, in the
background (`dynamo_py.replica.hints`); whom they are kept for is then told to all nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from dynamo_py.cluster.view import ClusterView, Placement
from dynamo_py.coordinator.peers import Peers
from dynamo_py.errors import DynamoError, StorageError
from dynamo_py.log import get_logger
from dynamo_py.replica.hints import Hint, KeptFor
from dynamo_py.replica.replica import Replica
from dynamo_py.upkeep.flow import Rate, Window
from dynamo_py.wire.messages import Done, HandOff, HintFigures, HintsKept, Message, OtherWalk

PAGE_ROWS = 100
"""Hints that are looked through in one slice of the throttle."""
SENT_ROWS = 16
"""Hints that are sent in one: a millisecond or two, with their acknowledgements."""
HAND_OFF_S = 10.0
"""How long a target may take to confirm."""
FAILURES_MAX = 3
"""After so many in a row without a confirmation between, a round ends."""
PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 5.0
"""Between two rounds for one target, while the one before has achieved nothing."""
TELL_PAUSE_S = 0.2
"""Whom hints are kept for is told to all nodes; not more often than this."""
AGE_MS_MAX = 2**53
"""No clock is right that says more."""

log = get_logger(__name__)


class Throttle(Protocol):
    """What grants background work its slices: `dynamo_py.upkeep.throttle.Throttle`."""

    async def slice(self) -> None:
        """Wait until the next bounded piece of work may be done."""
        ...


@dataclass(frozen=True, slots=True)
class Replaying:
    """How the hints for one target are doing."""

    target: bytes
    kept: KeptFor
    per_second: float
    """Confirmations, by a moving average."""
    eta_s: float | None
    """Until the last one at that rate; None: nobody knows."""


@dataclass(slots=True)
class _Target:
    """One target, for as long as there are hints for it."""

    node: bytes
    window: Window = field(default_factory=Window)
    rate: Rate = field(default_factory=Rate)
    confirmed: int = 0
    failures_in_row: int = 0
    changed: trio.Event = field(default_factory=trio.Event)

    def note(self) -> None:
        """An answer came in."""
        self.changed.set()
        self.changed = trio.Event()


class HintReplay:
    """The loop that brings hints home."""

    def __init__(
        self,
        replica: Replica,
        peers: Peers,
        throttle: Throttle,
        view: Callable[[], ClusterView],
        *,
        tell: Callable[[tuple[bytes, ...]], None],
    ) -> None:
        """``tell`` is given the targets whenever they change, for all other nodes to know."""
        self._replica = replica
        self._hints = replica.hints
        self._peers = peers
        self._throttle = throttle
        self._view = view
        self._tell = tell
        self._told: tuple[bytes, ...] | None = None
        self._work = trio.Event()
        self._targets: dict[bytes, _Target] = {}
        self._running: set[bytes] = set()
        self._is_aim_doubted = True
        """Whether some target may be no primary any more: so it is at the start."""
        self._is_aiming = False
        self.confirmed = 0
        """How many hand-overs were confirmed since the start."""
        self.failed = 0
        self._hints.on_targets = self.notify

    # --- what the others tell -------------------------------------------------------------------

    def notify(self) -> None:
        """Somebody may be up who was down, or there is a hint for somebody new."""
        self._work.set()

    def on_placement(self, before: Placement) -> None:
        """The table has changed: some targets may be no primaries any more."""
        self._is_aim_doubted = True
        self._work.set()

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Replay whatever can be, until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    self._work = trio.Event()
                    await self._count()
                    self._drop_damaged()
                    await self._tell_targets()
                    if self._is_aim_doubted and not self._is_aiming:
                        self._is_aiming = True
                        nursery.start_soon(self._aim_anew)
                    for node in self._hints.targets():
                        if node not in self._running and self._view().is_up(node):
                            self._running.add(node)
                            nursery.start_soon(self._hand_back, self._target(node))
                    await self._work.wait()
        finally:
            self._running.clear()
            self._is_aiming = False

    def _target(self, node: bytes) -> _Target:
        return self._targets.setdefault(node, _Target(node))

    async def _count(self) -> None:
        while not self._hints.is_counted:
            await self._throttle.slice()
            self._hints.count_page(self._view().ring.partitions)

    def _drop_damaged(self) -> None:
        """What was in them has to come from the other replicas."""
        dropped = self._hints.drop_damaged() if self._hints.has_damaged else 0
        if dropped:
            log.error("hints were damaged, and are dropped", count=dropped)
            self._work.set()  # They are counted anew.

    async def _tell_targets(self) -> None:
        """Tell all nodes for whom hints are kept, if that is news."""
        targets = self._hints.targets()
        for node in [node for node in self._targets if node not in targets]:
            if node not in self._running:
                del self._targets[node]
        if targets != self._told:  # An empty set too: others may remember one of an earlier life.
            self._told = targets
            self._tell(targets)
            await trio.sleep(TELL_PAUSE_S)

    # --- handing back ---------------------------------------------------------------------------

    async def _hand_back(self, target: _Target) -> None:
        """Rounds over all hints for one target, until there are none or it is down."""
        log.info("hints are handed back", node=self._name(target), count=self._left(target))
        pause_s = PAUSE_FIRST_S
        try:
            while self._left(target) and self._view().is_up(target.node):
                confirmed = target.confirmed
                target.failures_in_row = 0
                await self._walk(target)
                while target.window.under_way:
                    await target.changed.wait()
                if self._left(target):
                    is_progress = target.confirmed > confirmed
                    pause_s = PAUSE_FIRST_S if is_progress else min(pause_s * 2, PAUSE_MAX_S)
                    await trio.sleep(pause_s)
        finally:
            self._running.discard(target.node)
        # It may have come back, or got another hint, since the last look.
        self._work.set()
        log.info("hints were handed back", node=self._name(target), left=self._left(target))

    async def _walk(self, target: _Target) -> None:
        """One round: each hint is sent once."""
        for partition in self._hints.partitions_for(target.node):
            start: bytes | None = b""
            while start is not None and self._may_go_on(target):
                await self._throttle.slice()
                page = self._hints.page(partition, start, PAGE_ROWS)
                its = [(key, hint.record) for key, hint in page.rows if target.node in hint.targets]
                if self._hints.has_damaged:
                    self._work.set()
                await self._send_rows(target, partition, its)
                start = page.next_start

    async def _send_rows(
        self, target: _Target, partition: int, rows: list[tuple[bytes, bytes]]
    ) -> None:
        for number, (key, record) in enumerate(rows, start=1):
            while not target.window.has_room(len(record)):
                await target.changed.wait()
            if not self._may_go_on(target):
                return
            self._send(target, partition, key, record)
            if number % SENT_ROWS == 0:
                await self._throttle.slice()

    def _may_go_on(self, target: _Target) -> bool:
        return target.failures_in_row < FAILURES_MAX and self._view().is_up(target.node)

    def _send(self, target: _Target, partition: int, key: bytes, record: bytes) -> None:
        view = self._view()
        route = view.route(partition)
        if target.node not in route.primaries:
            self._is_aim_doubted = True
            self._work.set()
            return
        target.window.sent(len(record))
        self._peers.ask(
            view,
            target.node,
            HandOff(partition, key, route.walk, record),
            wait_s=HAND_OFF_S,
            on_reply=partial(self._on_reply, target, partition, key, record, trio.current_time()),
        )

    def _on_reply(
        self,
        target: _Target,
        partition: int,
        key: bytes,
        record: bytes,
        sent_at_s: float,
        reply: Message | DynamoError,
    ) -> None:
        """A plain ``def`` from the answer to the hint without its target."""
        now_s = trio.current_time()
        if isinstance(reply, Done):
            target.window.acked(len(record), now_s - sent_at_s)
            target.rate.note(now_s)
            target.confirmed += 1
            target.failures_in_row = 0
            self.confirmed += 1
            with suppress(DynamoError):  # It stays in the hint then, and is handed it again.
                self._hints.aim(partition, key, record, gone=(target.node,))
        elif isinstance(reply, OtherWalk):
            target.window.unsaid(len(record))  # Our table was the older one: the next round.
        else:
            self._note_failure(target, record, reply)
        target.note()

    def _note_failure(self, target: _Target, record: bytes, reply: Message | DynamoError) -> None:
        is_about_the_node = not isinstance(reply, DynamoError) or reply.retryable
        self.failed += 1
        target.window.failed(len(record))
        target.failures_in_row += is_about_the_node
        reason = reply.message if isinstance(reply, DynamoError) else type(reply).__name__
        log.debug("hint not handed back", node=self._name(target), reason=reason)

    # --- aiming anew ----------------------------------------------------------------------------

    async def _aim_anew(self) -> None:
        """Replace targets that are no primaries any more, where there may be some."""
        self._is_aim_doubted = False
        try:
            for partition in self._hints.partitions():
                start: bytes | None = b""
                while start is not None:
                    await self._throttle.slice()
                    page = self._hints.page(partition, start, PAGE_ROWS)
                    for key, hint in page.rows:
                        self._aim(partition, key, hint)
                    start = page.next_start
        except BaseException:
            self._is_aim_doubted = True
            raise
        self._is_aiming = False
        self._work.set()  # There may be targets now that were none, or doubts since it began.

    def _aim(self, partition: int, key: bytes, hint: Hint) -> None:
        """All primaries of now, in the stead of those that are none any more."""
        view = self._view()
        primaries = view.route(partition).primaries
        gone = [node for node in hint.targets if node not in primaries or node == view.me]
        if not gone:
            return
        others = [node for node in primaries if node != view.me]

        def on_commit(error: StorageError | None) -> None:
            if error is None:
                with suppress(DynamoError):
                    self._hints.aim(partition, key, hint.record, gone=gone, instead=others)
            else:
                self._is_aim_doubted = True

        if view.me in primaries:
            self._replica.merge(
                partition, key, hint.record, hinted_for=None, on_commit=on_commit, durable=True
            )
        else:
            self._hints.aim(partition, key, hint.record, gone=gone, instead=others)

    # --- figures --------------------------------------------------------------------------------

    def replaying(self) -> Iterator[Replaying]:
        """The figures of each target, as far as hints are counted."""
        now_s = trio.current_time()
        for node in self._hints.targets():
            kept = self._hints.kept_for(node)
            rate = self._target(node).rate.per_second(now_s)
            # Less than one in some minutes is no rate to reckon with.
            eta_s = kept.count / rate if rate > 0.01 else None
            yield Replaying(node, kept, rate, eta_s)

    def report(self) -> HintFigures:
        """The same for those who ask."""
        view = self._view()
        me = view.name_of(view.me)
        kept = [
            HintsKept(
                me,
                view.name_of(each.target),
                each.kept.count,
                each.kept.bytes,
                min(each.kept.age_ms, AGE_MS_MAX),
                round(each.per_second * 60),
                -1 if each.eta_s is None else math.ceil(each.eta_s),
            )
            for each in self.replaying()
        ]
        counting = [] if self._hints.is_counted else [me]
        return HintFigures(kept, self._hints.lost, counting, [])

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return {
            "hint_bytes": self._hints.size_bytes,
            "hints_lost_total": self._hints.lost,
            "hints_refused_total": self._hints.refused,
            "hints_handed_back_total": self.confirmed,
            "hint_hand_back_failures_total": self.failed,
        }

    def statistics(self) -> dict[str, int]:
        """Hand-overs since the start, and for how many targets some are under way."""
        return {
            "confirmed": self.confirmed,
            "failed": self.failed,
            "under_way": sum(target.window.under_way for target in self._targets.values()),
            "running": len(self._running),
        }

    def _left(self, target: _Target) -> int:
        return self._hints.kept_for(target.node).count

    def _name(self, target: _Target) -> str:
        return self._view().name_of(target.node)

    def _check(self) -> None:
        for target in self._targets.values():
            target.window._check()
