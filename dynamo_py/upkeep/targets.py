"""Who should own each token: `ring.claim` over the table and the committed members, kept.

The same on every node that knows the same table and members. Knows nothing of how tokens get
there.
"""

from __future__ import annotations

from functools import partial

import ring
from dynamo_py.cluster.changes import claimants, owners_for_claim
from dynamo_py.cluster.state import ClusterState
from dynamo_py.environment import Offload


class Targets:
    """The target owners of the present moment."""

    def __init__(self, state: ClusterState, offload: Offload) -> None:
        self._state = state
        self._offload = offload
        self._found: tuple[tuple[int, int], tuple[bytes, ...]] | None = None

    async def now(self) -> tuple[bytes, ...] | None:
        """The target owner of each token; None: the cluster has changed while it was claimed.

        Where nobody may own anything, everybody keeps what it has.
        """
        state = self._state
        at = self._at()
        if self._found is None or self._found[0] != at:
            members = claimants(state.members)
            owners = owners_for_claim(state.table.owners, state.members)
            if not any(one.weight for one in members.values()):
                self._found = (at, state.table.owners)
            else:
                claim = partial(ring.claim, owners, members, state.replicas)
                # In a thread: a tight ring can take some tenths of a second.
                target = tuple(await self._offload(claim))
                if self._at() != at:
                    return None
                self._found = (at, target)
        return self._found[1]

    def _at(self) -> tuple[int, int]:
        return self._state.table.digest, self._state.members.digest
