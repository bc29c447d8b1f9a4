"""Puts a node together: construction and lifetimes, no protocol logic.

A node is given its configuration, its environment and its opened storage. `Node.running`
starts it: the committer, then the cluster's state (loaded, founded or joined), then
membership, upkeep and the listeners; it ends in the opposite order.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from dynamo_py.causality import Minter, Record
from dynamo_py.cluster.address_book import AddressBook
from dynamo_py.cluster.founding import cluster_state
from dynamo_py.cluster.joining import Admissions
from dynamo_py.cluster.membership import Addresses, Membership
from dynamo_py.cluster.removal import Removal
from dynamo_py.cluster.state import ClusterState
from dynamo_py.cluster.view import ClusterView
from dynamo_py.config import NodeConfig
from dynamo_py.coordinator.assembly import coordinator_of
from dynamo_py.coordinator.peers import Peers
from dynamo_py.coordinator.slow import SlowRequests
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.environment import Environment
from dynamo_py.errors import DynamoError, WrongState
from dynamo_py.http.application import application
from dynamo_py.http.serving import serve_on
from dynamo_py.lifetimes import background
from dynamo_py.log import get_logger
from dynamo_py.net.alarms import Alarms
from dynamo_py.net.callers import Callers
from dynamo_py.net.link import Link, OnReply
from dynamo_py.net.links import Links
from dynamo_py.net.listener import Listener
from dynamo_py.net.timestamps import AlarmedClock
from dynamo_py.ports import Ports
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.forgettable import Forgettable
from dynamo_py.replica.proofs import Proofs
from dynamo_py.replica.replica import Replica
from dynamo_py.replica.trees import Trees
from dynamo_py.server.administration import Administration
from dynamo_py.server.answers import replica_requests
from dynamo_py.server.client_requests import ClientRequests
from dynamo_py.server.figures import facts_of, figures_of
from dynamo_py.server.peer_requests import PeerRequests
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.engine import Space
from dynamo_py.storage.node_storage import NodeStorage
from dynamo_py.upkeep.background import Background, Copies
from dynamo_py.upkeep.confirming import Confirming
from dynamo_py.upkeep.hint_replay import HintReplay
from dynamo_py.upkeep.progress import OwnProgress
from dynamo_py.upkeep.supervise import Supervisor
from dynamo_py.upkeep.throttle import Throttle
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.handshake import CLIENT, PEER, Identity, hello_from_peer
from dynamo_py.wire.messages import Join, Message, NodeFacts

DRAIN_S = 10.0
"""How long a node that is told to stop waits for the requests under way."""

log = get_logger(__name__)


class Node:
    """One node of a cluster."""

    def __init__(self, config: NodeConfig, environment: Environment, storage: NodeStorage) -> None:
        self.config = config.checked()
        self.environment = environment
        self._storage = storage
        self._clock = AlarmedClock(environment.clock.wall_ms)
        self.committer = Committer(
            storage.engine, environment.offload, on_failure=self._on_commit_failure
        )
        self._progress = OwnProgress(self.committer)
        self.throttle = Throttle()
        self.trees = Trees(self.committer, on_damage=self._on_scanned_damage)
        self.forgettable = Forgettable(
            wall_ms=environment.clock.wall_ms, after_ms=int(self.config.forget_after_s * 1000)
        )
        self.replica = Replica(
            self.committer,
            Minter(random.Random(environment.random.getrandbits(64))),
            self._clock,
            wall_ms=environment.clock.wall_ms,
            on_damage=self._on_damage,
            on_change=self.trees.note,
            on_record=self._on_record,
            hint_bytes_max=self.config.hint_bytes,
        )
        self.proofs = Proofs(
            self.committer,
            self.replica.hints,
            storage.engine.get,
            wall_ms=environment.clock.wall_ms,
        )
        self._callers = Callers()
        self.removal = Removal(self.config.name, self._callers)
        self.links = Links(
            environment,
            hello=lambda: hello_from_peer(self._identity()),
            timestamps=self._clock,
            handle=_refuse_on_own_link,
            on_lost=self._on_link_lost,
            on_refused=self.removal.on_refused,
        )
        self.supervisor = Supervisor(random.Random(environment.random.getrandbits(64)))
        self._forgetting_random = random.Random(environment.random.getrandbits(64))
        self._alarms = Alarms(environment.clock.monotonic)
        self._under_way = UnderWay()
        self._ports = Ports()
        self._is_assembled = False
        # Made once the cluster's state is known:
        self.membership: Membership
        self.completeness: Completeness
        self.background: Background
        self.hint_replay: HintReplay
        self.confirming: Confirming
        self.requests: ClientRequests

    # --- lifetime -----------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Node]:
        """Run the node while the body runs; on leaving it drains, and stores what is pending.

        Raises `WrongState` when an address is taken or the cluster refuses this node.
        """
        async with background() as storing:
            storing.start_soon(self.committer.run)
            try:
                # First: a port in use must stop everything else.
                await self._ports.bind(self.config, self.environment.transport)
                async with background() as nursery:
                    nursery.start_soon(self.links.run)
                    nursery.start_soon(self._alarms.run)
                    self._assemble(await self._cluster_state())
                    await self._start(nursery)
                    log.info("node started", node=self.config.name, **self.addresses)
                    yield self
                    await self._drain()
            finally:
                with trio.CancelScope(shield=True):
                    await self._ports.aclose()
                    await self.committer.aclose()

    async def wait_ready(self) -> None:
        """Wait until this node serves, has tokens, and may vote for every partition it holds."""
        while not self.is_ready:
            with trio.move_on_after(0.1):
                await self.membership.wait_changed()

    @property
    def is_ready(self) -> bool:
        """Whether it is what `wait_ready` waits for."""
        owns_tokens = self.config.weight == 0 or self._me in self.view.ring.nodes
        return owns_tokens and self._is_serving() and not self.completeness.voteless()

    def _is_serving(self) -> bool:
        return not self.completeness.is_in_doubt

    @property
    def view(self) -> ClusterView:
        """What this node believes of the cluster now."""
        return self.membership.view

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses in fact bound: ``client``, ``peer`` and ``http``, where there are any."""
        return self._ports.addresses

    def facts(self) -> NodeFacts:
        """This node's own figures."""
        return facts_of(
            self.config.name,
            self.view,
            self.committer.stats(),
            incomplete=self.completeness.voteless(),
            forgetting=self.background.forgetting.waits(),
            is_starting=not self._is_serving(),
            giving=self.background.giving(),
        )

    def figures(self) -> dict[str, float]:
        """This node's figures, by metric name."""
        nodes_up, alarms = len(self.view.up), self._clock.alarms
        commits = self.committer.statistics()
        return {
            **figures_of(self.facts(), commits, nodes_up=nodes_up, clock_alarms=alarms),
            **self.requests.figures(),
            **self.background.figures(),
            **self.throttle.figures(),
            **self.replica.crowded.figures(),
        }

    def is_empty(self) -> bool:
        """Whether this node holds no record and no hint, pending ones counted."""
        return self.committer.is_empty(Space.RECORDS) and self.committer.is_empty(Space.HINTS)

    async def _cluster_state(self) -> ClusterState:
        return await cluster_state(
            self.config,
            self._storage,
            self.committer,
            self.links,
            peer_address=self.addresses.get("peer", ""),
            random_=self.environment.random,
        )

    @property
    def _me(self) -> bytes:
        """This node's id; one that has lost its disk is given its former id when it joins."""
        return self._storage.node_id

    # --- assembly -----------------------------------------------------------------------------

    def _assemble(self, state: ClusterState) -> None:
        self._address_book = AddressBook(self.committer)
        self.completeness = Completeness(self.committer, state.partitions)
        peers = Peers(self.links, state, self._answer_here, under_way=self._under_way)
        replica = self.replica
        copies = Copies(replica, self.trees, self.completeness, self.forgettable, self.proofs)
        self.background = self._background(copies, peers)
        self.hint_replay = self.background.hint_replay
        self._replica_requests = replica_requests(
            copies,
            self.background,
            peers,
            lambda: self.view,
            self.committer,
            is_durable=self.config.durability == "commit",
            sequence=lambda: self._progress.now,
        )
        self.membership = self._membership_of(state)
        self.confirming = Confirming(
            self._progress,
            self.completeness,
            self.membership,
            peers,
            begin_again=self.background.completing.begin_again,
            discard=partial(self.background.discard, self.committer),
        )
        self._admissions = Admissions(
            state, lambda: self.view, remember=self.membership.remember, is_serving=self._is_serving
        )
        self._assemble_requests(peers)
        self._is_assembled = True
        self.background.completing.begin_what_is_missing()
        self.membership.observe(self._on_view)
        self.membership.on_placement = self.background.on_placement

    def _assemble_requests(self, peers: Peers) -> None:
        clock, slow = self.environment.clock, SlowRequests()
        self.coordinator = coordinator_of(
            self.config,
            self.replica,
            peers,
            self.links,
            lambda: self.view,
            clock=clock,
            alarms=self._alarms,
            slow=slow,
            is_complete=self.completeness.is_complete,
        )
        self._administration = Administration(
            self.membership,
            self.links,
            peers,
            facts=self.facts,
            hints=self.hint_replay.report,
            sync=self.background.exchanging.report,
            slow=slow,
            wall_ms=clock.wall_ms,
            offload=self.environment.offload,
        )
        self.requests = ClientRequests(
            self.coordinator,
            monotonic=clock.monotonic,
            ring_digest=lambda: self.view.client_digest,
            administration=self._administration.answer,
            requests_max=self.config.server.client_requests_max,
            on_latency=self.throttle.note,
            under_way=self._under_way,
            is_serving=self._is_serving,
        )
        self._peer_requests = PeerRequests(
            self._replica_requests,
            self.membership,
            facts=self.facts,
            hints=self.hint_replay.report,
            sync=self.background.exchanging.report,
            admit=self._start_admission,
            forwarded=self.requests.handle_forwarded,
            callers=self._callers,
        )

    def _membership_of(self, state: ClusterState) -> Membership:
        return Membership(
            state,
            self.environment,
            self.links,
            me=self._me,
            name=self.config.name,
            addresses=Addresses(
                self.addresses.get("peer", f"{self.config.name}:0"),
                self.addresses.get("client", ""),
                self.addresses.get("http", ""),
            ),
            seeds=(*self.config.seeds, *self._address_book.addresses.values()),
            remembered=self._address_book.addresses,
        )

    def _background(self, copies: Copies, peers: Peers) -> Background:
        return Background(
            copies,
            peers,
            lambda: self.view,
            self.throttle,
            self.config,
            store=self.committer,
            clock=self.environment.clock,
            random_=self._forgetting_random,
            tell_hint_targets=lambda targets: self.membership.tell_hint_targets(targets),
        )

    async def _start(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        nursery.start_soon(self.removal.run)
        await nursery.start(self.requests.run)
        for role, handle in (
            (PEER, self._peer_requests.handle),
            (CLIENT, self.requests.handle),
        ):
            listening = self._ports.listening.get(role)
            if listening is not None:
                listener = Listener(
                    listening,
                    role=role,
                    identity=self._identity,
                    monotonic=self.environment.clock.monotonic,
                    timestamps=self._clock,
                    handle=handle,
                    callers=self._callers,
                    is_removed=self.removal.is_removed,
                )
                nursery.start_soon(listener.run)
        if self._ports.http_socket is not None:
            shown = application(self, self._administration.status)
            nursery.start_soon(serve_on, self._ports.http_socket, shown)
        for name, loop in (
            ("membership", self.membership.run),
            ("confirming", self.confirming.run),
        ):
            nursery.start_soon(self.supervisor.supervise, name, loop)
        nursery.start_soon(self._start_background)

    async def _start_background(self) -> None:
        """Nobody is to be told what an old directory holds: so not before that is ruled out."""
        await self.confirming.confirmed.wait()
        moving = self.background.membership_loops(
            self.membership,
            self.links,
            self.environment.offload,
            is_empty=self.is_empty,
            on_left=self.removal.on_left,
        )
        for name, loop in (*moving, *self.background.loops()):
            self._nursery.start_soon(self.supervisor.supervise, name, loop)

    async def _drain(self) -> None:
        """Answer what is under way, take nothing new, and tell the others."""
        with trio.move_on_after(DRAIN_S):
            await self.requests.drain()
        self.confirming.tell()
        await self.membership.leave()
        log.info("node stopped", node=self.config.name)

    # --- what the parts tell the node ---------------------------------------------------------

    def _identity(self) -> Identity:
        return Identity(self._me, self.config.name, self.config.cluster, self._storage.cluster_id)

    def _start_admission(self, link: Link, frame: Frame, join: Join) -> None:
        self._nursery.start_soon(self._admissions.answer, link, frame, join)

    def _answer_here(self, message: Message, reply: OnReply) -> None:
        self._replica_requests.answer(message, reply)

    def _on_record(self, partition: int, key: bytes, record: Record | None) -> None:
        self.forgettable.note(partition, key, record)
        self.proofs.note(partition, key)

    def _on_commit_failure(self, error: DynamoError) -> None:
        log.error("commit failed", reason=error.message)
        self.replica.commit_failed()
        self.trees.mark_all_dirty()
        if self._is_assembled:
            self.background.commit_failed()

    def _on_damage(self, partition: int) -> None:
        self.trees.damage_met(partition)
        self._on_scanned_damage(partition)

    def _on_scanned_damage(self, partition: int) -> None:
        if self._is_assembled:
            self.background.on_damage(partition)

    def _on_link_lost(self, address: str) -> None:
        if self._is_assembled:
            self.membership.link_lost(address)

    def _on_view(self, view: ClusterView) -> None:
        known = {
            seen.node: seen.peer_address
            for seen in view.nodes.values()
            if seen.peer_address and seen.node != self._me
        }
        mine = self.addresses.get("peer")
        self.removal.on_view(view)
        book = self._address_book.addresses
        before = [book[node] for node in book if not self.removal.is_removed(node)]
        wanted = [*known.values(), *self.config.seeds, *before]
        self._address_book.keep(known)
        self.links.keep(address for address in wanted if address != mine)
        self.background.on_view(view)

    def _check(self) -> None:
        self.committer._check()
        self.replica._check()
        self.trees._check()
        self.proofs._check()
        self._under_way._check()
        self.background._check()
        self.links._check()
        self.requests._check()


def _refuse_on_own_link(link: Link, frame: Frame) -> None:
    """Requests come in on the links that others have made, not on those made from here."""
    link.fail(frame, WrongState("this end of the link only asks"))
