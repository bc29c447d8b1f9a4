"""What is asked about the cluster and about keys, beside their values: ring, status, explain.

Collects figures from every node and gives each a short time to answer: an administrator asks
just when some do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import trio

from dynamo_py.causality import Record, decode_record
from dynamo_py.cluster.changes import staged_waits
from dynamo_py.cluster.members import LEAVING, MEMBER
from dynamo_py.cluster.membership import Membership
from dynamo_py.cluster.view import ClusterView, NodeView
from dynamo_py.coordinator.peers import Peers
from dynamo_py.coordinator.slow import SlowRequests
from dynamo_py.environment import Offload
from dynamo_py.errors import DynamoError, InvalidRequest
from dynamo_py.net.links import Links
from dynamo_py.server.bucket_requests import BucketRequests
from dynamo_py.server.member_requests import MemberRequests
from dynamo_py.server.replica_requests import ANY_WALK
from dynamo_py.wire.bucket_messages import GetBuckets, SetBucket
from dynamo_py.wire.change_messages import ChangeMember, ClearChanges, CommitChanges, GetPlan
from dynamo_py.wire.handover_messages import GetTransfers
from dynamo_py.wire.messages import (
    Explain,
    Explanation,
    GetHints,
    GetNodeFacts,
    GetRing,
    GetStatus,
    HintFigures,
    Holding,
    Message,
    NodeFacts,
    NodeStatus,
    ReplicaGet,
    ReplicaRecord,
    Ring,
    RingNode,
    Status,
)
from dynamo_py.wire.sync_messages import GetSync, Sync
from ring import position_of

FACTS_S = 1.0
UNKNOWN = -1


class Administration:
    """Answers administrators' questions on one node."""

    def __init__(
        self,
        membership: Membership,
        links: Links,
        peers: Peers,
        *,
        facts: Callable[[], NodeFacts],
        hints: Callable[[], HintFigures],
        sync: Callable[[bool], Sync],
        slow: SlowRequests,
        wall_ms: Callable[[], int],
        offload: Offload,
    ) -> None:
        self._membership = membership
        self._links = links
        self._peers = peers
        self._facts = facts
        self._hints = hints
        self._sync = sync
        self._slow = slow
        self._wall_ms = wall_ms
        self._buckets = BucketRequests(membership.state)
        self._members = MemberRequests(membership, peers, offload, facts=self._all_facts)

    async def answer(self, message: Message, deadline: float) -> Message:
        """The answer to what is neither `Get`, `Put` nor `Scan`."""
        match message:
            case GetRing():
                return self.ring()
            case GetStatus():
                return await self.status()
            case GetHints():
                return await self.hints()
            case GetSync():
                return await self.sync(message)
            case Explain():
                return await self.explain(message.key)
            case GetBuckets():
                return self._buckets.all()
            case SetBucket():
                return await self._buckets.set(message)
            case ChangeMember() | CommitChanges() | ClearChanges() | GetPlan() | GetTransfers():
                return await self._members.answer(message)
            case _:
                raise InvalidRequest(f"{type(message).__name__} is no question")

    def ring(self) -> Ring:
        """What clients route by."""
        view = self._membership.view
        nodes = sorted(view.nodes.values(), key=lambda seen: seen.node)
        index = {seen.node: i for i, seen in enumerate(nodes)}
        return Ring(
            view.cluster,
            view.cluster_id,
            view.ring.replicas,
            view.client_digest,
            [RingNode(n.node, n.name, n.client_address, n.zone, n.state) for n in nodes],
            [index.get(owner, UNKNOWN) for owner in view.table.owners],
            view.buckets.entries,
        )

    async def status(self) -> Status:
        """The cluster as this node sees it, with each node's own figures."""
        view = self._membership.view
        facts = await self._all_facts(view)
        known = [f for f in facts.values() if f is not None]
        one_state = len({(f.table_digest, f.members_digest) for f in known}) == 1
        answered = all(facts[seen.node] is not None for seen in view.others_up)
        nodes = sorted(view.nodes.values(), key=lambda seen: seen.name)
        return Status(
            view.cluster,
            view.table.version,
            f"{view.table.digest:016x}",
            one_state and answered and self._membership.is_converged,
            [_node_status(view, seen, facts[seen.node]) for seen in nodes],
            _waiting_for(view, facts),
            view.ring.partitions,
            view.ring.replicas,
        )

    async def hints(self) -> HintFigures:
        """What every member keeps for others; those that do not answer are named."""
        view = self._membership.view
        found: dict[bytes, HintFigures] = {view.me: self._hints()}
        async with trio.open_nursery() as nursery:
            for seen in view.others_up:
                nursery.start_soon(self._ask_hints, view, seen.node, found)
        members = sorted(view.nodes.values(), key=lambda seen: seen.name)
        reports = [found[seen.node] for seen in members if seen.node in found]
        return HintFigures(
            [kept for report in reports for kept in report.kept],
            sum(report.damaged for report in reports),
            [name for report in reports for name in report.counting],
            [seen.name for seen in members if seen.node not in found],
        )

    async def _ask_hints(
        self, view: ClusterView, node: bytes, found: dict[bytes, HintFigures]
    ) -> None:
        try:
            reply = await self._links.ask(view.address_of(node), GetHints(), wait_s=FACTS_S)
        except DynamoError:
            return
        if isinstance(reply, HintFigures):
            found[node] = reply

    async def sync(self, asked: GetSync) -> Sync:
        """How all copies stand to each other, as those who compare them know."""
        view = self._membership.view
        found: dict[bytes, Sync] = {view.me: self._sync(asked.hurry)}
        async with trio.open_nursery() as nursery:
            for seen in view.others_up:
                nursery.start_soon(self._ask_sync, view, seen.node, asked, found)
        members = sorted(view.nodes.values(), key=lambda seen: seen.name)
        reports = [found[seen.node] for seen in members if seen.node in found]
        return Sync(
            sorted(pair for report in reports for pair in report.pairs),
            [seen.name for seen in members if seen.node not in found],
        )

    async def _ask_sync(
        self, view: ClusterView, node: bytes, asked: GetSync, found: dict[bytes, Sync]
    ) -> None:
        try:
            reply = await self._links.ask(view.address_of(node), asked, wait_s=FACTS_S)
        except DynamoError:
            return
        if isinstance(reply, Sync):
            found[node] = reply

    async def explain(self, key: bytes) -> Explanation:
        """Where a key lives, and what each node holds of it."""
        view = self._membership.view
        partition = view.partition_of(key)
        preference_list = view.preference_list(partition)
        holdings: dict[bytes, Holding] = {}
        async with trio.open_nursery() as nursery:
            for node in view.nodes:
                nursery.start_soon(self._holding, view, partition, key, node, holdings)
        order = [*preference_list.primaries, *preference_list.fallbacks]
        order += [node for node in view.nodes if node not in order]
        trail = self._slow.find(key)
        return Explanation(
            position_of(key),
            partition,
            [view.name_of(node) for node in preference_list.primaries],
            [view.name_of(node) for node in preference_list.fallbacks],
            [holdings[node] for node in order if node in holdings],
            [] if trail is None else trail.lines(view.name_of),
        )

    async def _holding(
        self,
        view: ClusterView,
        partition: int,
        key: bytes,
        node: bytes,
        holdings: dict[bytes, Holding],
    ) -> None:
        answered = trio.Event()

        def on_reply(reply: Message | DynamoError) -> None:
            holdings[node] = _describe(view, partition, node, reply, self._wall_ms())
            answered.set()

        message = ReplicaGet(partition, key, ANY_WALK)
        self._peers.ask(view, node, message, wait_s=FACTS_S, on_reply=on_reply)
        await answered.wait()

    async def _all_facts(self, view: ClusterView) -> dict[bytes, NodeFacts | None]:
        facts: dict[bytes, NodeFacts | None] = dict.fromkeys(view.nodes)
        facts[view.me] = self._facts()
        async with trio.open_nursery() as nursery:
            for seen in view.others_up:
                nursery.start_soon(self._ask_facts, view, seen.node, facts)
        return facts

    async def _ask_facts(
        self, view: ClusterView, node: bytes, facts: dict[bytes, NodeFacts | None]
    ) -> None:
        try:
            reply = await self._links.ask(view.address_of(node), GetNodeFacts(), wait_s=FACTS_S)
        except DynamoError:
            return  # The figures stay unknown, and `waiting_for` names the node.
        if isinstance(reply, NodeFacts):
            facts[node] = reply


def _node_status(view: ClusterView, seen: NodeView, facts: NodeFacts | None) -> NodeStatus:
    return NodeStatus(
        seen.name,
        seen.node.hex(),
        seen.client_address,
        seen.zone,
        seen.weight,
        seen.membership,
        seen.state,
        len(view.ring.tokens_of(seen.node)),
        facts.bytes if facts else UNKNOWN,
        facts.keys if facts else UNKNOWN,
        facts.hints if facts else UNKNOWN,
        facts.incomplete if facts else UNKNOWN,
        seen.http_address,
        facts is not None and facts.starting,
    )


def _waiting_for(view: ClusterView, facts: dict[bytes, NodeFacts | None]) -> list[str]:
    """What keeps the cluster from being at rest, a line each."""
    waits = []
    for seen in sorted(view.nodes.values(), key=lambda n: n.name):
        found = facts[seen.node]
        if seen.state != "up":
            waits.append(f"{seen.name} is {seen.state}")
        elif found is None:
            waits.append(f"{seen.name} does not answer")
        else:
            if found.table_digest != f"{view.table.digest:016x}":
                waits.append(f"{seen.name} has another table of ownership")
            if found.starting:
                waits.append(f"{seen.name} starts: it asks the others what they remember of it")
            elif found.incomplete:
                waits.append(f"{seen.name} completes {found.incomplete} partitions")
            if found.hints:
                waits.append(f"{seen.name} keeps {found.hints} hints for others")
            waits += [
                f"{seen.name} cannot give {count} {'token' if count == 1 else 'tokens'} away: {why}"
                for count, why in found.giving
            ]
        waits += _membership_waits(view, seen)
    return waits + staged_waits(view.members) + _forgetting_waits(facts)


def _membership_waits(view: ClusterView, seen: NodeView) -> list[str]:
    tokens = len(view.ring.tokens_of(seen.node))
    if seen.membership == LEAVING:
        left = f"gives {tokens} tokens away" if tokens else "hands over what it still has"
        return [f"{seen.name} leaves: it {left}"]
    if seen.membership == MEMBER and seen.weight and not tokens:
        return [f"{seen.name} owns no token yet"]
    return []


def _forgetting_waits(facts: dict[bytes, NodeFacts | None]) -> list[str]:
    """How many keys have something to be forgotten, by whom that waits for."""
    keys: Counter[str] = Counter()
    for found in facts.values():
        for count, waits_for in found.forgetting if found else ():
            keys[waits_for] += count
    return [
        f"forgetting {count} {'key' if count == 1 else 'keys'} waits for {waits_for}"
        for waits_for, count in sorted(keys.items())
    ]


def _describe(
    view: ClusterView, partition: int, node: bytes, reply: Message | DynamoError, now_ms: int
) -> Holding:
    preference_list = view.preference_list(partition)
    role = "primary" if node in preference_list.primaries else "other"
    if node in preference_list.fallbacks:
        role = "fallback"
    name, state = view.name_of(node), view.nodes[node].state
    if not isinstance(reply, ReplicaRecord):
        why = reply.message if isinstance(reply, DynamoError) else "an answer it should not give"
        return Holding(name, role, state, why, False, [], 0, False, [])
    record = Record() if reply.record is None else decode_record(reply.record)
    held = "nothing" if reply.record is None else "hint" if reply.hinted_for else "record"
    return Holding(
        name,
        role,
        state,
        held,
        reply.complete,
        [f"{s.dot.boot:016x}.{s.dot.life}:{s.dot.counter}" for s in record.siblings],
        len(record.siblings),
        bool(record.siblings) and not any(s.is_value_at(now_ms) for s in record.siblings),
        [view.name_of(target) for target in reply.hinted_for],
    )
