"""One write over N replicas: mint, store here, send to the others, answer at W.

The pure parts are elsewhere: what is needed in `plan`, what has been reached in `tally`, what
a write does to a record in `dynamo_py.causality`. This module only sends and waits, in the
one task of the client's request; the replicas' answers come in as plain calls.

The coordinator is a primary of the key, or, where none answered, whoever was asked. It stores
first, since only it may mint this dot; nothing is awaited between reading its copy and that.
What a quorum was found to know, before a write is repeated, goes into that copy just before.
(DeCandia et al. 2007, sections 4.5 and 4.6)
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from dynamo_py.causality import decode_context, decode_record, encode_context
from dynamo_py.cluster.buckets import is_last_write_wins
from dynamo_py.cluster.view import ClusterView
from dynamo_py.config import CoordinatorConfig
from dynamo_py.coordinator.peers import Peers, WalkChanged
from dynamo_py.coordinator.plan import needs_of_write
from dynamo_py.coordinator.slow import SlowRequests, Trail
from dynamo_py.coordinator.tally import WriteTally
from dynamo_py.errors import (
    Damaged,
    DeadlineExceeded,
    DynamoError,
    NodeUnavailable,
    QuorumNotMet,
    StorageError,
)
from dynamo_py.net.alarms import Alarms
from dynamo_py.net.signal import Latch
from dynamo_py.replica.replica import Replica, Write, Written
from dynamo_py.wire.messages import (
    Hinted,
    Message,
    OtherWalk,
    Put,
    ReplicaAck,
    ReplicaPut,
    Stored,
)


class Writer:
    """Coordinates writes on one node."""

    def __init__(
        self,
        replica: Replica,
        peers: Peers,
        config: CoordinatorConfig,
        *,
        monotonic: Callable[[], float],
        wall_ms: Callable[[], int],
        alarms: Alarms,
        is_durable: bool,
        slow: SlowRequests,
        is_complete: Callable[[int], bool] = lambda partition: True,
    ) -> None:
        """``is_complete`` says of a partition whether this node's copy of it may vote."""
        self._is_complete = is_complete
        self._replica = replica
        self._peers = peers
        self._config = config
        self._monotonic = monotonic
        self._wall_ms = wall_ms
        self._alarms = alarms
        self._is_durable = is_durable
        self._slow = slow

    async def write(
        self,
        view: ClusterView,
        partition: int,
        put: Put,
        *,
        deadline: float,
        trace_id: int = 0,
        unanswered: Collection[bytes] = (),
        found: bytes | None = None,
    ) -> Stored:
        """Carry out ``put``, whose key lies in ``partition``, by ``view``.

        ``found`` is a record of the key that was read elsewhere: what this node is to know
        before it mints. Where an attempt of this write is in it, nothing is minted.
        A node that is no primary says which ones it has asked in vain (``unanswered``, the
        surest first): it stands in for one of them, or for one that is believed down.
        Raises `QuorumNotMet` (the write may happen all the same), `WalkChanged` when the view
        is outdated (it may be repeated by a newer one, under the same write id), and whatever
        the store and the limits refuse with (not applied then).
        """
        primaries = view.route(partition).primaries
        needs = needs_of_write(put.quorum, len(primaries), is_durable=self._is_durable)
        now_ms = self._wall_ms()
        write = Write(
            decode_context(put.context),
            put.value,
            put.write_id,
            put.attempt > 0,
            now_ms + put.ttl_ms if put.ttl_ms else 0,
            now_ms - put.age_ms if put.attempt else 0,
            is_last_write_wins(view.buckets.of_key(put.key)),
        )
        trail = Trail("put", self._monotonic)
        under_way = _WriteUnderWay(
            view,
            partition,
            put.key,
            WriteTally(primaries, needs),
            self._peers,
            trace_id,
            trail,
            self._is_complete,
        )
        wait_s = max(0.0, deadline - self._monotonic())
        if not wait_s:
            raise DeadlineExceeded(
                "the time was up before the write began here",
                outcome="unknown" if write.retried else "not_applied",
            )
        written = under_way.start(self._replica, write, wait_s, unanswered, found)
        budget_s = min(self._config.replica_budget_s, wait_s)
        steps = ((budget_s, under_way.replace_silent), (wait_s, under_way.give_up))
        await self._alarms.wait(under_way.decided, steps)
        trail.mark("answered")
        self._slow.note(put.key, trail)
        return under_way.outcome(written)

    def knows(self, partition: int, put: Put) -> bool:
        """Whether an attempt of ``put`` is in this node's copy or hint: `write` mints no more."""
        try:
            held, _ = self._replica.read(partition, put.key)
        except Damaged:
            return False
        return held is not None and decode_record(held).has_write(put.write_id)


class _WriteUnderWay:
    """The state of one write while its request's task waits."""

    def __init__(
        self,
        view: ClusterView,
        partition: int,
        key: bytes,
        tally: WriteTally,
        peers: Peers,
        trace_id: int,
        trail: Trail,
        is_complete: Callable[[int], bool],
    ) -> None:
        self._is_complete = is_complete
        route = view.route(partition)
        self._view = view
        self._partition = partition
        self._key = key
        self._primaries = route.primaries
        self._fallbacks = [node for node in route.fallbacks_up if node != view.me]
        self._primaries_asked = {view.me} if view.me in route.primaries else set()
        self._walk = route.walk
        self._tally = tally
        self._peers = peers
        self._trace_id = trace_id
        self._trail = trail
        self.decided = Latch()
        """Set once nothing is to be waited for any more."""
        self._walk_changed = False
        self._is_sent = False
        self._is_settled_here = False
        self._record = b""
        self._wait_s = 0.0

    def start(
        self,
        replica: Replica,
        write: Write,
        wait_s: float,
        unanswered: Collection[bytes],
        found: bytes | None,
    ) -> Written:
        """Mint and store here, on top of what was ``found``, and send to the others."""
        me = self._view.me
        self._wait_s = wait_s
        is_primary = me in self._primaries
        place = self._primaries.index(me) if is_primary else self._place_to_stand_in(unanswered)
        hinted_for = None if is_primary else self._primaries[place]
        self._tally.asked(place, me)
        if found is not None:
            replica.merge(
                self._partition, self._key, found, hinted_for=hinted_for, on_commit=_ignore
            )
        written = replica.write(
            self._partition,
            self._key,
            write,
            hinted_for=hinted_for,
            on_commit=partial(self._on_commit, place),
        )
        self._record = written.encoded
        self._trail.mark("minted", me)
        for other, primary in enumerate(self._primaries):
            if other == place:
                continue
            if self._view.is_up(primary) or not self._ask_fallback(other):
                self._ask(other, primary)
        self._ask_primaries_themselves()
        self._is_sent = True
        self._decide()
        return written

    def replace_silent(self) -> None:
        """The budget of those that were asked first is used up: turn to the fallbacks."""
        for place in self._tally.silent_places():
            self._ask_fallback(place)

    def give_up(self) -> None:
        """The time is up."""
        self.decided.set()

    def outcome(self, written: Written) -> Stored:
        """The answer, or the error that the wait ended with."""
        name_of = self._view.name_of
        tally = self._tally
        acked = [name_of(node) for node in tally.holders()]
        if not tally.is_met:
            if self._walk_changed:
                raise WalkChanged
            raise QuorumNotMet(
                f"{tally.filled} of the {tally.required} replicas needed have taken the write;"
                " it may still happen: read the key before you write again",
                required=tally.required,
                acked=tuple(acked),
            )
        return Stored(
            encode_context(written.context),
            acked,
            [Hinted(name_of(holder), name_of(target)) for holder, target in tally.hinted()],
            tally.is_degraded,
            written.record.writes(),
            tally.primaries,
        )

    def _place_to_stand_in(self, unanswered: Collection[bytes]) -> int:
        """A place whose primary is believed down, else one whose primary did not answer."""
        primaries = self._primaries
        downs = [place for place, node in enumerate(primaries) if not self._view.is_up(node)]
        silent = [primaries.index(node) for node in unanswered if node in primaries]
        found = downs + silent
        if not found:
            raise NodeUnavailable(
                "a primary of this key is there to coordinate this write: ask again",
                outcome="not_applied",
            )
        return found[0]

    def _ask_primaries_themselves(self) -> None:
        """Where stand-ins do not count: those too that are believed down. That may be wrong."""
        for place, primary in enumerate(self._primaries):
            if self._tally.lacks_primaries and primary not in self._primaries_asked:
                self._ask(place, primary)

    def _ask(self, place: int, node: bytes) -> None:
        primary = self._primaries[place]
        if node == primary:
            self._primaries_asked.add(node)
        self._tally.asked(place, node)
        self._peers.ask(
            self._view,
            node,
            ReplicaPut(
                self._partition,
                self._key,
                self._walk,
                self._record,
                None if node == primary else primary,
            ),
            wait_s=self._wait_s,
            on_reply=partial(self._on_reply, place, node),
            trace_id=self._trace_id,
        )

    def _ask_fallback(self, place: int) -> bool:
        """Send to the next fallback for ``place``; whether there was one left."""
        if not self._fallbacks:
            return False
        self._ask(place, self._fallbacks.pop(0))
        return True

    def _on_commit(self, place: int, error: StorageError | None) -> None:
        self._is_settled_here = True
        is_complete = self._is_complete(self._partition)
        self._on_reply(place, self._view.me, error or ReplicaAck(True, is_complete))

    def _on_reply(self, place: int, node: bytes, reply: Message | DynamoError) -> None:
        if isinstance(reply, ReplicaAck):
            self._tally.acked(place, node, is_complete=reply.complete)
            self._trail.mark("stored", node)
        else:
            self._tally.failed(place, node)
            self._trail.mark("failed", node)
            if isinstance(reply, OtherWalk):
                self._walk_changed = True
            elif not self.decided.is_set:
                if place in self._tally.silent_places():
                    self._ask_fallback(place)
                if self._is_sent:
                    self._ask_primaries_themselves()
        self._decide()

    def _decide(self) -> None:
        """Wake the request's task once its wait is over. Before all are asked, nothing is.

        A write that cannot be met any more waits for this node's own commit: whoever is told
        so should know who has it all the same.
        """
        is_hopeless = self._is_settled_here and self._tally.is_hopeless
        if self._is_sent and (self._walk_changed or self._tally.is_met or is_hopeless):
            self.decided.set()


def _ignore(error: StorageError | None) -> None:
    """What was found is committed no later than the write that follows it, which is waited for."""
