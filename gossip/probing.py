"""Probes: a ping, then pings through others, then a suspicion; and the same done for others.

The ping is tried once more ourselves when others are asked, since it may just have been lost:
memberlist does so too. At 5 % loss there is a tenth of the false suspicions for it, each of
which would be told to all and refuted to all.

Knows nothing of what a suspicion leads to (`gossip.beliefs`), nor of push-pull and rumours.

Invariants: we are never our own target; there are at most `RELAYS_MAX` relays. Probes are as
few as periods fit into one probe, and one for each lost link.

Sources: Das et al. 2002, section 3.1 (probes through k members); Dadgar et al. 2018, section
IV.A (`Nack`s and local health).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from gossip.beliefs import Beliefs
from gossip.config import GossipConfig
from gossip.members import Member, State
from gossip.messages import Ack, Nack, Ping, PingRequest
from gossip.outbox import Outbox
from gossip.probe_order import ProbeOrder
from gossip.statistics import Counters
from gossip.suspicion import LocalHealth

NEVER = float("inf")
RELAYS_MAX = 256


@dataclass(slots=True)
class Probe:
    """One probe of one member, from the first ping to its end."""

    target: Member
    helpers_at: float
    """When helpers are asked, unless an answer has come; infinity once they are."""
    ends_at: float
    helpers: list[bytes] = field(default_factory=list)
    nacks: set[bytes] = field(default_factory=set)

    @property
    def deadline(self) -> float:
        """When something is to be done about it."""
        return min(self.helpers_at, self.ends_at)

    def postpone(self, seconds: float) -> None:
        """We stood still for so long."""
        self.helpers_at += seconds
        self.ends_at += seconds


@dataclass(slots=True)
class Relay:
    """A ping that we sent for another node."""

    origin: bytes
    origin_address: str
    origin_sequence: int
    target: bytes
    nack_at: float
    """When the other is told that there is no answer; infinity once it is."""
    ends_at: float

    @property
    def deadline(self) -> float:
        """When something is to be done about it."""
        return min(self.nack_at, self.ends_at)


class Prober:
    """The probes and relays of one node."""

    def __init__(
        self,
        *,
        config: GossipConfig,
        beliefs: Beliefs,
        health: LocalHealth,
        outbox: Outbox,
        counters: Counters,
        generator: random.Random,
        now: float,
    ) -> None:
        self._config = config
        self._beliefs = beliefs
        self._health = health
        self._outbox = outbox
        self._counters = counters
        self._random = generator
        self._probes: dict[int, Probe] = {}
        self._relays: dict[int, Relay] = {}
        # Not from 0: an answer to an earlier life's ping must not pass for one to ours.
        self._sequence = generator.getrandbits(48)
        self._probe_at = now + config.period_s * generator.random()
        self.order = ProbeOrder(generator)

    def __len__(self) -> int:
        return len(self._probes)

    @property
    def relays_count(self) -> int:
        """How many relays wait."""
        return len(self._relays)

    # --- timers -------------------------------------------------------------------------

    @property
    def next_probe_at(self) -> float:
        """When the next member is to be probed."""
        return self._probe_at

    @property
    def is_waiting(self) -> bool:
        """Whether a probe or relay waits for an answer."""
        return bool(self._probes or self._relays)

    def deadline(self) -> float:
        """When a probe or relay needs something done; one must be waiting."""
        probes = [probe.deadline for probe in self._probes.values()]
        relays = [relay.deadline for relay in self._relays.values()]
        return min(probes + relays)

    def postpone(self, seconds: float) -> None:
        """We stood still for so long: nobody was given that time to answer in."""
        for probe in self._probes.values():
            probe.postpone(seconds)

    def expire(self, now: float) -> None:
        """Ask helpers, give up, tell who asked us: whatever is due."""
        self._expire_probes(now)
        self._expire_relays(now)

    def probe_if_due(self, now: float) -> None:
        """Probe the next member, once a period."""
        if now < self._probe_at:
            return
        self._probe_at = now + self._config.period_s * self._health.multiplier
        target = self.order.next(self._beliefs.table)
        if target is not None:
            self._probe(now, target)

    def lose_link(self, now: float, address: str) -> None:
        """A hint that nobody answers there: suspect the member, and probe it at once."""
        member = self._beliefs.table.find(address)
        if member is None:
            return
        self._beliefs.accuse(now, member.node)
        # A transport may say so at each of its attempts; we ask once at a time.
        if all(probe.target.node != member.node for probe in self._probes.values()):
            self._probe(now, member)

    def stop(self) -> None:
        """Expect no more answers: this node has left."""
        self._probes.clear()

    # --- probes -------------------------------------------------------------------------

    def _probe(self, now: float, target: Member) -> None:
        stretch = self._health.multiplier
        sequence = self._next_sequence()
        self._probes[sequence] = Probe(
            target,
            helpers_at=now + self._config.ack_timeout_s * stretch,
            ends_at=now + self._config.period_s * stretch,
        )
        self._counters.probes += 1
        self._outbox.send(target.address, Ping(sequence, target.node), to=target.node)

    def _expire_probes(self, now: float) -> None:
        for sequence, probe in list(self._probes.items()):
            if probe.ends_at <= now:
                del self._probes[sequence]
                self._fail_probe(now, probe)
            elif probe.helpers_at <= now:
                probe.helpers_at = NEVER
                self._ask_helpers(sequence, probe)

    def _ask_helpers(self, sequence: int, probe: Probe) -> None:
        target = probe.target
        able = [
            peer
            for peer in self._beliefs.table.peers()
            if peer.state is State.ALIVE and peer.node != target.node
        ]
        self._outbox.send(target.address, Ping(sequence, target.node), to=target.node)
        for peer in self._random.sample(able, min(self._config.helpers, len(able))):
            probe.helpers.append(peer.node)
            request = PingRequest(sequence, target.node, target.address)
            self._outbox.send(peer.address, request, to=peer.node)

    def _fail_probe(self, now: float, probe: Probe) -> None:
        self._counters.probes_failed += 1
        target = self._beliefs.table.get(probe.target.node)
        if probe.helpers:
            # A helper that said neither yes nor no: perhaps it is we who cannot be reached.
            self._health.worse(len(probe.helpers) - len(probe.nacks))
        elif target is not None and target.state is State.ALIVE:
            # Nobody could tell whose fault it is. Once is enough: one dead member of two must
            # not slow us down for long.
            self._health.worse()
        self._beliefs.accuse(now, probe.target.node)

    def _expire_relays(self, now: float) -> None:
        for sequence, relay in list(self._relays.items()):
            if relay.ends_at <= now:
                del self._relays[sequence]
            elif relay.nack_at <= now:
                relay.nack_at = NEVER
                nack = Nack(relay.origin_sequence)
                self._outbox.send(relay.origin_address, nack, to=relay.origin)

    # --- messages -----------------------------------------------------------------------

    def answer_ping(self, sender: Member, sequence: int, target: bytes) -> None:
        """Someone asks whether we are there."""
        if target and target != self._beliefs.me.node:
            # Meant for another node that had this address before us.
            self._counters.misdirected += 1
            return
        self._outbox.send(sender.address, Ack(sequence), to=sender.node)

    def take_ack(self, sender: bytes, sequence: int) -> None:
        """A target or a helper says that the target is there. Others are not believed."""
        probe = self._probes.get(sequence)
        if probe is not None and (sender == probe.target.node or sender in probe.helpers):
            del self._probes[sequence]
            self._health.better()
            return
        relay = self._relays.get(sequence)
        if relay is not None and sender == relay.target:
            del self._relays[sequence]
            self._outbox.send(relay.origin_address, Ack(relay.origin_sequence), to=relay.origin)
            return
        self._counters.late_acks += 1

    def take_nack(self, sender: bytes, sequence: int) -> None:
        """A helper says that it is there itself, and gets no answer either."""
        probe = self._probes.get(sequence)
        if probe is not None and sender in probe.helpers:
            probe.nacks.add(sender)

    def relay(self, now: float, origin: Member, request: PingRequest) -> None:
        """Ping a member for another node."""
        if len(self._relays) >= RELAYS_MAX:
            self._counters.relays_refused += 1
            return
        own_sequence = self._next_sequence()
        self._relays[own_sequence] = Relay(
            origin=origin.node,
            origin_address=origin.address,
            origin_sequence=request.sequence,
            target=request.target,
            nack_at=now + self._config.ack_timeout_s,
            ends_at=now + self._config.period_s,
        )
        ping = Ping(own_sequence, request.target)
        self._outbox.send(request.address, ping, to=request.target)

    def _next_sequence(self) -> int:
        self._sequence += 1
        return self._sequence

    def _check(self) -> None:
        self.order._check(self._beliefs.me.node)
        assert len(self._relays) <= RELAYS_MAX
        for probe in self._probes.values():
            assert probe.target.node != self._beliefs.me.node
