"""Removes the copies of partitions that this node is no primary of any more.

Not before every present primary has been given all that the copy holds: the ring may have
changed by a merge, without a hand-over, and then this copy may have what no other has. Records
are dropped only while the copy still is what was compared. (docs/design/handover.md)

Knows nothing of why the node is no primary any more.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.log import get_logger
from dynamo_py.replica.hash_tree import digest_of
from dynamo_py.replica.replica import Replica
from dynamo_py.upkeep.building import Throttle
from dynamo_py.upkeep.exchange import Exchanges

ROWS_AT_ONCE = 100
"""Records that are dropped in one slice."""
RETRY_S = 1.0
"""How soon what could not be cleaned up is tried again."""
LOOK_S = 10.0
"""How often copies are looked for that came after the ring's last change: a late record, say."""
LOOKS_AT_ONCE = 32
"""Partitions that are looked at in one slice."""

log = get_logger(__name__)


class Cleaning:
    """The loop that cleans up."""

    def __init__(
        self,
        replica: Replica,
        exchanges: Exchanges,
        throttle: Throttle,
        view: Callable[[], ClusterView],
        *,
        is_offered: Callable[[int], bool],
        is_early: Callable[[], bool] = lambda: False,
    ) -> None:
        """``is_offered`` says whether a partition is just being handed over to this node.

        ``is_early``: whether that cannot be known yet, after a start.
        """
        self._is_early = is_early
        self._replica = replica
        self._exchanges = exchanges
        self._throttle = throttle
        self._view = view
        self._is_offered = is_offered
        self._work = trio.Event()
        self.left = 0
        """Partitions that this node holds something of, and is no primary of."""
        self.dropped = 0
        """Records dropped since the start."""

    def notify(self) -> None:
        """The ring has changed, somebody is up again, or a partition is offered no more."""
        self._work.set()

    async def run(self) -> None:
        """Clean up whatever may be, until cancelled."""
        while True:
            self._work = trio.Event()
            foreign = await self._foreign()
            self.left = len(foreign)
            for partition in foreign:
                try:
                    await self._clean(partition)
                    self.left -= 1
                except DynamoError as error:
                    log.debug("not cleaned up", partition=partition, reason=error.message)
            with trio.move_on_after(RETRY_S if self.left else LOOK_S):
                await self._work.wait()

    async def _foreign(self) -> list[int]:
        """The partitions that something is held of without need."""
        found = []
        for partition in range(self._view().ring.partitions):
            if partition % LOOKS_AT_ONCE == 0:
                await self._throttle.slice()
            if self._is_foreign(partition) and self._holds(partition):
                found.append(partition)
        return found

    def _is_foreign(self, partition: int) -> bool:
        view = self._view()
        return not view.is_primary(partition, view.me) and not self._is_offered(partition)

    def _holds(self, partition: int) -> bool:
        page = self._replica.scan(partition, b"", 1)
        return bool(page.rows or page.damaged_keys)

    async def _clean(self, partition: int) -> None:
        if self._is_early():
            raise NodeUnavailable("this node has just started: somebody may offer it again")
        view = self._view()
        walk = view.placement.walk(partition)
        root = (await self._exchanges.building.wait_built(partition)).root()
        for primary in view.preference_list(partition).primaries:
            if not view.is_up(primary):
                raise NodeUnavailable(f"{view.name_of(primary)} is down")
            compared = await self._exchanges.exchange(partition, primary, is_fetching=False)
            if compared.failed:
                raise NodeUnavailable(f"{view.name_of(primary)} has not taken all of it")
        dropped = 0
        start: bytes | None = b""
        while start is not None:
            await self._throttle.slice()
            if self._view().placement.walk(partition) != walk or not self._is_foreign(partition):
                raise NodeUnavailable("the ring is changing")
            tree = self._exchanges.building.trees.tree(partition)
            if tree is None or tree.root() != root:
                raise NodeUnavailable("the copy has changed since it was compared")
            page = self._replica.scan(partition, start, ROWS_AT_ONCE)
            for key, record in page.rows:
                dropped += self._replica.drop(partition, key, digest_of(key, record))
            for key in page.damaged_keys:
                self._replica.drop_damaged(partition, key)
            root, start = tree.root(), page.next_start
        self._exchanges.forget(partition)
        self.dropped += dropped
        log.info("copy removed", partition=partition, records=dropped)

    def statistics(self) -> dict[str, int]:
        """Records dropped since the start, and partitions that are to be cleaned up."""
        return {"dropped": self.dropped, "left": self.left}
