"""Gives away the tokens that this node owns and another member should: at once, while empty.

Only a token's present owner gives it away, and only while no key exists can that be done
without moving data; `dynamo_py.cluster.joining` lets nobody in later. (Hand-over of tokens
with data is not built yet.) Which tokens is `ring.claim`'s answer, the same on every node
that knows the same table and members.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import ring
from dynamo_py.cluster.members import MEMBER
from dynamo_py.cluster.membership import Membership
from dynamo_py.cluster.state import ClusterState
from dynamo_py.environment import Offload
from dynamo_py.log import get_logger

log = get_logger(__name__)


class Giving:
    """The loop that lets tokens go to those who should have them."""

    def __init__(
        self, membership: Membership, offload: Offload, *, is_empty: Callable[[], bool]
    ) -> None:
        self._membership = membership
        self._offload = offload
        self._is_empty = is_empty
        self._settled: tuple[int, int, int] | None = None

    async def run(self) -> None:
        """Give what is to be given, at each change of the cluster."""
        while True:
            changed = self._membership.changed  # Before the look: what comes after counts.
            await self.give()
            await changed.wait()

    async def give(self) -> None:
        """Give away, on disk first, every own token that another member should own."""
        state = self._membership.state
        digest = state.digest()
        if digest == self._settled or not self._is_empty():
            return
        claim = partial(ring.claim, state.table.owners, _claimants(state), state.replicas)
        # In a thread: a tight ring can take some tenths of a second.
        target = await self._offload(claim)
        if state.digest() != digest or not self._is_empty():
            return  # The change that came in between wakes the loop again.
        me = self._membership.view.me
        present = state.table.owners
        tokens = [
            token
            for token, receiver in enumerate(target)
            if present[token] == me and receiver != me
        ]
        if tokens:
            entries = [state.table.given(token, me, target[token]) for token in tokens]
            await state.decide(entries)
            log.info(
                "tokens given", count=len(tokens), left=len(state.placement.ring.tokens_of(me))
            )
        else:
            self._settled = digest


def _claimants(state: ClusterState) -> dict[bytes, ring.Claimant]:
    """Who should own tokens, by the committed members."""
    return {
        entry.node: ring.Claimant(entry.weight, entry.zone or entry.name)
        for entry in state.members.present
        if entry.state == MEMBER
    }
