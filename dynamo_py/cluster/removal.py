"""What follows from a removal: for the node itself, which ends, and for the others, who shun it.

A removal is final for a node's id. The node may learn of it from its own disk, from a table that
it is told, or from a peer that refuses its greeting, which is how one does that was down
meanwhile; it must not serve then. The others refuse its greeting and end the links with it:
what was proven without it (docs/design/forgetting.md) must not be undone by what it had sent.

A node that has left by itself ends as well, and in peace. Knows nothing of how a node leaves, or
of processes.
"""

from __future__ import annotations

import trio

from dynamo_py.cluster.members import LEAVING, REMOVED, MemberMap
from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError, NodeRemoved, WrongState
from dynamo_py.log import get_logger
from dynamo_py.net.callers import Callers
from dynamo_py.wire.handshake import removed
from dynamo_py.wire.messages import Table

TOLD_S = 10.0
"""How long a node that has left waits to hear that another one knows."""

log = get_logger(__name__)


class Removal:
    """Keeps removed nodes away, and ends this one when it is removed itself."""

    def __init__(self, name: str, callers: Callers) -> None:
        """``callers`` knows the links that other nodes have made to this one, called ``name``."""
        self._name = name
        self._callers = callers
        self._members = MemberMap()
        self._cluster = ""
        self._state = ""
        self._has_left = False
        self._reason: NodeRemoved | None = None
        self._known = trio.Event()
        self._turned_away: dict[str, str] = {}
        self.left = trio.Event()
        """Set once this node has left the cluster of its own will: there is nothing to do here."""

    def is_removed(self, node: bytes) -> bool:
        """Whether ``node`` was a member, and may not come back under this id."""
        return _is_removed(self._members, node)

    def on_view(self, view: ClusterView) -> None:
        """There is another view: end the links of those that are removed in it."""
        if view.members is self._members:
            return
        self._members, self._cluster = view.members, view.cluster
        for node in self._callers.close_if(self.is_removed, WrongState("its node is removed")):
            log.warning("link of a removed node ended", node=_name_of(view.members, node))
        mine = view.members.get(view.me)
        before, self._state = self._state, "" if mine is None else mine.state
        if self._state == REMOVED and before != REMOVED:
            self._has_left = before == LEAVING and not view.ring.tokens_of(view.me)
            self._on_removed()

    def on_refused(self, address: str, error: DynamoError) -> None:
        """Whoever answers at ``address`` has refused this node's greeting."""
        if isinstance(error, NodeRemoved) and self._has_left:
            self.on_left()  # It knows that this node has left: that is all that was missing.
            return
        if self._turned_away.get(address) != error.message:
            self._turned_away[address] = error.message
            log.warning("turned away by a node", address=address, reason=error.message)
        if isinstance(error, NodeRemoved):
            self._reason = error
            self._known.set()

    def on_left(self) -> None:
        """This node has left, and another one knows."""
        if not self.left.is_set():
            log.info("left the cluster", node=self._name, cluster=self._cluster)
            self.left.set()

    async def run(self) -> None:
        """Wait for the end of this node's membership; raises `NodeRemoved` where others ended it.

        Waits for ever once the node has left by itself: `left` is set then.
        """
        await self._known.wait()
        if self._reason is not None:
            log.error("removed from the cluster", node=self._name, reason=self._reason.message)
            raise self._reason
        with trio.move_on_after(TOLD_S):
            await self.left.wait()
        self.on_left()
        await trio.sleep_forever()

    def _on_removed(self) -> None:
        if not self._has_left:
            self._reason = removed(self._cluster, self._name)
        self._known.set()


def refuse_if_removed(table: Table, node: bytes) -> None:
    """Raise `NodeRemoved` where ``table`` says that ``node`` is a member no more."""
    members = MemberMap(table.members)
    if _is_removed(members, node):
        raise removed(table.cluster, _name_of(members, node))


def _is_removed(members: MemberMap, node: bytes) -> bool:
    entry = members.get(node)
    return entry is not None and entry.state == REMOVED


def _name_of(members: MemberMap, node: bytes) -> str:
    entry = members.get(node)
    return node.hex() if entry is None else entry.name
