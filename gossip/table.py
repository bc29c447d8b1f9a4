"""All members that one node knows of, itself included.

Knows nothing of messages, or of who is right about whom: `merge` of `gossip.members` says
that before a member is put here.

Invariants: at most ``members_max`` members; the own one is always there; ``summary`` is the
XOR of all fingerprints, so that two tables with one summary hold the same (but for a
collision of 63 bits). A member that is forgotten leaves its incarnation behind, so that
others that still know it as down or left do not bring it back for ever.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from gossip.members import Member, State, fingerprint


class MemberTable:
    """Node id to member, with what the protocol asks of it at each step kept at hand."""

    def __init__(self, me: Member, *, members_max: int) -> None:
        self._own_node = me.node
        self._members_max = members_max
        self._members: dict[bytes, Member] = {}
        self._changed_at: dict[bytes, float] = {}
        self._fingerprints: dict[bytes, int] = {}
        self._forgotten: dict[bytes, int] = {}
        self._counts: Counter[State] = Counter()
        self._peers: list[Member] | None = None
        self._peer_positions: dict[bytes, int] = {}
        self.summary = 0
        self.put(me, now=0.0)

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    @property
    def me(self) -> Member:
        """The own member."""
        return self._members[self._own_node]

    @property
    def is_full(self) -> bool:
        """Whether one must go before another can come."""
        return len(self._members) >= self._members_max

    def get(self, node: bytes) -> Member | None:
        """The member, or None when it is unknown."""
        return self._members.get(node)

    def fingerprint(self, node: bytes) -> int:
        """The fingerprint of a known member, kept up to date."""
        return self._fingerprints[node]

    def count(self, state: State) -> int:
        """How many members are in this state. O(1)."""
        return self._counts[state]

    @property
    def live_count(self) -> int:
        """How many take part, the own one included. O(1)."""
        return self._counts[State.ALIVE] + self._counts[State.SUSPECT]

    def peers(self) -> list[Member]:
        """The other members that take part, alive or suspect; not to be changed.

        O(1), but O(n) after one went or came back.
        """
        if self._peers is None:
            self._peers = self._find_peers()
            self._peer_positions = {peer.node: at for at, peer in enumerate(self._peers)}
        return self._peers

    def snapshot(self) -> tuple[Member, ...]:
        """All members, ordered by node id. O(n log n)."""
        return tuple(sorted(self._members.values(), key=lambda member: member.node))

    def find(self, address: str) -> Member | None:
        """The live other member at this address, if any. O(n)."""
        return next((peer for peer in self.peers() if peer.address == address), None)

    def put(self, member: Member, *, now: float) -> None:
        """Take it in, or in place of what was known of it. O(1)."""
        assert member.node in self._members or not self.is_full
        before = self._members.get(member.node)
        if before is not None:
            self._counts[before.state] -= 1
            self.summary ^= self._fingerprints[member.node]
        if before is None or before.state is not member.state:
            self._changed_at[member.node] = now
        self._members[member.node] = member
        self._fingerprints[member.node] = fingerprint(member)
        self._counts[member.state] += 1
        self.summary ^= self._fingerprints[member.node]
        self._forgotten.pop(member.node, None)
        self._follow_peers(before, member)

    def forget(self, node: bytes) -> Member:
        """Drop a member that is down or has left; returns it. O(1)."""
        member = self._members.pop(node)
        assert not member.is_live
        self._counts[member.state] -= 1
        self.summary ^= self._fingerprints.pop(node)
        del self._changed_at[node]
        self._forgotten[node] = member.incarnation
        if len(self._forgotten) > self._members_max:
            del self._forgotten[next(iter(self._forgotten))]
        return member

    def is_forgotten(self, claim: Member) -> bool:
        """Whether this claim about an unknown node only repeats what was forgotten."""
        incarnation = self._forgotten.get(claim.node)
        return (
            incarnation is not None
            and claim.state is not State.ALIVE
            and claim.incarnation <= incarnation
        )

    def gone_since(self, moment: float) -> list[bytes]:
        """The nodes that are down or have left since before ``moment``, longest first. O(n)."""
        gone = [
            (self._changed_at[member.node], member.node)
            for member in self._members.values()
            if not member.is_live
            and member.node != self._own_node
            and self._changed_at[member.node] <= moment
        ]
        return [node for _, node in sorted(gone)]

    def _find_peers(self) -> list[Member]:
        members = self._members.values()
        return [member for member in members if member.is_live and member.node != self._own_node]

    def _follow_peers(self, before: Member | None, after: Member) -> None:
        if self._peers is None or after.node == self._own_node:
            return
        was_live = before is not None and before.is_live
        if was_live and after.is_live:
            # By far the most usual change in a big cluster: a suspicion, a refutation, a payload.
            self._peers[self._peer_positions[after.node]] = after
        elif was_live or after.is_live:
            self._peers = None

    def _check(self) -> None:
        assert self._own_node in self._members
        assert len(self._members) <= self._members_max
        assert len(self._forgotten) <= self._members_max
        assert not self._forgotten.keys() & self._members.keys()
        assert self._members.keys() == self._changed_at.keys() == self._fingerprints.keys()
        summary = 0
        for node, member in self._members.items():
            assert member.node == node
            assert self._fingerprints[node] == fingerprint(member)
            summary ^= self._fingerprints[node]
        assert summary == self.summary
        assert self._peers in (None, self._find_peers())
        counts = Counter(member.state for member in self._members.values())
        assert all(counts[state] == self._counts[state] for state in State)
