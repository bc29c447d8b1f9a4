"""Gives away the tokens that this node owns and another member should: at once, while empty.

Only a token's present owner gives it away, and only while no key exists can that be done
without moving data; `dynamo_py.cluster.joining` lets nobody in later. (Hand-over of tokens
with data is not built yet.) Which tokens is `ring.claim`'s answer, the same on every node
that knows the same table and members.
"""

from __future__ import annotations

from collections.abc import Callable

import ring
from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.membership import Membership
from dynamo_py.log import get_logger

log = get_logger(__name__)


class Giving:
    """The loop that lets tokens go to those who should have them."""

    def __init__(self, membership: Membership, *, is_empty: Callable[[], bool]) -> None:
        self._membership = membership
        self._is_empty = is_empty

    async def run(self) -> None:
        """Give what is to be given, at each change of the cluster."""
        while True:
            changed = self._membership.changed  # Before the look: what comes after counts.
            await self.give()
            await changed.wait()

    async def give(self) -> None:
        """Give away, on disk first, every own token that another member should own."""
        if not self._is_empty():
            return
        state = self._membership.state
        me = self._membership.view.me
        entries = []
        for token, receiver in self._target():
            entries += state.table.given([token], me, receiver)
        if entries:
            await state.decide(entries)
            log.info(
                "tokens given", count=len(entries), left=len(state.placement.ring.tokens_of(me))
            )

    def _target(self) -> list[tuple[int, bytes]]:
        """This node's tokens that should be another's, with whose."""
        state = self._membership.state
        me = self._membership.view.me
        claimants = {
            entry.node: ring.Claimant(entry.weight, entry.zone or entry.name)
            for entry in state.members.present
            if entry.state == MEMBER
        }
        present = state.table.owners
        if me not in present or claimants.keys() <= {me}:
            return []
        target = ring.claim(present, claimants, state.replicas)
        return [
            (token, receiver)
            for token, (owner, receiver) in enumerate(zip(present, target, strict=True))
            if owner == me and receiver != me
        ]
