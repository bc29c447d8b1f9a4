"""Who is in the cluster and who is up: gossip and the agreed state, joined into one view.

The one place where `gossip` meets the store. Gossip carries, as opaque payloads, each node's
addresses, how far its store has come, and a digest of its cluster state; where a member's
digest differs from ours, its state is fetched and merged, so that all live nodes come to one
table and one member map.

Knows nothing of requests. The failure detector only says who is up: it moves no data.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from typing import Annotated

import msgspec
import trio

import gossip
from dynamo_py.cluster.state import ClusterState
from dynamo_py.cluster.view import DOWN, SUSPECT, UP, ClusterView, NodeView, Placement
from dynamo_py.environment import Environment
from dynamo_py.errors import DynamoError
from dynamo_py.log import get_logger
from dynamo_py.net.links import Links
from dynamo_py.wire.messages import GetTable, Gossip, Table

ADDRESSES = 1
STATE_DIGEST = 2
HINT_TARGETS = 3
PROGRESS = 4
FETCH_S = 5.0
HINT_TARGETS_MAX = 128
"""For how many nodes a node tells that it keeps hints; for more it says that, and no names."""
SETTLE_S = 0.2
"""After this long a change that was told is known wherever it can be: only then states differ."""
EXCHANGE_AGAIN_S = 1.0
"""How soon states are exchanged again with members that still know another one."""

_STATES = {
    gossip.State.ALIVE: UP,
    gossip.State.SUSPECT: SUSPECT,
    gossip.State.DOWN: DOWN,
    gossip.State.LEFT: DOWN,
}

log = get_logger(__name__)


class Addresses(msgspec.Struct, frozen=True, array_like=True):
    """What a node says of itself by gossip."""

    peer: str
    client: str
    http: str


class StateDigest(msgspec.Struct, frozen=True, array_like=True):
    """What a node knows of the agreed state: equal digests, equal states."""

    version: int
    table: int
    members: int
    buckets: int


class HintTargets(msgspec.Struct, frozen=True, array_like=True):
    """For whom a node keeps hints: ids, sorted; or, where they are too many, for anybody."""

    targets: list[bytes]
    anybody: bool = False


_encode = msgspec.msgpack.Encoder().encode
_addresses = msgspec.msgpack.Decoder(Addresses)
_digests = msgspec.msgpack.Decoder(StateDigest)
_progress: msgspec.msgpack.Decoder[int] = msgspec.msgpack.Decoder(
    Annotated[int, msgspec.Meta(ge=0)]
)
_hint_targets = msgspec.msgpack.Decoder(HintTargets)

NOTHING_SAID = Addresses("", "", "")
NO_HINTS = HintTargets([])


class Membership:
    """This node's knowledge of the cluster, kept up while `run` runs."""

    def __init__(
        self,
        state: ClusterState,
        environment: Environment,
        links: Links,
        *,
        me: bytes,
        name: str,
        addresses: Addresses,
        seeds: tuple[str, ...],
        remembered: Mapping[bytes, str] | None = None,
        config: gossip.GossipConfig | None = None,
    ) -> None:
        """``remembered`` are peer addresses of members of which nothing may be heard."""
        self.state = state
        self._links = links
        self._wall_ms = environment.clock.wall_ms
        self._payload_version = 0
        self._told_progress: int | None = None
        self._remembered = {} if remembered is None else remembered
        self._hint_targets: HintTargets | None = None
        self._work = trio.Event()
        self._observers: list[Callable[[ClusterView], None]] = []
        self.on_placement: Callable[[Placement], None] = lambda before: None
        """Called with the placement as it was, once the view has the new one."""
        self._changed = trio.Event()
        self._agent = gossip.Agent(
            cluster=state.cluster_id,
            me=gossip.Member(me, name, addresses.peer),
            seeds=tuple(seed for seed in seeds if seed != addresses.peer),
            send=self._send,
            clock=environment.clock.monotonic,
            generator=random.Random(environment.random.getrandbits(64)),
            config=config,
        )
        self._agent.subscribe(self._on_gossip)
        self._agent.set_payload(ADDRESSES, self._next_version(), _encode(addresses))
        self._me = me
        self._own = addresses
        self.view = self._build()
        state.on_change = self._on_state
        state.on_decided = self._on_decided
        self._tell_digest()

    # --- what is known ------------------------------------------------------------------------

    def observe(self, observer: Callable[[ClusterView], None]) -> None:
        """Call ``observer`` with each new view, and with the present one now."""
        self._observers.append(observer)
        observer(self.view)

    @property
    def changed(self) -> trio.Event:
        """Set at the next new view."""
        return self._changed

    async def wait_changed(self) -> None:
        """Wait for the next new view."""
        await self._changed.wait()

    @property
    def digests(self) -> dict[bytes, StateDigest]:
        """What each member says that it knows of the agreed state."""
        return {
            member.node: digest
            for member in self._agent.members()
            if (payload := member.payloads.get(STATE_DIGEST)) is not None
            and (digest := _read_digest(payload.data)) is not None
        }

    @property
    def is_converged(self) -> bool:
        """Whether all members that are up report one table, member map and buckets' properties."""
        known, view = self.digests, self.view
        mine = self._own_digest()
        return all(known.get(seen.node) == mine for seen in view.others_up)

    def progress_of(self, node: bytes) -> int:
        """How far ``node`` last said that its store had come, in an earlier life too; else 0."""
        member = self._agent.member(node)
        payload = None if member is None else member.payloads.get(PROGRESS)
        return 0 if payload is None else _read_progress(payload.data)

    def tell_progress(self, sequence: int) -> None:
        """Tell the others how far this node's store has come, in place of what was told before."""
        self._told_progress = sequence
        self._agent.set_payload(PROGRESS, self._next_version(), _encode(sequence))

    # --- what comes in ------------------------------------------------------------------------

    def receive(self, payload: bytes) -> None:
        """A gossip message from a peer."""
        self._agent.receive(payload)

    def receive_table(self, table: Table) -> bool:
        """A peer's state: merged if it is this cluster's. Whether it had any news."""
        return table.cluster_id == self.state.cluster_id and self.state.merge(
            table.entries, table.members, table.buckets
        )

    def link_lost(self, address: str) -> None:
        """The link to a peer was lost: a hint for the failure detector."""
        self._agent.link_lost(address)

    def remember(self, node: bytes, address: str) -> None:
        """A member's peer address, should nothing ever be heard of it."""
        self._remembered = {**self._remembered, node: address}
        self._rebuild()

    # --- what is told of this node ------------------------------------------------------------

    def tell_hint_targets(self, targets: tuple[bytes, ...]) -> None:
        """Let all nodes know for whom this one keeps hints; sorted ids."""
        is_told = len(targets) <= HINT_TARGETS_MAX
        said = HintTargets(list(targets)) if is_told else HintTargets([], anybody=True)
        self._hint_targets = said
        self._agent.set_payload(HINT_TARGETS, self._next_version(), _encode(said))
        self._rebuild()

    # --- lifetimes ----------------------------------------------------------------------------

    async def run(self) -> None:
        """Gossip, and fetch state from whoever has another one, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._agent.run)
            nursery.start_soon(self._keep_up)

    async def leave(self) -> None:
        """Tell the others that this node stops on purpose."""
        await self._agent.leave()

    async def _keep_up(self) -> None:
        while True:
            self._work = trio.Event()
            await trio.sleep(SETTLE_S)
            differing = self._differing()
            for node in differing:
                await self._exchange_with(node)
            with trio.move_on_after(EXCHANGE_AGAIN_S if differing else math.inf):
                await self._work.wait()

    def _differing(self) -> list[NodeView]:
        """The members that are up and say that they know another state, with no older a table.

        Those with an older one find this node in the same way, and tell what only they know.
        """
        known, mine = self.digests, self._own_digest()
        return [
            seen
            for seen in self.view.others_up
            if (theirs := known.get(seen.node, mine)) != mine and theirs.version >= mine.version
        ]

    async def _exchange_with(self, seen: NodeView) -> None:
        """Fetch the state that ``seen`` knows; tell it ours, if that is more."""
        try:
            reply = await self._links.ask(seen.peer_address, GetTable(), wait_s=FETCH_S)
        except DynamoError as error:
            log.debug("state not fetched", node=seen.name, reason=error.message)
            return
        if isinstance(reply, Table):
            before = self.state.table.version
            if self.receive_table(reply):
                log.info("newer state of the cluster learnt", node=seen.name, before=before)
            if reply != self.state.message():
                log.info("older state of the cluster met", node=seen.name)
                self._links.tell(seen.peer_address, self.state.message())

    # --- changes ------------------------------------------------------------------------------

    def _on_state(self, before: Placement) -> None:
        self._tell_digest()
        self._rebuild()
        if self.state.placement is not before:
            self.on_placement(before)

    def _on_decided(self, news: Table) -> None:
        """Tell everyone. Whom that does not reach hears by gossip that there are news."""
        for seen in self.view.others_up:
            self._links.tell(seen.peer_address, news)

    def _on_gossip(self, event: gossip.MemberChanged | gossip.PayloadChanged) -> None:
        if isinstance(event, gossip.PayloadChanged) and event.node == self._me:
            self._outbid(event)
            return
        if isinstance(event, gossip.PayloadChanged) and event.topic == PROGRESS:
            return  # Looked up when it is asked for.
        if isinstance(event, gossip.PayloadChanged) and event.topic == STATE_DIGEST:
            self._compare(event.node, _read_digest(event.data))
            self._notify()
            return
        if isinstance(event, gossip.MemberChanged) and event.after is not None:
            self._log_change(event.before, event.after)
        self._rebuild()

    def _log_change(self, before: gossip.Member | None, after: gossip.Member) -> None:
        was = None if before is None else before.state
        if was != after.state and after.node != self._me:
            log.info("member " + _STATES[after.state], node=after.name, address=after.address)
            if after.state is gossip.State.ALIVE:
                self._links.hurry(after.address)

    def _compare(self, node: bytes, theirs: StateDigest | None) -> None:
        if node != self._me and theirs not in (None, self._own_digest()):
            self._work.set()

    def _own_digest(self) -> StateDigest:
        return StateDigest(self.state.table.version, *self.state.digest())

    def _outbid(self, heard: gossip.PayloadChanged) -> None:
        """An earlier life of this node, whose clock was ahead, is still heard of: go above it."""
        if heard.version >= self._payload_version:
            self._payload_version = heard.version
            self._agent.set_payload(ADDRESSES, self._next_version(), _encode(self._own))
            self._tell_digest()
            if self._told_progress is not None:
                self.tell_progress(self._told_progress)
            if self._hint_targets is not None:
                said = _encode(self._hint_targets)
                self._agent.set_payload(HINT_TARGETS, self._next_version(), said)

    def _tell_digest(self) -> None:
        data = _encode(self._own_digest())
        self._agent.set_payload(STATE_DIGEST, self._next_version(), data)

    def _next_version(self) -> int:
        """Above every version that this node has used, in earlier processes too."""
        # What an earlier life has told may be known to the agent before `_outbid` is told of it.
        heard = max((told.version for told in self._agent.me.payloads.values()), default=0)
        self._payload_version = max(self._payload_version + 1, heard + 1, self._wall_ms())
        return self._payload_version

    def _rebuild(self) -> None:
        self.view = self._build()
        self._work.set()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = trio.Event()
        for observer in self._observers:
            observer(self.view)

    def _build(self) -> ClusterView:
        state = self.state
        known = {member.node: member for member in self._agent.members()}
        nodes = {}
        for entry in state.members.present:
            member = known.get(entry.node)
            said = _said(member)
            before = self._remembered.get(entry.node, "")
            if entry.node == self._me:
                said, reported = self._own, UP
            else:
                reported = DOWN if member is None else _STATES[member.state]
            nodes[entry.node] = NodeView(
                entry.node,
                entry.name,
                entry.zone or entry.name,
                entry.weight,
                entry.state,
                reported,
                said.peer or (before if member is None else member.address),
                said.client,
                said.http,
            )
        up = frozenset(node for node, seen in nodes.items() if seen.state != DOWN)
        return ClusterView(
            self._me,
            state.cluster,
            state.cluster_id,
            state.placement,
            state.members,
            nodes,
            up,
            self._hinted(nodes, known),
            state.buckets,
        )

    def _hinted(
        self, nodes: dict[bytes, NodeView], known: dict[bytes, gossip.Member]
    ) -> frozenset[bytes]:
        """For whom some member keeps hints, one that is down too."""
        hinted: set[bytes] = set()
        for node in nodes:
            said = _said_of_hints(known.get(node))
            if node == self._me:
                said = self._hint_targets or NO_HINTS
            others = (other for other in nodes if other != node)
            hinted.update(others if said.anybody else said.targets)
        return frozenset(hinted)

    def _send(self, address: str, payload: bytes) -> None:
        self._links.tell(address, Gossip(payload))

    def statistics(self) -> dict[str, object]:
        """The failure detector's figures."""
        return {"gossip": self._agent.statistics()}


def _said(member: gossip.Member | None) -> Addresses:
    payload = None if member is None else member.payloads.get(ADDRESSES)
    if payload is None:
        return NOTHING_SAID
    try:
        return _addresses.decode(payload.data)
    except msgspec.MsgspecError:
        return NOTHING_SAID


def _said_of_hints(member: gossip.Member | None) -> HintTargets:
    payload = None if member is None else member.payloads.get(HINT_TARGETS)
    if payload is None:
        return NO_HINTS
    try:
        return _hint_targets.decode(payload.data)
    except msgspec.MsgspecError:
        return HintTargets([], anybody=True)  # It says something: better to expect too much.


def _read_digest(data: bytes) -> StateDigest | None:
    """What a member says of its state; None where this version cannot read it."""
    try:
        return _digests.decode(data)
    except msgspec.MsgspecError:
        return None


def _read_progress(data: bytes) -> int:
    """What a member says of its store; 0 where this version cannot read it."""
    try:
        return _progress.decode(data)
    except msgspec.MsgspecError:
        return 0
