"""Copies the partitions that this node is offered, and says when it has all of one.

The gainer's side of a hand-over (docs/design/handover.md). A copy is made by an exchange of
hash trees with the giver: what is here already, from an earlier attempt or before a restart,
is not sent again, so a transfer that was cut off goes on where it was. Once the giver mirrors
its writes it asks for a last comparison (`AskTaken`); what has been shown then is that this
copy holds all that the giver's does, on disk.

That is known in memory only, and for one walk: a process that has begun anew, lost a record or
failed to commit has to earn it again. Knows nothing of tokens.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from dynamo_py.cluster.view import ClusterView
from dynamo_py.environment import Clock
from dynamo_py.errors import DynamoError, NodeUnavailable, Overloaded
from dynamo_py.log import get_logger
from dynamo_py.net.link import OnReply
from dynamo_py.replica.store import Store
from dynamo_py.upkeep.building import Building
from dynamo_py.upkeep.commits import Commits
from dynamo_py.upkeep.exchange import Exchanges
from dynamo_py.wire.handover_messages import AskTaken, Offer, Offered, Taken, TransferFigures
from dynamo_py.wire.messages import Message

COPIES_MAX = 3
"""Partitions that are copied at once."""
OFFER_LASTS_S = 10.0
"""A partition that is offered no more for so long is not wanted here any more: it is cleaned up.

Longer than a giver waits for the slowest of its gainers (`handing_over.TAKEN_S`): the copies of
the others have to be there still at the flip.
"""
LOOK_S = 1.0
"""How often that is looked at."""
ASKED_MAX = 256
"""Last comparisons that wait or are under way; the giver asks again where there are more."""

COPYING = "copying"
COPIED = "copied"

log = get_logger(__name__)


@dataclass(slots=True)
class _Copy:
    """One partition that is offered to this node."""

    giver: bytes
    keys: int
    bytes: int
    begun_s: float
    offered_s: float
    is_copied: bool = False
    is_under_way: bool = False
    problem: str = ""


class Taking:
    """The loop that copies, and the answers to givers."""

    def __init__(
        self,
        exchanges: Exchanges,
        building: Building,
        store: Store,
        view: Callable[[], ClusterView],
        *,
        clock: Clock,
    ) -> None:
        self._exchanges = exchanges
        self._building = building
        self._store = store
        self._view = view
        self._clock = clock
        self._copies: dict[int, _Copy] = {}
        self._taken: dict[int, int] = {}
        """By partition, the walk after the flip by which the copy here is complete."""
        self._confirming: dict[int, AskTaken] = {}
        """What is just being confirmed; taken out, it comes to nothing."""
        self._asked: deque[Callable[[], Awaitable[None]]] = deque()
        self._begun_s = clock.monotonic()
        self._work = trio.Event()
        self.on_withdrawn: Callable[[], None] = lambda: None
        """Called when a partition is offered no more: what was copied of it is to be removed."""

    # --- what givers ask ------------------------------------------------------------------------

    def offered(self, offer: Offer) -> Offered:
        """Copy the partition, if that is not done; how far it is."""
        view = self._view()
        if view.is_primary(offer.partition, view.me):
            return Offered(is_copied=True, problem="")  # By another hand-over.
        now_s = self._clock.monotonic()
        copy = self._copies.get(offer.partition)
        # One source is enough, of two that give tokens away below which the partition lies.
        if copy is None or (copy.problem and copy.giver != offer.giver):
            copy = _Copy(offer.giver, offer.keys, offer.bytes, now_s, now_s)
            self._copies[offer.partition] = copy
            self._building.trees.want(offer.partition)
        copy.keys, copy.bytes, copy.offered_s = offer.keys, offer.bytes, now_s
        answer = Offered(copy.is_copied, copy.problem)
        copy.problem = ""  # Told once: the next offer has it tried again.
        if not copy.is_copied:
            self._work.set()
        return answer

    def ask_taken(self, asked: AskTaken, reply: OnReply) -> None:
        """Compare once more, and answer `Taken`, or why not; raises `Overloaded`."""
        if len(self._asked) + len(self._confirming) >= ASKED_MAX:
            raise Overloaded("too many hand-overs are being confirmed", retry_after=1.0)
        partition, now_s = asked.partition, self._clock.monotonic()
        self._taken.pop(partition, None)
        self._confirming[partition] = asked
        # What is asked for is offered still, also to a process that has just begun.
        copy = self._copies.setdefault(partition, _Copy(asked.giver, 0, 0, now_s, now_s))
        copy.offered_s = now_s
        self._asked.append(lambda: self._confirm(asked, reply))
        self._work.set()

    # --- what is known --------------------------------------------------------------------------

    def is_taken(self, partition: int, walk: int) -> bool:
        """Whether the copy has all that its giver had, who gave it away by ``walk``."""
        return self._taken.get(partition) == walk

    def is_offered(self, partition: int) -> bool:
        """Whether somebody is about to hand the partition over to this node."""
        return partition in self._copies

    def is_early(self) -> bool:
        """Whether this process has just begun: what was offered before may be offered again."""
        return self._clock.monotonic() - self._begun_s < OFFER_LASTS_S

    def lost(self, partition: int) -> None:
        """A record of the copy is lost: nothing is shown of it, or just being shown."""
        self._taken.pop(partition, None)
        self._confirming.pop(partition, None)

    def lost_all(self) -> None:
        """A commit has failed: what was shown may not be there."""
        self._taken.clear()
        self._confirming.clear()
        self._copies.clear()

    def on_placement(self) -> None:
        """The table has changed: what this node has become a primary of is no copy any more.

        Nor is what was shown of it good for another time, should the same walk come back.
        """
        self._drop_what_is_not_offered_any_more()

    def transfers(self) -> list[TransferFigures]:
        """How far each partition is that is offered to this node."""
        view, now_s = self._view(), self._clock.monotonic()
        found = []
        for partition, copy in sorted(self._copies.items()):
            keys, size = self._building.trees.size(partition)
            found.append(
                TransferFigures(
                    partition,
                    view.name_of(copy.giver),
                    view.name_of(view.me),
                    keys,
                    max(keys, copy.keys),
                    size,
                    max(size, copy.bytes),
                    int((now_s - copy.begun_s) * 1000),
                    COPIED if copy.is_copied else copy.problem or COPYING,
                )
            )
        return found

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Copy what is offered, until cancelled."""
        for copy in self._copies.values():
            copy.is_under_way = False  # The loop was ended by a bug, and begins anew.
        async with trio.open_nursery() as nursery:
            while True:
                self._work = trio.Event()
                while self._asked:
                    nursery.start_soon(self._asked.popleft())
                self._drop_what_is_not_offered_any_more()
                for partition in self._to_begin():
                    self._copies[partition].is_under_way = True
                    nursery.start_soon(self._copy, partition, self._copies[partition])
                with trio.move_on_after(LOOK_S if self._copies else math.inf):
                    await self._work.wait()

    def _drop_what_is_not_offered_any_more(self) -> None:
        view, now_s = self._view(), self._clock.monotonic()
        for partition in [p for p in self._taken if view.is_primary(p, view.me)]:
            del self._taken[partition]
        is_withdrawn = False
        for partition, copy in list(self._copies.items()):
            is_ours = view.is_primary(partition, view.me)
            is_over = is_ours or now_s - copy.offered_s > OFFER_LASTS_S
            if is_over and not copy.is_under_way and partition not in self._confirming:
                del self._copies[partition]
                self._taken.pop(partition, None)  # From here on the copy may be removed.
                is_withdrawn |= not is_ours
        if is_withdrawn:
            self.on_withdrawn()

    def _to_begin(self) -> list[int]:
        copies = self._copies
        room = COPIES_MAX - sum(copy.is_under_way for copy in copies.values())
        waiting = [
            partition
            for partition, copy in sorted(copies.items())
            if not (copy.is_copied or copy.is_under_way or copy.problem)
            and partition not in self._confirming
        ]
        return waiting[: max(0, room)]

    async def _copy(self, partition: int, copy: _Copy) -> None:
        try:
            await self._exchanges.exchange(partition, copy.giver)
            copy.is_copied = True
        except DynamoError as error:
            copy.problem = error.message
            log.debug("not copied", partition=partition, reason=error.message)
        finally:
            copy.is_under_way = False
            self._work.set()

    async def _confirm(self, asked: AskTaken, reply: OnReply) -> None:
        partition = asked.partition
        answer: Message | DynamoError = Taken()
        try:
            await self._compare_once_more(asked)
        except DynamoError as error:
            answer = error
        else:
            if asked.next_walk:
                self._taken[partition] = asked.next_walk
            self._copies[partition].offered_s = self._clock.monotonic()
        finally:
            if self._confirming.get(partition) is asked:
                del self._confirming[partition]
        reply(answer)

    async def _compare_once_more(self, asked: AskTaken) -> None:
        # Writes wait for it at the giver meanwhile: so nothing else is waited for.
        compared = await self._exchanges.exchange(asked.partition, asked.giver, is_patient=False)
        if compared.failed:
            raise NodeUnavailable("some records could not be taken over")
        # Whatever the durability: the giver will let others forget what it holds.
        commits = Commits()
        commits.expected = 1
        self._store.submit((), commits.note, durable=True)
        await commits.wait()
        if self._confirming.get(asked.partition) is not asked:
            raise NodeUnavailable("a record was lost meanwhile, or this was asked for again")

    def statistics(self) -> dict[str, int]:
        """Partitions that are offered, and those that are there as a whole."""
        return {"offered": len(self._copies), "taken": len(self._taken)}
