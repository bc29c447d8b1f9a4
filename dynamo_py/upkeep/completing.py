"""Earns this node's copies the right to vote: fetches what the partition's holders have.

A copy that became a primary's without its records (by a change of the table, or by their
loss) is complete once every source has been read from beginning to end, what came is merged
and committed, and that fact is on disk. (In a later version the exchange of hash trees
replaces the reading of everything.)

Whom to read follows from the preference lists before and after (a flip of one token may
promote a third node), so that is decided here; the fact itself is kept by
`dynamo_py.replica.completeness`.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dynamo_py.cluster.view import ClusterView, Placement
from dynamo_py.coordinator.peers import Peers
from dynamo_py.errors import DynamoError, NodeUnavailable, StorageError
from dynamo_py.log import get_logger
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.net.link import OnReply
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.replica import Replica
from dynamo_py.wire.messages import Done, GetPage, Message, OtherWalk, Page

PAGE_ROWS = 200
PAGE_S = 10.0
RETRY_S = 0.2

log = get_logger(__name__)


class Completing:
    """The loop that completes this node's copies."""

    def __init__(
        self,
        replica: Replica,
        completeness: Completeness,
        peers: Peers,
        view: Callable[[], ClusterView],
    ) -> None:
        self._replica = replica
        self._completeness = completeness
        self._peers = peers
        self._view = view
        self._work = trio.Event()

    def on_placement(self, before: Placement) -> None:
        """The table has changed: complete what this node gains, from those who had it."""
        view = self._view()
        after = view.placement
        for partition in range(after.ring.partitions):
            was = before.preference_list(partition).primaries
            now = after.preference_list(partition).primaries
            if view.me in now and view.me not in was:
                self._begin(partition, (*was, *now))
            elif view.me not in now:
                self._completeness.drop(partition)

    def on_damage(self, partition: int) -> None:
        """A record is lost: the copy may not vote until the other primaries were read again."""
        completeness = self._completeness
        if completeness.is_held(partition) and not completeness.sources(partition):
            log.error("damaged record", partition=partition)
            self._begin(partition, self._view().preference_list(partition).primaries)

    def begin_again(self) -> None:
        """The records are older than was believed: complete all that is held, from all others."""
        for partition in self._completeness.held():
            primaries = self._view().preference_list(partition).primaries
            self._begin(partition, (*primaries, *self._completeness.sources(partition)))

    def begin_what_is_missing(self) -> None:
        """At the start: after a loss of records nothing says that a copy is complete."""
        view = self._view()
        for partition in range(view.ring.partitions):
            primaries = view.preference_list(partition).primaries
            if view.me in primaries and not self._completeness.is_held(partition):
                self._begin(partition, primaries)

    def _begin(self, partition: int, holders: tuple[bytes, ...]) -> None:
        others = [node for node in holders if node != self._view().me]
        self._completeness.begin(partition, others)
        self._work.set()

    def notify(self) -> None:
        """A copy may have become incomplete, or a source reachable."""
        self._work.set()

    async def run(self) -> None:
        """Complete what can be completed; then wait for more to do."""
        while True:
            self._work = trio.Event()
            for partition in self._completeness.incomplete():
                for source in self._completeness.sources(partition):
                    await self._fetch(partition, source)
            if self._reachable_sources():
                await trio.sleep(RETRY_S)
            else:
                await self._work.wait()

    def _reachable_sources(self) -> bool:
        view = self._view()
        return any(
            view.is_up(source)
            for partition in self._completeness.incomplete()
            for source in self._completeness.sources(partition)
        )

    async def _fetch(self, partition: int, source: bytes) -> None:
        """Read all that ``source`` holds of ``partition``, and note that it is done."""
        view = self._view()
        if source != view.me and not view.is_up(source):
            return
        try:
            start: bytes | None = b""
            while start is not None:
                start = await self._fetch_page(partition, source, start)
            await self._reply(
                lambda on_reply: self._completeness.done(
                    partition, source, lambda error: on_reply(error or Done())
                )
            )
        except NodeUnavailable as error:
            log.debug("source not read", partition=partition, reason=error.message)

    async def _fetch_page(self, partition: int, source: bytes, start: bytes) -> bytes | None:
        view = self._view()
        walk = view.placement.walk(partition)
        message = GetPage(partition, walk, b"", start, PAGE_ROWS, False)
        reply = await self._reply(
            lambda on_reply: self._peers.ask(
                view, source, message, wait_s=PAGE_S, on_reply=on_reply
            )
        )
        if isinstance(reply, OtherWalk):
            raise NodeUnavailable("the ring is changing")
        if not isinstance(reply, Page):
            raise NodeUnavailable(f"a page was asked for, a {type(reply).__name__} came")
        for key, record in reply.rows:
            self._replica.merge(
                partition, key, record, hinted_for=None, on_commit=_noted_by_committer
            )
        return reply.next_start

    async def _reply(self, ask: Callable[[OnReply], None]) -> Message:
        """The reply to ``ask``, which answers by a callback; `NodeUnavailable` for an error."""
        reply = AwaitedReply()
        ask(reply)
        try:
            return await reply.wait()
        except DynamoError as error:
            raise NodeUnavailable(error.message) from error


def _noted_by_committer(error: StorageError | None) -> None:
    """The commit of `Completeness.done` comes after this one, and fails with it."""
