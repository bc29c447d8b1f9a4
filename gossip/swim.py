"""The membership protocol as a state machine: an event goes in, actions come out.

Knows nothing of sockets, tasks or clocks: the time and the random generator are passed in.
The same configuration, generator and events give the same actions.

The state of a member, as each other node sees it on its own:

                      probe failed, link lost, or heard so
              +-------------------------------------------------+
              |                                                 v
        +-----------+   a higher incarnation (it refuted)  +---------+
  new ->|   alive   |<-------------------------------------| suspect |
        +-----------+                                      +---------+
          |  ^    ^                                          |     |
          |  |    |  a higher incarnation                    |     | nobody refuted in time,
          |  |    |  (it was resumed, or restarted)          |     | or heard so
          |  |    |                                          |     v
          |  |    +------------------------------------------|- +------+
          |  |                                               |  | down |
          |  | a higher incarnation (it came back)           |  +------+
          |  |                                               |
          |  +-----------+                                   |
          |              |                                   |
          |            +------+                              |
          +----------->| left |<-----------------------------+
      it said so itself+------+

  (A suspect or down member, too, is "left" once it has said so. What is down or left is
  forgotten after a long time.)

The precedence of claims is written in `gossip.members`. One period of a probe:

    0               ack_timeout            period                (each times local health)
    ping target     ping it again, ask     no ack: suspect; next target
                    helpers to ping it

A suspect is declared down by each node for itself, when nobody refuted in the time of
`gossip.suspicion`; news then travels as rumours. Nobody is declared down by a lost link alone.

Sources: Das et al. 2002 (SWIM), sections 3 and 4; Dadgar et al. 2018 (Lifeguard), section IV.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import msgspec

from gossip.beliefs import Beliefs
from gossip.config import GossipConfig
from gossip.errors import GossipError
from gossip.events import (
    Action,
    Change,
    Event,
    Leave,
    LinkLost,
    MemberChanged,
    Received,
    SetPayload,
    Tick,
)
from gossip.members import Member, State
from gossip.messages import (
    CLUSTER_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    Ack,
    Digests,
    Message,
    Nack,
    Offer,
    Ping,
    PingRequest,
    RangeDigests,
    Rumours,
    States,
    Update,
)
from gossip.outbox import Outbox
from gossip.probing import Prober
from gossip.statistics import Counters, SwimStatistics
from gossip.suspicion import LocalHealth
from gossip.synchronisation import differences, differing_ranges, digest_pages, opening, split
from gossip.updates import CORE

SEEDS_AT_ONCE_MAX = 3
LEAVE_TOLD_MAX = 32
CONFIRMERS_WANTED = 8
# What a message holds beside the updates: sender, body but for ``wanted``, array heads.
OVERHEAD_BYTES_MAX = 8192
FORGET_INTERVAL_S = 60.0


class Swim:
    """One node's part in the protocol. Not thread-safe; nothing in it waits.

    ``me`` is the own member: its id stays, its incarnation starts at 0 in each life. Raises
    `GossipError` when the cluster id is too long, or ``me`` out of the bounds of `Member`.
    """

    def __init__(
        self,
        *,
        config: GossipConfig,
        cluster: bytes,
        me: Member,
        seeds: Sequence[str],
        generator: random.Random,
        now: float,
    ) -> None:
        if len(cluster) > CLUSTER_BYTES_MAX:
            raise GossipError(f"a cluster id has at most {CLUSTER_BYTES_MAX} bytes")
        self._config = config
        self._cluster = cluster
        self._random = generator
        self._seeds = tuple(seed for seed in seeds if seed != me.address)
        self._health = LocalHealth(config.local_health_max)
        self._beliefs = Beliefs(config, _checked(me), self._health)
        self._counters = Counters()
        self._outbox = Outbox(cluster, self._beliefs, self._counters)
        self._prober = Prober(
            config=config,
            beliefs=self._beliefs,
            health=self._health,
            outbox=self._outbox,
            counters=self._counters,
            generator=generator,
            now=now,
        )
        self._absent: list[str] | None = None
        self._reconnect_turn = 0
        self._gossip_at = now
        self._sync_at = now + config.sync_interval_s * generator.random()
        self._reconnect_at = now
        self._forget_at = now + FORGET_INTERVAL_S
        self._deadline = max(now, self._next_deadline())

    # --- what the shell sees ------------------------------------------------------------

    @property
    def me(self) -> Member:
        """The own member, with its payloads."""
        return self._beliefs.table.me

    def members(self) -> tuple[Member, ...]:
        """All members that are known, the own one included, ordered by node id."""
        return self._beliefs.table.snapshot()

    def member(self, node: bytes) -> Member | None:
        """The member with this id, or None when it is unknown. O(1)."""
        return self._beliefs.table.get(node)

    @property
    def is_leaving_told(self) -> bool:
        """Whether this node has left, and the news has been told as often as it will be."""
        if self._beliefs.me.state is not State.LEFT:
            return False
        return (
            not self._beliefs.table.peers()
            or (self._beliefs.me.node, CORE) not in self._beliefs.queue
        )

    @property
    def deadline(self) -> float:
        """When the next `Tick` is due; never before the last step."""
        return self._deadline

    def step(self, now: float, event: Event) -> list[Action]:
        """Take one event into account; returns what to do about it, in order.

        Raises `GossipError` for a `SetPayload` that cannot be; then nothing has changed.
        """
        self._notice_stall(now)
        match event:
            case Received(message):
                self._receive(now, message)
            case Tick():
                self._tick(now)
            case SetPayload(topic, version, data):
                self._beliefs.set_payload(now, topic, version, data)
            case LinkLost(address):
                if self._beliefs.me.state is State.ALIVE:
                    self._prober.lose_link(now, address)
            case Leave():
                self._leave(now)
        changes = self._follow_changes()
        # What became due by this very event is not late: it was not due before.
        self._deadline = max(now, self._next_deadline())
        return [*self._outbox.take(), *changes]

    def statistics(self) -> SwimStatistics:
        """How the protocol stands."""
        table, queue = self._beliefs.table, self._beliefs.queue.statistics()
        counters = {name: getattr(self._counters, name) for name in Counters.__slots__}
        return SwimStatistics(
            alive=table.count(State.ALIVE),
            suspect=table.count(State.SUSPECT),
            down=table.count(State.DOWN),
            left=table.count(State.LEFT),
            incarnation=self._beliefs.me.incarnation,
            local_health=self._health.multiplier,
            rumours_waiting=queue.waiting,
            rumours_dropped=queue.dropped,
            probes_waiting=len(self._prober),
            relays_waiting=self._prober.relays_count,
            refutations=self._beliefs.refutations,
            not_admitted=self._beliefs.not_admitted,
            **counters,
        )

    # --- timers -------------------------------------------------------------------------

    def _next_deadline(self) -> float:
        # Called at each step, so it asks only those that have something waiting.
        beliefs, prober = self._beliefs, self._prober
        earliest = self._forget_at
        if beliefs.suspicions:
            earliest = min(earliest, beliefs.deadline())
        if prober.is_waiting:
            earliest = min(earliest, prober.deadline())
        has_peers = bool(beliefs.table.peers())
        if has_peers and beliefs.queue:
            earliest = min(earliest, self._gossip_at)
        if beliefs.me.state is State.LEFT:
            return earliest
        if has_peers:
            earliest = min(earliest, prober.next_probe_at, self._sync_at)
        if self._absent_addresses():
            earliest = min(earliest, self._reconnect_at)
        return earliest

    def _tick(self, now: float) -> None:
        self._prober.expire(now)
        self._beliefs.expire(now)
        if now >= self._forget_at:
            self._forget_at = now + FORGET_INTERVAL_S
            self._beliefs.forget_gone(now)
            self._prober.order.forget_absent(self._beliefs.table)
        if self._beliefs.me.state is State.ALIVE:
            self._prober.probe_if_due(now)
            self._sync_if_due(now)
            self._reconnect_if_due(now)
        # Last, so that what the others found out is told at once.
        self._gossip_if_due(now)

    def _notice_stall(self, now: float) -> None:
        """When this process stood still, others had no chance to answer it meanwhile."""
        late = now - self._deadline
        if late <= self._config.stall_s or not self._beliefs.table.peers():
            return
        self._counters.stalls += 1
        self._health.worse()
        self._beliefs.postpone(late)
        self._prober.postpone(late)

    def _sync_if_due(self, now: float) -> None:
        if now < self._sync_at:
            return
        self._sync_at = now + self._config.sync_interval_s * (0.5 + self._random.random())
        peers = self._beliefs.table.peers()
        if peers:
            peer = self._random.choice(peers)
            self._offer(peer.address)

    def _reconnect_if_due(self, now: float) -> None:
        """Try who is not there: who is down or has left, so that splits heal, and seeds.

        Who has left, too, may be started again, and know nobody to turn to.
        In turn, not at random, so that each has its turn within a known time.
        """
        if now < self._reconnect_at:
            return
        peers = self._beliefs.table.peers()
        at_once, wait = (1, self._config.reconnect_interval_s)
        if not peers:
            at_once, wait = (SEEDS_AT_ONCE_MAX, self._config.period_s)
        self._reconnect_at = now + wait
        absent = self._absent_addresses()
        for _ in range(min(at_once, len(absent))):
            self._reconnect_turn += 1
            self._offer(absent[self._reconnect_turn % len(absent)])

    def _absent_addresses(self) -> list[str]:
        """Where someone could be, and nobody is. Worked out anew when a member changed."""
        if self._absent is None:
            me = self._beliefs.table.me
            reached = {peer.address for peer in self._beliefs.table.peers()}
            gone = [m.address for m in self._beliefs.table if not m.is_live and m is not me]
            wanted = [address for address in (*self._seeds, *gone) if address not in reached]
            # Each once, in order: a down member may be a seed as well.
            self._absent = list(dict.fromkeys(wanted))
        return self._absent

    def _gossip_if_due(self, now: float) -> None:
        peers = self._beliefs.table.peers()
        if now < self._gossip_at or not peers:
            return
        fanout = min(self._config.gossip_fanout, len(peers))
        for peer in self._random.sample(peers, fanout):
            if not self._beliefs.queue:
                break
            self._gossip_at = now + self._config.gossip_interval_s
            self._outbox.send(peer.address, Rumours(), to=peer.node)

    # --- messages in --------------------------------------------------------------------

    def _receive(self, now: float, message: Message) -> None:
        self._counters.received += 1
        if message.cluster != self._cluster:
            self._counters.other_cluster += 1
            return
        sender = message.sender
        if sender.node == self._beliefs.me.node:
            self._counters.from_self += 1
            return
        was_alone = not self._beliefs.table.peers()
        self._beliefs.absorb(now, Update(sender))
        from_sync = isinstance(message.body, States)
        for update in message.updates:
            self._beliefs.absorb(now, update, from_sync=from_sync)
        self._answer(now, message)
        if was_alone and self._beliefs.table.peers():
            # The first contact: ask for all that it knows.
            self._offer(sender.address)

    def _answer(self, now: float, message: Message) -> None:
        sender = message.sender
        match message.body:
            case Ping(sequence, target):
                self._prober.answer_ping(sender, sequence, target)
            case Ack(sequence):
                self._prober.take_ack(sender.node, sequence)
                self._warn_if_behind(sender)
            case Nack(sequence):
                self._prober.take_nack(sender.node, sequence)
            case PingRequest():
                self._prober.relay(now, sender, message.body)
            case Offer(summary):
                if summary != self._beliefs.table.summary:
                    answer = opening(self._beliefs.table)
                    self._outbox.send(sender.address, answer, to=sender.node)
            case RangeDigests(entries):
                for low, high in differing_ranges(self._beliefs.table, entries):
                    for page in digest_pages(self._beliefs.table, low, high):
                        self._outbox.send(sender.address, page, to=sender.node)
            case Digests():
                tell, ask = differences(self._beliefs.table, message.body)
                if tell or ask:
                    self._send_states(sender, tell, ask)
            case States(wanted):
                if wanted:
                    self._send_states(sender, wanted, ())
            case Rumours():
                self._warn_if_behind(sender)

    def _warn_if_behind(self, sender: Member) -> None:
        """Tell a node at once that it is not believed alive, where no answer would.

        It then refutes with its next incarnation; so this ends after one message.
        """
        known = self._beliefs.table.get(sender.node)
        if known is None or known.precedence() <= sender.precedence():
            return
        if self._beliefs.warning(sender.node, sender.address) is not None:
            self._outbox.send(sender.address, Rumours(), to=sender.node)

    # --- messages out -------------------------------------------------------------------

    def _leave(self, now: float) -> None:
        self._beliefs.leave(now)
        self._prober.stop()
        peers = self._beliefs.table.peers()
        for peer in self._random.sample(peers, min(LEAVE_TOLD_MAX, len(peers))):
            self._outbox.send(peer.address, Rumours(), to=peer.node)

    def _offer(self, address: str) -> None:
        self._counters.syncs += 1
        # Without rumours: perhaps nobody is there.
        self._outbox.send_bare(address, Offer(self._beliefs.table.summary))

    def _send_states(self, to: Member, tell: Iterable[bytes], ask: Iterable[bytes]) -> None:
        wanted = tuple(ask)
        known = [self._beliefs.full_update(node) for node in tell]
        bytes_max = MESSAGE_BYTES_MAX - OVERHEAD_BYTES_MAX
        groups = split([update for update in known if update is not None], bytes_max)
        if wanted:
            # Alone, so that both surely fit.
            self._outbox.send_bare(to.address, States(wanted))
        for group in groups:
            if group:
                self._outbox.send_bare(to.address, States(), group)

    # --- changes ------------------------------------------------------------------------

    def _follow_changes(self) -> list[Change]:
        changes = self._beliefs.take_changes()
        for change in changes:
            if isinstance(change, MemberChanged):
                if _reached_at(change.before) != _reached_at(change.after):
                    self._absent = None
                if change.after is not None:
                    self._follow_member(change.before, change.after)
        return changes

    def _follow_member(self, before: Member | None, after: Member) -> None:
        if after.node == self._beliefs.me.node or not after.is_live:
            return
        if after.state is State.SUSPECT:
            # In a small cluster all ask the suspect at once; in a big one, only some.
            if self._random.random() * self._beliefs.table.live_count < CONFIRMERS_WANTED:
                self._prober.order.hurry(after.node)
        elif before is None or not before.is_live:
            self._prober.order.add(after.node)

    def _check(self) -> None:
        self._beliefs._check()
        self._prober._check()


def _reached_at(member: Member | None) -> tuple[str, bool] | None:
    return None if member is None else (member.address, member.is_live)


def _checked(me: Member) -> Member:
    """The own member, without payloads; raises `GossipError` when others would refuse it."""
    try:
        return msgspec.msgpack.decode(msgspec.msgpack.encode(me.core()), type=Member)
    except msgspec.MsgspecError as error:
        raise GossipError(f"the own member cannot be told to others: {error}") from error
