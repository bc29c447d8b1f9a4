"""What this node believes of the members: claims come in, changes come out.

Knows nothing of whom to talk to and when; `gossip.swim` does. It holds the table, the
suspicions and the queue of rumours, and keeps them in step: whatever changes the table is
queued to be told on, and is reported as a change.

Invariants: exactly the suspect members have a `Suspicion`; only the own node's claims about
itself raise its incarnation; a payload of the own node is only set by its owner, or learned
back from the cluster after a restart.

Sources: Das et al. 2002, section 4.2 (suspicion and refutation); Dadgar et al. 2018, IV.B
(confirmations). That a *down* heard in a push-pull only makes suspect is memberlist's
practice: two halves of a healed network would otherwise kill each other's members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from gossip.config import GossipConfig
from gossip.errors import GossipError
from gossip.events import Change, MemberChanged, PayloadChanged
from gossip.members import (
    INCARNATION_MAX,
    PAYLOAD_BYTES_MAX,
    TOPIC_MAX,
    VERSION_MAX,
    Member,
    Payload,
    State,
    merge,
)
from gossip.messages import Update
from gossip.suspicion import LocalHealth, Suspicion
from gossip.table import MemberTable
from gossip.updates import CORE, Key, UpdateQueue, retransmissions


class Beliefs:
    """The table, the suspicions and the rumours of one node."""

    def __init__(self, config: GossipConfig, me: Member, health: LocalHealth) -> None:
        self._config = config
        self._health = health
        self._suspicions: dict[bytes, Suspicion] = {}
        self._earliest: float | None = None
        self._changes: list[Change] = []
        self.table = MemberTable(me, members_max=config.members_max)
        self.queue = UpdateQueue(config.queue_max)
        self.me = me.core()
        self.refutations = 0
        self.not_admitted = 0
        self.queue.put((me.node, CORE))

    def take_changes(self) -> list[Change]:
        """What changed since the last call, in order."""
        if not self._changes:
            return []
        changes, self._changes = self._changes, []
        return changes

    # --- claims -------------------------------------------------------------------------

    def absorb(self, now: float, update: Update, *, from_sync: bool = False) -> None:
        """Take a claim into account. O(1), and cheap where it says nothing new."""
        claim = update.member
        if claim.node == self.me.node:
            self._answer_claim(now, claim)
            return
        known = self.table.get(claim.node)
        if known is None and not self._may_admit(now, claim):
            return
        if from_sync and known is not None and known.is_live and claim.state is State.DOWN:
            claim = msgspec.structs.replace(claim, state=State.SUSPECT)
        held = claim if known is None else merge(known, claim)
        self._store(now, known, held)
        if claim.state is State.SUSPECT and held.precedence() == claim.precedence():
            self._confirm(held.node, update.accusers)

    def accuse(self, now: float, node: bytes) -> None:
        """We found this member silent ourselves. Nothing happens unless it is live."""
        known = self.table.get(node)
        if known is None or not known.is_live:
            return
        self._store(now, known, msgspec.structs.replace(known, state=State.SUSPECT))
        self._confirm(node, (self.me.node,))

    def expire(self, now: float) -> None:
        """Suspects whose time is up are down; who went long ago is forgotten."""
        for node in [node for node in self._suspicions if self._deadline_of(node) <= now]:
            known = self.table.get(node)
            assert known is not None
            self._store(now, known, msgspec.structs.replace(known, state=State.DOWN))

    def forget_gone(self, now: float) -> None:
        """Who is down or has left for long enough is forgotten. O(n)."""
        for node in self.table.gone_since(now - self._config.forget_after_s):
            self._forget(node)

    @property
    def suspicions(self) -> int:
        """How many members are suspect."""
        return len(self._suspicions)

    def deadline(self) -> float:
        """When the next suspect is declared down; there must be one."""
        if self._earliest is None:
            self._earliest = min(self._deadline_of(node) for node in self._suspicions)
        return self._earliest

    def postpone(self, seconds: float) -> None:
        """We stood still for so long: no suspect has had that time to answer in."""
        self._earliest = None
        for suspicion in self._suspicions.values():
            suspicion.started_at += seconds

    # --- our own member -----------------------------------------------------------------

    def set_payload(self, now: float, topic: int, version: int, data: bytes) -> None:
        """Say something new; raises `GossipError` unless the version is above the last."""
        if not 0 <= topic <= TOPIC_MAX:
            raise GossipError(f"topic {topic}; it must be from 0 to {TOPIC_MAX}")
        if not 0 <= version <= VERSION_MAX:
            raise GossipError(f"version {version}; it must be from 0 to {VERSION_MAX}")
        if len(data) > PAYLOAD_BYTES_MAX:
            raise GossipError(f"{len(data)} bytes; a payload has at most {PAYLOAD_BYTES_MAX}")
        me = self.table.me
        known = me.payloads.get(topic)
        if known is not None and version <= known.version:
            raise GossipError(
                f"version {version} of topic {topic}; it must be above {known.version}"
            )
        said = Member(me.node, me.name, me.address, payloads={topic: Payload(version, data)})
        self.table.put(merge(me, said), now=now)
        self.queue.put((me.node, topic))

    def leave(self, now: float) -> None:
        """From now on this node has left."""
        me = self.table.me
        self._store(now, me, msgspec.structs.replace(me, state=State.LEFT))

    def _answer_claim(self, now: float, claim: Member) -> None:
        """Someone says something about us: refute it, unless it is what we say, or old."""
        me = self.table.me
        if _is_contested(me, claim):
            if claim.state is State.SUSPECT:
                self._health.worse()
            self.refutations += 1
            incarnation = min(claim.incarnation + 1, INCARNATION_MAX)
            self._store(now, me, msgspec.structs.replace(me, incarnation=incarnation))
            me = self.table.me
        # From a life before this one: versions go on, and the owner is told.
        said = Member(me.node, me.name, me.address, payloads=claim.payloads)
        self._store(now, me, merge(me, said))

    # --- what to tell -------------------------------------------------------------------

    def full_update(self, node: bytes) -> Update | None:
        """All that we know of this node, or None."""
        member = self.table.get(node)
        return None if member is None else self._claim(member, member.payloads)

    def rumours(self) -> tuple[Update, ...]:
        """The next rumours that ride on one message, counted as told."""
        if not self.queue:
            return ()
        claims: dict[Key, Update] = {}

        def bytes_of(key: Key) -> int:
            claims[key] = self._claim_on(key[0], (key[1],))
            return claims[key].bytes_max()

        keys = self.queue.take(
            bytes_max=self._config.piggyback_bytes_max,
            tellings_max=retransmissions(self.table.live_count, self._config.retransmit_factor),
            bytes_of=bytes_of,
        )
        topics: dict[bytes, list[int]] = {}
        for node, topic in keys:
            topics.setdefault(node, []).append(topic)
        return tuple(
            claims[node, told[0]] if len(told) == 1 else self._claim_on(node, told)
            for node, told in topics.items()
        )

    def warning(self, node: bytes, address: str) -> Update | None:
        """What this node must hear of itself before all else: that it is not believed alive.

        Lifeguard's "buddy system". Also when it is known under another address than the one
        that we are about to use.
        """
        known = self.table.get(node)
        if known is None or (known.state is State.ALIVE and known.address == address):
            return None
        return self._claim(known, {})

    def _claim_on(self, node: bytes, topics: Sequence[int]) -> Update:
        member = self.table.get(node)
        assert member is not None
        payloads = {topic: member.payloads[topic] for topic in topics if topic != CORE}
        claim = self._claim(member, payloads)
        if member.state is State.DOWN and CORE not in topics:
            # That it is down is old news, which rides along with a payload. It must not kill
            # the member where it is alive, as after a split.
            suspect = msgspec.structs.replace(claim.member, state=State.SUSPECT)
            return Update(suspect)
        return claim

    def _claim(self, member: Member, payloads: Mapping[int, Payload]) -> Update:
        suspicion = self._suspicions.get(member.node)
        accusers = () if suspicion is None else tuple(suspicion.accusers)
        if member.payloads and payloads is not member.payloads:
            member = msgspec.structs.replace(member, payloads=payloads)
        return Update(member, accusers)

    # --- keeping things in step ---------------------------------------------------------

    def _store(self, now: float, before: Member | None, after: Member) -> None:
        """The one place where the table changes but for the own payloads."""
        if after is before or after == before:
            return
        self._earliest = None
        self.table.put(after, now=now)
        if before is None or before.precedence() != after.precedence():
            self._follow_state(now, before, after)
            self.queue.put((after.node, CORE))
            self._changes.append(MemberChanged(before, after))
        known = {} if before is None else before.payloads
        for topic, payload in after.payloads.items():
            if known.get(topic) != payload:
                self.queue.put((after.node, topic))
                self._changes.append(PayloadChanged(after.node, topic, *payload))
        if after.node == self.me.node:
            self.me = after.core()

    def _follow_state(self, now: float, before: Member | None, after: Member) -> None:
        if after.state is not State.SUSPECT:
            self._suspicions.pop(after.node, None)
        elif before is None or (before.incarnation, before.state) != (
            after.incarnation,
            after.state,
        ):
            self._suspicions[after.node] = Suspicion(started_at=now)

    def _confirm(self, node: bytes, accusers: Iterable[bytes]) -> None:
        suspicion = self._suspicions[node]
        accusers_max = self._config.confirmations + 1
        news = [accuser for accuser in accusers if suspicion.confirm(accuser, accusers_max)]
        if news:
            self._earliest = None
            self.queue.put((node, CORE))

    def _deadline_of(self, node: bytes) -> float:
        return self._suspicions[node].deadline(
            self._config,
            members=self.table.live_count,
            # Suspects are not counted: who does not answer cannot confirm either.
            confirmers=self.table.count(State.ALIVE) - 1,
        )

    def _may_admit(self, now: float, claim: Member) -> bool:
        if self.table.is_forgotten(claim):
            return False
        if self.table.is_full:
            gone = self.table.gone_since(now)
            if not gone:
                self.not_admitted += 1
                return False
            self._forget(gone[0])
        return True

    def _forget(self, node: bytes) -> None:
        self.queue.discard_node(node)
        self._changes.append(MemberChanged(self.table.forget(node), None))

    def _check(self) -> None:
        self.table._check()
        self.queue._check()
        suspects = {member.node for member in self.table if member.state is State.SUSPECT}
        assert suspects == self._suspicions.keys()
        if suspects and self._earliest is not None:
            assert self._earliest == min(map(self._deadline_of, suspects))
        assert self.me == self.table.me.core()
        assert self.me.state in (State.ALIVE, State.LEFT)
        for node in suspects:
            assert len(self._suspicions[node].accusers) <= self._config.confirmations + 1


def _is_contested(me: Member, claim: Member) -> bool:
    """Whether others would believe this claim rather than us, or cannot tell."""
    if claim.incarnation != me.incarnation:
        return claim.incarnation > me.incarnation
    if (claim.address, claim.name) != (me.address, me.name):
        return True
    return claim.state > me.state
