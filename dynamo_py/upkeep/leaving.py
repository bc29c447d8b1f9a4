"""Ends this node's membership, once it has left nothing behind: no token, no copy, no hint.

An operator has said that the node is to leave; its tokens go by hand-over like any others.
When nothing is left it says of itself that it is removed, which is final, and sees to it that
another member knows: nobody could ask this node for it later.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dynamo_py.cluster.members import LEAVING, REMOVED
from dynamo_py.cluster.membership import Membership
from dynamo_py.errors import DynamoError
from dynamo_py.log import get_logger
from dynamo_py.net.links import Links
from dynamo_py.upkeep.asking import ANSWER_S

LOOK_AGAIN_S = 0.2

log = get_logger(__name__)


class Leaving:
    """The loop that takes leave."""

    def __init__(
        self,
        membership: Membership,
        links: Links,
        *,
        is_empty: Callable[[], bool],
        on_left: Callable[[], None],
    ) -> None:
        """``is_empty`` says so of this node: no record and no hint.

        ``on_left`` is called once this node is a member no more, and another one knows.
        """
        self._membership = membership
        self._links = links
        self._is_empty = is_empty
        self._on_left = on_left

    async def run(self) -> None:
        """Wait until this node is to leave and nothing is left here, and say so."""
        while True:
            changed = self._membership.changed
            if self._is_in(LEAVING):
                if self._has_left_nothing():
                    await self._leave()
                with trio.move_on_after(LOOK_AGAIN_S):
                    await changed.wait()
            elif self._is_in(REMOVED):
                await trio.sleep_forever()  # The process is about to end.
            else:
                await changed.wait()

    def _is_in(self, state: str) -> bool:
        entry = self._membership.state.members.get(self._membership.view.me)
        return entry is not None and entry.state == state

    def _has_left_nothing(self) -> bool:
        me = self._membership.view.me
        return me not in self._membership.state.table.owners and self._is_empty()

    async def _leave(self) -> None:
        state = self._membership.state
        entry = state.members.get(self._membership.view.me)
        assert entry is not None
        gone = entry._replace(version=entry.version + 1, state=REMOVED, staged="")
        await state.decide(members=[gone])
        while not await self._told():  # noqa: ASYNC110 - it is the others that must change
            await trio.sleep(LOOK_AGAIN_S)
        self._on_left()

    async def _told(self) -> bool:
        """Whether some other member knows by now, if there is any."""
        view = self._membership.view
        for seen in view.others_up:
            try:
                await self._links.ask(
                    seen.peer_address, self._membership.state.message(), wait_s=ANSWER_S
                )
            except DynamoError as error:
                log.debug("not told that it leaves", node=seen.name, reason=error.message)
            else:
                return True
        return not any(node != view.me for node in view.nodes)
