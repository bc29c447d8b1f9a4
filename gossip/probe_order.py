"""Whom to probe next. Knows nothing of what a probe is.

Round robin over a shuffled list (Das et al. 2002, section 4.3): each member is probed once in
a round, so a dead one is found within two rounds at the latest. Members that someone suspects
go to the front of the line: their answer is wanted first.
"""

from __future__ import annotations

import random

from gossip.members import Member
from gossip.table import MemberTable


class ProbeOrder:
    """The members in the order in which they are to be probed."""

    def __init__(self, generator: random.Random) -> None:
        self._random = generator
        self._round: list[bytes] = []
        self._urgent: dict[bytes, None] = {}

    def add(self, node: bytes) -> None:
        """A new member: somewhere in the present round, so that it has not long to wait."""
        self._round.insert(self._random.randint(0, len(self._round)), node)

    def hurry(self, node: bytes) -> None:
        """Before all others."""
        self._urgent[node] = None

    def next(self, table: MemberTable) -> Member | None:
        """The next member to probe, one that takes part; None when there is nobody."""
        while self._urgent:
            node = next(iter(self._urgent))
            del self._urgent[node]
            member = table.get(node)
            if member is not None and member.is_live:
                return member
        if not table.peers():
            return None
        while True:
            if not self._round:
                self._round = [peer.node for peer in table.peers()]
                self._random.shuffle(self._round)
            member = table.get(self._round.pop())
            if member is not None and member.is_live:
                return member

    def forget_absent(self, table: MemberTable) -> None:
        """Drop what is no longer in the table, so that nothing grows without bound. O(n)."""
        self._round = [node for node in self._round if table.get(node) is not None]
        self._urgent = {node: None for node in self._urgent if table.get(node) is not None}

    def _check(self, own_node: bytes) -> None:
        assert own_node not in self._round
        assert own_node not in self._urgent
