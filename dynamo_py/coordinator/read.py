"""One read over R of N replicas: ask, wait, merge, answer, and mend whoever was behind.

The pure parts are in `plan` and `tally`. Any node can coordinate a read, since nothing is
minted. It asks itself and R - 1 other primaries first, slow ones last
(`dynamo_py.coordinator.hedging`); who fails or may not vote is followed by the next primary at
once, who stays silent for longer than usual too, and fallbacks are asked only where the
primaries do not suffice. (DeCandia et al. 2007, section 4.5)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dynamo_py.causality import decode_record, encode_record, merge_all
from dynamo_py.cluster.view import ClusterView
from dynamo_py.config import CoordinatorConfig
from dynamo_py.coordinator.hedging import Hedging
from dynamo_py.coordinator.peers import Peers, WalkChanged
from dynamo_py.coordinator.plan import needs_of_read
from dynamo_py.coordinator.slow import SlowRequests, Trail
from dynamo_py.coordinator.tally import Answer, ReadTally
from dynamo_py.errors import DynamoError, ProtocolError, QuorumNotMet
from dynamo_py.net.alarms import Alarms
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.net.link import OnReply
from dynamo_py.net.signal import Latch
from dynamo_py.wire.messages import (
    Fetched,
    Get,
    Message,
    OtherWalk,
    ReplicaGet,
    ReplicaPut,
    ReplicaRecord,
)

REPAIR_S = 5.0
"""How long a record pushed by read repair may take; nobody waits for it."""
PROBE_S = 1.0
"""How long a slow replica may take that is asked only to learn whether it still is."""


class Reader:
    """Coordinates reads on one node."""

    def __init__(
        self,
        peers: Peers,
        config: CoordinatorConfig,
        *,
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
        alarms: Alarms,
        slow: SlowRequests,
    ) -> None:
        self._peers = peers
        self._config = config
        self._monotonic = monotonic
        self._wall_ms = wall_ms
        self._alarms = alarms
        self._slow = slow
        self.hedging = Hedging(config.hedge_s)

    async def read(
        self, view: ClusterView, get: Get, *, deadline: float, trace_id: int = 0
    ) -> Fetched:
        """Carry out ``get`` by ``view``; raises `QuorumNotMet` or `WalkChanged`."""
        partition = view.partition_of(get.key)
        primaries = view.route(partition).primaries
        needs = needs_of_read(get.quorum, len(primaries))
        tally = ReadTally(primaries, needs)
        trail = Trail("get", self._monotonic)
        asking = _Asking(self._peers, view, self.hedging, self._monotonic, trace_id)
        under_way = _ReadUnderWay(asking, partition, get.key, tally, trail)
        wait_s = max(0.0, deadline - self._monotonic())
        under_way.start(wait_s)
        budget_s = min(self._config.replica_budget_s, wait_s)
        hedge_s, follow_s = under_way.hedge_waits_s()
        steps = (
            (min(hedge_s, budget_s), under_way.hedge),
            (min(follow_s, budget_s), under_way.ask_remaining_primaries),
            (budget_s, under_way.ask_fallbacks),
            (wait_s, under_way.give_up),
        )
        await self._alarms.wait(under_way.decided, steps)
        trail.mark("answered")
        self._slow.note(get.key, trail)
        return under_way.outcome(self._wall_ms())

    async def read_one(
        self, view: ClusterView, get: Get, node: bytes, *, deadline: float
    ) -> Fetched:
        """What ``node`` holds itself; raises what it answered with instead."""
        answer = AwaitedReply()
        message = ReplicaGet(view.partition_of(get.key), get.key, 0)
        wait_s = max(0.0, deadline - self._monotonic())
        self._peers.ask(view, node, message, wait_s=wait_s, on_reply=answer)
        reply = await answer.wait()
        if not isinstance(reply, ReplicaRecord):
            raise ProtocolError(f"a get was answered by a {type(reply).__name__}")
        name = view.name_of(node)
        return Fetched(reply.record, self._wall_ms(), [name], not reply.complete, 0)


class _Asking:
    """How one read reaches others, and how it is measured what they take."""

    def __init__(
        self,
        peers: Peers,
        view: ClusterView,
        hedging: Hedging,
        monotonic: Callable[[], float],
        trace_id: int,
    ) -> None:
        self._peers = peers
        self.view = view
        self.hedging = hedging
        self.monotonic = monotonic
        self._trace_id = trace_id

    def get(self, node: bytes, message: ReplicaGet, *, wait_s: float, on_reply: OnReply) -> None:
        """Ask ``node`` for its copy."""
        if node != self.view.me:
            began = self.monotonic()
            self.hedging.latencies.begin(node, began)
            on_reply = partial(self._measured, node, began, on_reply)
        self.send(node, message, wait_s=wait_s, on_reply=on_reply)

    def send(self, node: bytes, message: Message, *, wait_s: float, on_reply: OnReply) -> None:
        """Ask ``node``, unmeasured."""
        self._peers.ask(
            self.view, node, message, wait_s=wait_s, on_reply=on_reply, trace_id=self._trace_id
        )

    def _measured(
        self, node: bytes, began: float, on_reply: OnReply, reply: Message | DynamoError
    ) -> None:
        is_answered = not isinstance(reply, DynamoError)
        self.hedging.latencies.end(node, began, self.monotonic(), is_answered=is_answered)
        on_reply(reply)


class _ReadUnderWay:
    """The state of one read while its request's task waits."""

    def __init__(
        self, asking: _Asking, partition: int, key: bytes, tally: ReadTally, trail: Trail
    ) -> None:
        view = asking.view
        route = view.route(partition)
        self._asking = asking
        self._hedging = asking.hedging
        self._view = view
        self._partition = partition
        self._key = key
        self._primaries = route.primaries
        self._usual = route.nearest_first
        self._order = asking.hedging.order(view, route, tally.lacking, asking.monotonic())
        self._to_ask = list(self._order)
        self._fallbacks = list(route.fallbacks_up[: len(route.primaries)])
        self._message = ReplicaGet(partition, key, route.walk)
        self._tally = tally
        self._trail = trail
        self._wait_s = 0.0
        self.decided = Latch()
        """Set once nothing is to be waited for any more."""
        self._walk_changed = False
        self._is_answered = False

    def start(self, wait_s: float) -> None:
        """Ask as many primaries as votes are needed."""
        self._wait_s = wait_s
        self._ask_lacking()
        if self._order is not self._usual:
            self._probe()
        self._decide()

    def hedge_waits_s(self) -> tuple[float, float]:
        """How long to wait for those asked before `hedge`, and before asking all primaries."""
        asked = len(self._order) - len(self._to_ask)
        return self._hedging.waits_s(self._order[:asked])

    def hedge(self) -> None:
        """Somebody who was asked takes longer than usual: ask one more, if the budget allows."""
        if not self._to_ask:
            return
        node, now = self._to_ask[0], self._asking.monotonic()
        if self._hedging.may_hedge(self._view, self._usual, node, now):
            self._trail.mark("asked too", node)
            self._ask(self._to_ask.pop(0))
            self._decide()

    def ask_remaining_primaries(self) -> None:
        """Somebody who was asked may never answer."""
        while self._to_ask:
            self._hedging.note_followed()
            self._ask(self._to_ask.pop(0))
        self._decide()

    def ask_fallbacks(self) -> None:
        """The primaries do not suffice: ask those who may stand in for them.

        From here on a primary that is silent does not hold up an answer that is enough.
        """
        self._tally.late()
        # One by one: the first may fail at once, and must not seem to be the last.
        while self._fallbacks:
            self._ask(self._fallbacks.pop(0))
        self._decide()

    def give_up(self) -> None:
        """The time is up."""
        self.decided.set()

    def outcome(self, now_ms: int) -> Fetched:
        """The merged answer, or the error that the wait ended with."""
        tally = self._tally
        names = [self._view.name_of(node) for node in tally.answers()]
        if not tally.is_met:
            if self._walk_changed:
                raise WalkChanged
            if not tally.is_enough:
                raise QuorumNotMet(
                    f"{len(names)} of the {tally.required} replicas needed have answered;"
                    " try again, or read with a smaller r",
                    required=tally.required,
                    acked=tuple(names),
                    outcome="not_applied",
                )
        self._is_answered = True
        merged = self._merge_and_repair()
        degraded = not tally.is_met or self._may_lack_hints()
        return Fetched(merged, now_ms, names, degraded, tally.primaries)

    def _may_lack_hints(self) -> bool:
        """Whether hints wait elsewhere for one that voted: it lacks what was put in its stead."""
        hinted = self._view.hinted
        return bool(hinted) and not hinted.isdisjoint(self._tally.voters())

    def _merge_and_repair(self) -> bytes | None:
        """The join of all answers; primaries that hold less are sent it, in the background."""
        answers = self._tally.answers()
        records = dict.fromkeys(a.record for a in answers.values() if a.record is not None)
        if not records:
            return None
        if len(records) == 1:
            (merged,) = records
        else:
            merged = encode_record(merge_all(decode_record(record) for record in records))
        for node, answer in answers.items():
            if answer.record != merged and node in self._primaries:
                self._repair(node, merged)
        return merged

    def _repair(self, node: bytes, record: bytes) -> None:
        mended = ReplicaPut(self._partition, self._key, self._message.walk, record)
        self._asking.send(node, mended, wait_s=REPAIR_S, on_reply=_forget)

    def _probe(self) -> None:
        """Ask slow ones that were passed over, beside the read: nobody waits for them."""
        now = self._asking.monotonic()
        for node in self._hedging.to_probe(self._usual, self._to_ask, now):
            self._asking.get(node, self._message, wait_s=PROBE_S, on_reply=_forget)

    def _ask_lacking(self) -> None:
        while self._to_ask and self._tally.lacking:
            self._ask(self._to_ask.pop(0))

    def _ask(self, node: bytes) -> None:
        self._tally.asked(node)
        on_reply = partial(self._on_reply, node)
        self._asking.get(node, self._message, wait_s=self._wait_s, on_reply=on_reply)

    def _on_reply(self, node: bytes, reply: Message | DynamoError) -> None:
        if self._is_answered:
            return
        if isinstance(reply, ReplicaRecord):
            self._tally.answered(node, Answer(reply.record, reply.complete))
            self._trail.mark("answered", node)
        else:
            self._tally.failed(node)
            self._trail.mark("failed", node)
            self._walk_changed |= isinstance(reply, OtherWalk)
        if not self.decided.is_set and not self._walk_changed:
            self._ask_lacking()
            self._decide()
        elif self._walk_changed:
            self.decided.set()

    def _decide(self) -> None:
        """Wake the request's task once nothing more can be gained by waiting."""
        if self._tally.is_met:
            self.decided.set()
        elif not self._tally.is_waiting and not self._to_ask:
            if self._fallbacks:
                self.ask_fallbacks()
            else:
                self.decided.set()


def _forget(reply: Message | DynamoError) -> None:
    """Nobody waits for it. What read repair does not reach, anti-entropy mends."""
