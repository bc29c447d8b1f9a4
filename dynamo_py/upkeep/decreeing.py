"""Takes the tokens of removed members: by decree, since their owner cannot give them away.

Each by the member that should own it, with a greater term, so that no entry which the removed
owner made can undo it. Where two members think so, by different tables, the greater id holds.
The copies begin without a vote, and earn it from those that are left (`Completing`).
"""

from __future__ import annotations

from dynamo_py.cluster.membership import Membership
from dynamo_py.log import get_logger
from dynamo_py.upkeep.targets import Targets
from dynamo_py.wire.messages import TableEntry

log = get_logger(__name__)


class Decreeing:
    """The loop that takes over from the dead."""

    def __init__(self, membership: Membership, targets: Targets) -> None:
        self._membership = membership
        self._targets = targets
        self.taken = 0
        """Tokens taken since the start."""

    async def run(self) -> None:
        """Take what is to be taken, at each change of the cluster."""
        while True:
            changed = self._membership.changed
            await self.take()
            await changed.wait()

    async def take(self) -> None:
        """Take every token of a removed member that this node should own."""
        state, me = self._membership.state, self._membership.view.me
        present = {entry.node for entry in state.members.present}
        if present.issuperset(state.table.owners):
            return
        target = await self._targets.now()
        if target is None:
            return  # The change that came in between wakes the loop again.
        entries = [
            TableEntry(entry.token, entry.term + 1, 1, me)
            for entry in state.table.entries
            if entry.owner not in present and target[entry.token] == me
        ]
        if entries:
            await state.decide(entries)
            self.taken += len(entries)
            log.info("tokens taken from removed members", count=len(entries))

    def statistics(self) -> dict[str, int]:
        """Tokens taken since the start."""
        return {"taken": self.taken}
