"""Who should own each token: `ring.claim` over the table and the committed members, kept.

The same on every node that begins from the same table and members. It is kept while tokens
move, since a claim from the middle of a change may come to another one: tokens would move
twice. So it is claimed anew where the members have changed, where a token has gone to whom it
names no more than the table did that it was claimed from, and where it is reached. What a node
that has begun anew claims may differ from what the others keep; they notice by its tokens, or
by their rest: where nothing has moved for long, and nothing is to be moved from here.

Knows nothing of how tokens get there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import ring
from dynamo_py.cluster.changes import claimants, owners_for_claim
from dynamo_py.cluster.members import MemberMap
from dynamo_py.cluster.state import ClusterState
from dynamo_py.environment import Offload

REST_S = 60.0
"""After so long without a change a target that was not reached is claimed anew."""


class _Kept(NamedTuple):
    members: int
    """The digest of the members that it was claimed for."""
    begun_from: tuple[bytes, ...]
    target: tuple[bytes, ...]


class Targets:
    """The target owners of the present moment."""

    def __init__(
        self, state: ClusterState, me: bytes, offload: Offload, *, monotonic: Callable[[], float]
    ) -> None:
        self._state = state
        self._me = me
        self._offload = offload
        self._monotonic = monotonic
        self._kept: _Kept | None = None
        self._seen: tuple[bytes, ...] = ()
        self._seen_since_s = 0.0

    async def now(self) -> tuple[bytes, ...] | None:
        """The target owner of each token; None: the cluster has changed while it was claimed.

        Where nobody may own anything, everybody keeps what it has.
        """
        state = self._state
        owners, members = state.table.owners, state.members
        if owners != self._seen:
            self._seen, self._seen_since_s = owners, self._monotonic()
        if self._kept is None or not self._holds(self._kept, owners, members.digest):
            kept = _Kept(members.digest, owners, await self._claimed(owners, members))
            self._seen_since_s = self._monotonic()
            # Others, who have claimed sooner, may have begun to give already.
            if not self._holds(kept, state.table.owners, state.members.digest):
                return None
            self._kept = kept
        return self._kept.target

    async def _claimed(self, owners: tuple[bytes, ...], members: MemberMap) -> tuple[bytes, ...]:
        among = claimants(members)
        if not any(one.weight for one in among.values()):
            return owners
        begun_from = owners_for_claim(owners, members)
        claim = partial(ring.claim, begun_from, among, self._state.replicas)
        # In a thread: a tight ring can take some tenths of a second.
        return tuple(await self._offload(claim))

    def _holds(self, kept: _Kept, owners: tuple[bytes, ...], members: int) -> bool:
        """Whether the change that ``kept`` was claimed for is still under way."""
        if kept.members != members or (owners == kept.target != kept.begun_from):
            return False
        moves = list(zip(owners, kept.begun_from, kept.target, strict=True))
        if not all(owner in (before, after) for owner, before, after in moves):
            return False
        has_to_give = any(owner == self._me != after for owner, _, after in moves)
        is_reached = owners == kept.target
        return has_to_give or is_reached or self._monotonic() - self._seen_since_s < REST_S
