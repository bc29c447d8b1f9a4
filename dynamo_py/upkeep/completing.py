"""Earns this node's copies the right to vote: exchanges with all who hold the partition.

A copy that became a primary's without its records (by a change of the table, or by their
loss) is complete once it was exchanged with every source, what came is merged and committed,
and that fact is on disk. A source that is not complete itself is exchanged with like any
other: the copy must have what each of them has. What a source has lost itself, and says so,
cannot be had from it and is not waited for.

With whom follows from the preference lists before and after (a flip of one token may
promote a third node), so that is decided here; the fact itself is kept by
`dynamo_py.replica.completeness`.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from dynamo_py.cluster.members import REMOVED
from dynamo_py.cluster.view import ClusterView, Placement
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import in_parallel
from dynamo_py.log import get_logger
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.commits import Commits
from dynamo_py.upkeep.exchange import Exchanges

FILLS_MAX = 3
"""Partitions that are completed at once."""
RETRY_S = 0.2

log = get_logger(__name__)


class Completing:
    """The loop that completes this node's copies."""

    def __init__(
        self,
        completeness: Completeness,
        exchanges: Exchanges,
        view: Callable[[], ClusterView],
        *,
        is_taken: Callable[[int, int], bool] = lambda partition, walk: False,
    ) -> None:
        """``is_taken`` says whether a hand-over by that walk has shown that a copy has all."""
        self._is_taken = is_taken
        self._completeness = completeness
        self._exchanges = exchanges
        self._view = view
        self._work = trio.Event()

    def on_placement(self, before: Placement) -> None:
        """The table has changed: complete what this node gains, from those who had it."""
        view = self._view()
        after = view.placement
        for partition in range(after.ring.partitions):
            if before.preference_list(partition) is after.preference_list(partition):
                continue
            was = before.preference_list(partition).primaries
            now = after.preference_list(partition).primaries
            if view.me in now and view.me not in was:
                if self._is_taken(partition, after.walk(partition)):
                    self._completeness.begin(partition, ())
                else:
                    self._begin(partition, (*was, *now))
            elif view.me in now:
                self._add_sources(partition, [node for node in now if node not in was])
            else:
                self._completeness.drop(partition)
                if view.me in was:  # Else it is being handed over, or cleaned up, by its tree.
                    self._exchanges.forget(partition)

    def _add_sources(self, partition: int, gainers: list[bytes]) -> None:
        """Who has become a primary beside this node has what a source may have given it.

        The source need not have it any more: this node may have lost its records, and its table
        with them, after that source had cleaned up.
        """
        sources = self._completeness.sources(partition)
        if sources and gainers:
            self._completeness.begin(partition, (*sources, *gainers))
            self._work.set()

    def on_damage(self, partition: int) -> None:
        """A record is lost: the copy may not vote until it has what the others have."""
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
        view = self._view()
        others = [node for node in holders if node != view.me and not _is_removed(view, node)]
        self._completeness.begin(partition, others)
        self._exchanges.distrust(partition)
        self._work.set()

    def notify(self) -> None:
        """A copy may have become incomplete, or a source reachable."""
        self._work.set()

    def is_filling(self, partition: int) -> bool:
        """Whether this node is just completing its copy of ``partition`` from somebody."""
        view = self._view()
        return any(view.is_up(source) for source in self._completeness.sources(partition))

    async def run(self) -> None:
        """Complete what can be completed; then wait for more to do."""
        while True:
            self._work = trio.Event()
            await self._do_without_removed_members()
            for source in self._reachable_sources():
                try:
                    await self._complete_from(source)
                except DynamoError as error:
                    name = self._view().name_of(source)
                    log.debug("not completed", source=name, reason=error.message)
            if self._reachable_sources():
                await trio.sleep(RETRY_S)
            else:
                await self._work.wait()

    async def _do_without_removed_members(self) -> None:
        """Nobody can get anything any more from a source that was removed."""
        view = self._view()
        for partition in self._completeness.incomplete():
            for source in self._completeness.sources(partition):
                if _is_removed(view, source):
                    log.info("source removed", partition=partition, source=source.hex())
                    await self._done(source, {partition: self._completeness.sources(partition)})

    def _reachable_sources(self) -> list[bytes]:
        view = self._view()
        sources = {
            source
            for partition in self._completeness.incomplete()
            for source in self._completeness.sources(partition)
        }
        return sorted(source for source in sources if view.is_up(source))

    async def _complete_from(self, source: bytes) -> None:
        """Exchange with ``source`` whatever it is a source of, and note what is done."""
        wanted = {
            partition: sources
            for partition in self._completeness.incomplete()
            if source in (sources := self._completeness.sources(partition))
        }
        glance = await self._exchanges.glance(source, list(wanted))
        await self._done(source, {p: wanted[p] for p in glance.equal})
        left = [p for p in wanted if p not in glance.equal]

        async def work() -> None:
            while left:
                partition = left.pop(0)
                try:
                    await self._exchanges.exchange(partition, source)
                    await self._done(source, {partition: wanted[partition]})
                except DynamoError as error:
                    log.debug("not exchanged", partition=partition, reason=error.message)

        await in_parallel(work, min(FILLS_MAX, len(left)))

    async def _done(self, source: bytes, exchanged: dict[int, tuple[bytes, ...]]) -> None:
        """Note that these partitions were exchanged with ``source``; raises where that fails.

        Not where a copy has begun anew meanwhile: what is given is the sources it had before.
        What came in the exchange was submitted before, and a failed commit takes both.
        """
        commits = Commits()
        for partition, sources in exchanged.items():
            if self._completeness.sources(partition) is sources:
                commits.expected += 1
                self._completeness.done(partition, source, commits.note)
        await commits.wait()


def _is_removed(view: ClusterView, node: bytes) -> bool:
    """Whether ``node`` is known to be gone; one that is not known at all may just be new here."""
    entry = view.members.get(node)
    return entry is not None and entry.state == REMOVED
