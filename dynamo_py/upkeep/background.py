"""A node's background work, put together from the node's parts, for the node to start.

Construction and passing on alone: what each loop does is said where it is. All of them share
one throttle, and whatever moves records is known to be under way (`Peers.under_way`).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dynamo_py.cluster.membership import Membership
from dynamo_py.cluster.view import ClusterView, Placement
from dynamo_py.config import NodeConfig
from dynamo_py.coordinator.peers import Peers
from dynamo_py.environment import Clock, Offload
from dynamo_py.log import get_logger
from dynamo_py.net.links import Links
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.forgettable import Forgettable
from dynamo_py.replica.proofs import Proofs
from dynamo_py.replica.replica import Replica
from dynamo_py.replica.store import Store
from dynamo_py.replica.trees import Trees
from dynamo_py.upkeep.building import Building
from dynamo_py.upkeep.cleaning import Cleaning
from dynamo_py.upkeep.completing import Completing
from dynamo_py.upkeep.decreeing import Decreeing
from dynamo_py.upkeep.discarding import discard_all
from dynamo_py.upkeep.exchange import Exchanges
from dynamo_py.upkeep.exchanging import Exchanging
from dynamo_py.upkeep.forgetting import Forgetting
from dynamo_py.upkeep.handing_over import HandingOver
from dynamo_py.upkeep.hint_replay import HintReplay
from dynamo_py.upkeep.leaving import Leaving
from dynamo_py.upkeep.listing import Listings
from dynamo_py.upkeep.mirror import Mirror
from dynamo_py.upkeep.taking import Taking
from dynamo_py.upkeep.targets import Targets
from dynamo_py.upkeep.throttle import Throttle
from dynamo_py.wire.handover_messages import Transfers

Loop = Callable[[], Awaitable[None]]

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Copies:
    """What a node holds, and what is known of it."""

    replica: Replica
    trees: Trees
    completeness: Completeness
    forgettable: Forgettable
    proofs: Proofs


class Background:
    """The loops of one node that keep its copies up."""

    def __init__(
        self,
        copies: Copies,
        peers: Peers,
        view: Callable[[], ClusterView],
        throttle: Throttle,
        config: NodeConfig,
        *,
        store: Store,
        clock: Clock,
        random_: random.Random,
        tell_hint_targets: Callable[[tuple[bytes, ...]], None],
    ) -> None:
        """``tell_hint_targets`` lets all nodes know for whom this one keeps hints."""
        self._copies = copies
        self._peers = peers
        self._store = store
        self._clock = clock
        self._up: frozenset[bytes] = frozenset()
        self._view = view
        replica = copies.replica
        self.building = Building(copies.trees, throttle)
        self.listings = Listings(replica, throttle)
        self.exchanges = Exchanges(
            replica,
            self.building,
            peers,
            view,
            throttle,
            clock=clock,
            under_way=peers.under_way,
        )
        self.hint_replay = HintReplay(replica, peers, throttle, view, tell=tell_hint_targets)
        self.taking = Taking(self.exchanges, self.building, store, view, clock=clock)
        self.completing = Completing(
            copies.completeness, self.exchanges, view, is_taken=self.taking.is_taken
        )
        self.cleaning = self._cleaning(throttle)
        self.handing_over: HandingOver | None = None
        """Known once the cluster's state is (`membership_loops`)."""
        self.exchanging = Exchanging(
            self.exchanges,
            view,
            interval_s=config.exchange_interval_s,
            is_filling=self.completing.is_filling,
        )
        self.forgetting = Forgetting(
            replica,
            copies.forgettable,
            peers,
            view,
            throttle,
            clock=clock,
            random_=random_,
            after_s=config.forget_after_s,
        )

    def _cleaning(self, throttle: Throttle) -> Cleaning:
        taking = self.taking
        cleaning = Cleaning(
            self._copies.replica,
            self.exchanges,
            throttle,
            self._view,
            is_offered=taking.is_offered,
            is_early=taking.is_early,
        )
        taking.on_withdrawn = cleaning.notify
        return cleaning

    def loops(self) -> tuple[tuple[str, Loop], ...]:
        """The loops by name, each to be run until cancelled."""
        return (
            ("completing", self.completing.run),
            ("building of trees", self.building.run),
            ("listings of leaves", self.listings.run),
            ("exchanging", self.exchanging.run),
            ("hint replay", self.hint_replay.run),
            ("forgetting", self.forgetting.run),
            ("taking", self.taking.run),
            ("cleaning", self.cleaning.run),
        )

    def membership_loops(
        self,
        membership: Membership,
        links: Links,
        offload: Offload,
        *,
        is_empty: Callable[[], bool],
        on_left: Callable[[], None],
    ) -> tuple[tuple[str, Loop], ...]:
        """The loops that move tokens, by name. ``on_left`` is called when this node has left."""
        targets = Targets(
            membership.state, membership.view.me, offload, monotonic=self._clock.monotonic
        )
        mirror = Mirror(self._peers, self._view)
        self._copies.replica.mirrored = mirror
        self.handing_over = HandingOver(
            membership,
            targets,
            self._peers,
            self._copies.completeness,
            self.building,
            mirror,
            self.exchanges.throttle,
            is_empty=is_empty,
        )
        return (
            ("handing over", self.handing_over.run),
            ("decreeing", Decreeing(membership, targets).run),
            ("leaving", Leaving(membership, links, is_empty=is_empty, on_left=on_left).run),
        )

    def transfers(self) -> Transfers:
        """Which partitions are on their way to this node, and what it has still to do."""
        name = self._view().name_of(self._view().me)
        to_give = 0 if self.handing_over is None else self.handing_over.left
        return Transfers(
            self.taking.transfers(),
            [(name, to_give)] if to_give else [],
            [(name, self.cleaning.left)] if self.cleaning.left else [],
            [],
        )

    def giving(self) -> list[tuple[int, str]]:
        """How many tokens could not be given away so far, and what they wait for."""
        waits = {} if self.handing_over is None else self.handing_over.waits()
        return sorted((count, why) for why, count in Counter(waits.values()).items())

    def commit_failed(self) -> None:
        """What was shown of copies may not be there."""
        self.taking.lost_all()
        self.cleaning.notify()

    def on_damage(self, partition: int) -> None:
        """A record of the partition is lost."""
        self.taking.lost(partition)
        self.completing.on_damage(partition)

    def on_view(self, view: ClusterView) -> None:
        """There is another view."""
        self.completing.notify()
        if view.up != self._up:
            self._up = view.up
            self.cleaning.notify()
        self.exchanging.on_view(view)
        self.hint_replay.notify()

    def on_placement(self, before: Placement) -> None:
        """The table has changed."""
        self.completing.on_placement(before)
        self.taking.on_placement()  # After that: it has asked what was shown.
        self.cleaning.notify()
        self.hint_replay.on_placement(before)

    async def discard(self, store: Store) -> int:
        """Throw records and hints away, once each copy is begun again; how many there were.

        All of them, but for copies that no other node has. Raises what ``store`` raises.
        """
        copies, completeness = self._copies, self._copies.completeness
        kept = [p for p in completeness.held() if not completeness.sources(p)]
        if kept:
            log.error("not discarded: no other node has a copy", partitions=len(kept))
        try:
            return await discard_all(store, self._view().ring.partitions, kept=kept)
        finally:
            copies.trees.mark_all_dirty()
            copies.replica.hints.recount()

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return {
            **self.exchanging.figures(),
            **self.hint_replay.figures(),
            **self.forgetting.figures(),
        }

    def _check(self) -> None:
        self.exchanging._check()
        self.hint_replay._check()
        self.forgetting._check()
