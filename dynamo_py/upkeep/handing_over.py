"""Gives away the tokens that this node owns and another member should, with the data below them.

Only a token's present owner gives it away. For each such token, some at a time:

    Offer      to each gainer   copy the partition from me; again and again until it is copied
    (mirror)                    from here on no write is acknowledged here that the gainers lack
    AskTaken   to each gainer   compare once more; then you have all
    (decide)                    the new entry, on this node's disk, then told to everyone

Who gains is found by comparing preference lists: a flip can promote a third node too. A gainer's
copy is complete by the flip where this node alone ceases to be a primary by it, since that
copy then stands for this node's; else it earns its vote afterwards (`Completing`). While
nothing is stored, tokens are given at once. Why each step is safe: docs/design/handover.md.

Knows nothing of who should own what (`Targets`), nor of how a copy is made (`Taking`). Nothing
is kept on disk of a hand-over but its end: begun again, it goes on with what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import chain, repeat

import trio

import ring
from dynamo_py.cluster.membership import Membership
from dynamo_py.cluster.state import ClusterState
from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.lifetimes import in_parallel
from dynamo_py.log import get_logger
from dynamo_py.net.awaited import AwaitedReply
from dynamo_py.replica.completeness import Completeness
from dynamo_py.upkeep.asking import ANSWER_S, Asking, M, awaited
from dynamo_py.upkeep.building import Building, Throttle
from dynamo_py.upkeep.mirror import Mirror
from dynamo_py.upkeep.targets import Targets
from dynamo_py.wire.handover_messages import AskTaken, Offer, Offered, Taken
from dynamo_py.wire.messages import Message, TableEntry

TOKENS_AT_ONCE = 4
"""Tokens whose partitions are copied at the same time."""
OFFER_AGAIN_S = (0.02, 0.05, 0.1, 0.2, 0.4)
"""After which pauses a gainer is asked again how far it is; the last one from then on."""
RETRY_S = 0.5
"""How soon tokens are tried again that something stood in the way of."""
STILL_OFFERED_S = 1.0
"""How often a copy is offered that waits for the others; well below `taking.OFFER_LASTS_S`."""
LOOK_S = 10.0
"""How soon it is looked at least: what is to be given may be another one after a rest."""
FLIP_SLICES = 10
"""Slices of background work that a flip counts for: all nodes take in and store another table."""
TAKEN_S = 5.0
"""How long a gainer may take for the last comparison. Writes wait for it meanwhile."""

log = get_logger(__name__)


class HandingOver:
    """The loop that lets tokens go to those who should have them."""

    def __init__(
        self,
        membership: Membership,
        targets: Targets,
        peers: Asking,
        completeness: Completeness,
        building: Building,
        mirror: Mirror,
        throttle: Throttle,
        *,
        is_empty: Callable[[], bool],
    ) -> None:
        """``is_empty`` says so of this node: no record and no hint."""
        self._membership = membership
        self._targets = targets
        self._peers = peers
        self._completeness = completeness
        self._building = building
        self._mirror = mirror
        self._throttle = throttle
        self._is_empty = is_empty
        self._turn = trio.Lock()
        self._waits: dict[int, str] = {}
        """What each token waits for that could not be given in the last round."""
        self.left = 0
        """How many tokens this node has still to give."""
        self.given = 0
        """How many it has given since the start."""
        self._looked_at: tuple[int, int] | None = None

    @property
    def _state(self) -> ClusterState:
        return self._membership.state

    @property
    def is_settled(self) -> bool:
        """Whether this node has nothing to give, by all that it knows now."""
        return not self.left and self._looked_at == self._known()

    def _known(self) -> tuple[int, int]:
        return self._state.table.digest, self._state.members.digest

    # --- the loop -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Give what is to be given, at each change of the cluster, until cancelled."""
        while True:
            changed = self._membership.changed  # Before the look: what comes after counts.
            await self.give()
            with trio.move_on_after(RETRY_S if self.left else LOOK_S):
                await changed.wait()

    async def give(self) -> None:
        """Try once to give away every own token that another member should own."""
        known = self._known()
        target = await self._targets.now()
        self._looked_at = None if target is None else known
        tokens = [] if target is None else self._to_give(target)
        self.left = len(tokens)
        self._waits = {token: why for token, why in self._waits.items() if token in tokens}
        if not tokens or target is None:
            return
        if self._is_empty() and not self._completeness.incomplete():
            me = self._membership.view.me
            table = self._state.table
            await self._decide([table.given(token, me, target[token]) for token in tokens])
            return
        left = iter(tokens)
        members = self._state.members

        async def work() -> None:
            for token in left:
                if self._state.members is not members:
                    return  # There is another target: the next round has it.
                await self._try(token, target[token])

        await in_parallel(work, min(TOKENS_AT_ONCE, len(tokens)))

    def _to_give(self, target: Sequence[bytes]) -> list[int]:
        me = self._membership.view.me
        owners = self._state.table.owners
        return [t for t, owner in enumerate(owners) if owner == me and target[t] != me]

    async def _try(self, token: int, receiver: bytes) -> None:
        """Hand one token over; or note what that waits for."""
        view = self._membership.view
        try:
            copied = await self._copied(view, token, receiver)
            async with self._turn:
                for _ in range(FLIP_SLICES):
                    await self._throttle.slice()
                await self._flip(token, receiver, copied)
            self._waits.pop(token, None)
        except DynamoError as error:
            if self._waits.get(token) != error.message:
                log.debug("token not given yet", token=token, reason=error.message)
            self._waits[token] = error.message

    # --- copying --------------------------------------------------------------------------------

    async def _copied(
        self, view: ClusterView, token: int, receiver: bytes
    ) -> list[tuple[int, bytes]]:
        """Wait until each gainer has a copy, if not the latest state of it; of what, and who."""
        pairs = _gains(ring.changes_by_flip(view.ring, token, receiver))
        waiting = iter(pairs)
        left = set(pairs)
        all_copied = trio.Event()

        async def work() -> None:
            partition, gainer = next(waiting)
            await self._copied_to(partition, gainer)
            left.discard((partition, gainer))
            if not left:
                all_copied.set()
            while left:
                # Else the gainer would take it that the copy is not wanted any more.
                with trio.move_on_after(STILL_OFFERED_S):
                    await all_copied.wait()
                    return
                await self._copied_to(partition, gainer)

        await in_parallel(work, len(pairs))
        return pairs

    async def _copied_to(self, partition: int, gainer: bytes) -> None:
        for pause_s in chain(OFFER_AGAIN_S, repeat(OFFER_AGAIN_S[-1])):
            view = self._membership.view
            if self._completeness.sources(partition):
                raise NodeUnavailable("this node completes its own copy first")
            if view.is_primary(partition, gainer):
                return  # By another token that was given meanwhile.
            if not view.is_up(gainer):
                raise NodeUnavailable(f"{view.name_of(gainer)} is down")
            await self._building.wait_built(partition)
            keys, size = self._building.trees.size(partition)
            walk = view.placement.walk(partition)
            offer = Offer(partition, walk, view.me, keys, size)
            offered = await self._ask(view, gainer, offer, Offered, ANSWER_S)
            if offered.is_copied:
                return
            if offered.problem:
                raise NodeUnavailable(f"{view.name_of(gainer)}: {offered.problem}")
            await trio.sleep(pause_s)

    # --- the flip -------------------------------------------------------------------------------

    async def _flip(
        self, token: int, receiver: bytes, copied: Collection[tuple[int, bytes]]
    ) -> None:
        """Have every gainer confirm, and give the token away; raises where that cannot be now."""
        state, view = self._state, self._membership.view
        if state.table.entries[token].owner != view.me:
            return
        entry = state.table.given(token, view.me, receiver)
        changes = ring.changes_by_flip(view.ring, token, receiver)
        if not set(copied).issuperset(_gains(changes)):
            raise NodeUnavailable("the ring has changed: somebody else gains by it now")
        after = state.placed_with([entry])
        asked = [
            (gainer, self._ask_taken(view, change, after.walk(change.partition)))
            for change in changes
            for gainer in change.gainers
        ]
        with self._mirror.to({change.partition: change.gainers for change in changes}) as session:
            confirming = iter(asked)

            async def work() -> None:
                for gainer, message in confirming:
                    await self._ask(view, gainer, message, Taken, TAKEN_S)

            await in_parallel(work, len(asked))
            if session.is_broken:
                raise NodeUnavailable("a gainer has not taken a write")
            if any(state.placement.walk(sent.partition) != sent.walk for _, sent in asked):
                raise NodeUnavailable("the ring is changing")
            if any(self._completeness.sources(sent.partition) for _, sent in asked):
                raise NodeUnavailable("this node completes its own copy first")
            session.is_flipping = True
            await self._decide([entry])

    async def _decide(self, entries: Sequence[TableEntry]) -> None:
        await self._state.decide(entries)
        self.given += len(entries)
        self.left -= len(entries)
        log.info("tokens given", count=len(entries), left=self.left)

    def _ask_taken(self, view: ClusterView, change: ring.Change, next_walk: int) -> AskTaken:
        """The gainer's copy stands for this node's, where this node alone is no primary then."""
        stands_for_ours = set(change.losers) <= {view.me}
        walk = view.placement.walk(change.partition)
        return AskTaken(change.partition, walk, view.me, next_walk if stands_for_ours else 0)

    async def _ask(
        self, view: ClusterView, gainer: bytes, message: Message, kind: type[M], wait_s: float
    ) -> M:
        reply = AwaitedReply()
        self._peers.ask(view, gainer, message, wait_s=wait_s, on_reply=reply)
        return await awaited(reply, kind)

    def waits(self) -> dict[int, str]:
        """What tokens wait for that could not be given, by token."""
        return dict(self._waits)

    def statistics(self) -> dict[str, int]:
        """Tokens given since the start, and still to give."""
        return {"given": self.given, "left": self.left}


def _gains(changes: Iterable[ring.Change]) -> list[tuple[int, bytes]]:
    """Which partitions are gained, and by whom."""
    return [(change.partition, gainer) for change in changes for gainer in change.gainers]
