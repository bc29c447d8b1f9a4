"""A replica on a memory engine, what its node believes of a cluster, and one that gives tokens."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest
import trio
import trio.testing

from dynamo_py.causality import Dot, HybridClock, Minter, Record, Sibling, encode_record, vector_of
from dynamo_py.cluster.members import MEMBER, REMOVED, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.state import ClusterState, founding_table
from dynamo_py.cluster.view import DOWN, UP, ClusterView, NodeView, Placement
from dynamo_py.errors import StorageError
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.replica import Replica
from dynamo_py.replica.trees import Trees
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.testing.replica_pair import Unthrottled
from dynamo_py.upkeep.building import Building
from dynamo_py.upkeep.handing_over import HandingOver
from dynamo_py.upkeep.mirror import Mirror
from dynamo_py.upkeep.targets import Targets
from dynamo_py.wire.handover_messages import AskTaken, Offer, Offered, Taken
from dynamo_py.wire.messages import MemberEntry, ReplicaAck, TableEntry
from ring import Ring

T = TypeVar("T")

PARTITIONS = 4


def node(k: int) -> bytes:
    """The id of node k; this one is node 0."""
    return bytes([k + 1]) * 16


def member(k: int, *, state: str = MEMBER, weight: int = 1, version: int = 1) -> MemberEntry:
    """What the map of members says of node k."""
    return MemberEntry(node(k), version, state, f"n{k}", weight, "")


async def at_once(work: Callable[[], T], /) -> T:
    await trio.lowlevel.checkpoint()
    return work()


class Home:
    """This node: its view, its storage, its replica."""

    def __init__(self, owners: list[int]) -> None:
        self.damaged: list[int] = []
        self.committer = Committer(MemoryEngine(), at_once)
        self.replica = Replica(
            self.committer,
            Minter(random.Random(1)),
            HybridClock(lambda: 0),
            wall_ms=lambda: 0,
            on_damage=self.damaged.append,
        )
        self.view: ClusterView
        self.placement: Placement | None = None
        self.give(owners, version=1)

    def give(self, owners: list[int], *, version: int) -> Placement | None:
        """Change the table; the placement as it was."""
        before = self.placement
        entries = [TableEntry(t, 0, version, node(k)) for t, k in enumerate(owners)]
        table = OwnershipTable(entries)
        self.placement = Placement(table, Ring(table.owners, 2))
        self.see()
        return before

    def see(self, *downs: int, removed: int | None = None, unknown: int | None = None) -> None:
        """These nodes are down, the others up; one is removed, one was not heard of yet."""
        present = [k for k in range(4) if k not in (removed, unknown)]
        nodes = {
            node(k): NodeView(node(k), f"n{k}", "", 1, MEMBER, DOWN if k in downs else UP)
            for k in present
        }
        members = [member(k) for k in present]
        if removed is not None:
            members.append(member(removed, state=REMOVED))
        assert self.placement is not None
        up = frozenset(node(k) for k in present if k not in downs)
        self.view = ClusterView(
            node(0), "c", b"c" * 16, self.placement, MemberMap(members), nodes, up
        )

    @staticmethod
    def record(number: int) -> bytes:
        """Some record."""
        dot = Dot(number + 1, 1, 1)
        return encode_record(Record(vector_of([dot]), (Sibling(dot, b"v", 0, bytes(16)),)))


class Believed:
    """The agreed state and who is up, as `Membership` has it, without gossip. Node k is in view."""

    def __init__(self, state: ClusterState, me: int) -> None:
        self.state = state
        self.me = node(me)
        self.changed = trio.Event()
        self.down: set[bytes] = set()
        self.view = self._seen()
        self.placements: list[Placement] = []
        state.on_change = self._on_change

    def _on_change(self, before: Placement) -> None:
        if before is not self.state.placement:
            self.placements.append(before)
        self.see(*self.down)

    def see(self, *down: bytes) -> None:
        """These nodes are down, and the others up."""
        self.down = set(down)
        self.view = self._seen()
        self.changed.set()
        self.changed = trio.Event()

    def _seen(self) -> ClusterView:
        nodes = {
            entry.node: NodeView(
                entry.node,
                entry.name,
                entry.zone,
                entry.weight,
                entry.state,
                DOWN if entry.node in self.down else UP,
                f"{entry.name}:1",
            )
            for entry in self.state.members.present
        }
        up = frozenset(nodes) - self.down
        state = self.state
        return ClusterView(
            self.me, "c", state.cluster_id, state.placement, state.members, nodes, up
        )


@pytest.fixture
async def make_home(nursery) -> Callable[[list[int]], Home]:
    """Makes this node, given the owner of each of the four tokens."""

    def make(owners: list[int]) -> Home:
        home = Home(owners)
        nursery.start_soon(home.committer.run)
        return home

    return make


@pytest.fixture(name="node_id", scope="session")
def _node_id() -> Callable[[int], bytes]:
    return node


@pytest.fixture(name="member", scope="session")
def _member() -> Callable[..., MemberEntry]:
    return member


@pytest.fixture
async def make_believed(make_home) -> Callable[..., Believed]:
    """Makes what node ``me`` believes of a cluster, given the owner of each token."""

    def make(owners: list[int], *, replicas: int = 2, me: int = 0, home: Home | None = None) -> Any:
        table = founding_table(
            cluster="c",
            cluster_id=b"c" * 16,
            partitions=len(owners),
            replicas=replicas,
            founder=member(0),
        )
        state = ClusterState((home or make_home([0, 0, 0, 0])).committer, table)
        state.merge(
            [TableEntry(t, 0, 2, node(k)) for t, k in enumerate(owners) if k],
            [member(k) for k in sorted({0, *owners})],
        )
        return Believed(state, me)

    return make


# --- who gives tokens away ----------------------------------------------------------------------


class ScriptedGainers:
    """Gainers that copy, confirm and take writes: each at once, unless it is held or fails."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, Any]] = []
        self.held: set[type] = set()
        self.failing: dict[type, object] = {}
        self.offers_left: dict[int, int] = {}
        """How often each partition is offered until it is copied."""
        self.waiting: list[tuple[bytes, Any, Any]] = []
        self.on_asked: Any = lambda node, message: None

    def ask(self, view, node, message, *, wait_s, on_reply, trace_id=0) -> None:
        self.asked.append((node, message))
        self.on_asked(node, message)
        if type(message) in self.held:
            self.waiting.append((node, message, on_reply))
        else:
            on_reply(self.answer_to(message))

    def answer_to(self, message):
        if type(message) in self.failing:
            return self.failing[type(message)]
        if isinstance(message, Offer):
            left = self.offers_left.get(message.partition, 0)
            self.offers_left[message.partition] = left - 1
            return Offered(left <= 0, "")
        return Taken() if isinstance(message, AskTaken) else ReplicaAck(True)

    def let_go(self, count=1) -> None:
        """Answer the first that wait."""
        for _ in range(count):
            _, message, on_reply = self.waiting.pop(0)
            on_reply(self.answer_to(message))

    def of(self, kind) -> list[tuple[bytes, Any]]:
        return [(node, message) for node, message in self.asked if isinstance(message, kind)]


class Wanted:
    """Targets that a test sets."""

    def __init__(self, owners) -> None:
        self.owners = owners

    async def now(self):
        await trio.lowlevel.checkpoint()
        return self.owners


class Owner:
    """A node that has data, and gives tokens away as it should."""

    def __init__(self, home, believed, nursery) -> None:
        self.home, self.believed, self.state = home, believed, believed.state
        self._nursery = nursery
        self.gainers = ScriptedGainers()
        self.is_empty = False
        self.trees = Trees(home.committer, on_damage=lambda partition: None)
        building = Building(self.trees, Unthrottled())
        nursery.start_soon(building.run)
        self.completeness = Completeness(home.committer, believed.view.ring.partitions)
        self.mirror = Mirror(cast(Any, self.gainers), lambda: believed.view)
        home.replica.mirrored = self.mirror
        self.claims = 0
        self.meanwhile = lambda: None
        self.wanted = Wanted(believed.state.table.owners)
        self.handing_over = HandingOver(
            cast(Any, believed),
            cast(Any, self.wanted),
            cast(Any, self.gainers),
            self.completeness,
            building,
            self.mirror,
            Unthrottled(),
            is_empty=lambda: self.is_empty,
        )

    def should_give(self, tokens: dict[int, int]) -> None:
        owners = list(self.state.table.owners)
        for token, k in tokens.items():
            owners[token] = bytes([k + 1]) * 16
        self.wanted.owners = tuple(owners)

    def claim(self) -> None:
        """From here on the real targets decide."""
        self.handing_over._targets = Targets(
            self.state, self.believed.view.me, self._offload, monotonic=trio.current_time
        )

    async def _offload(self, work):
        self.claims += 1
        await trio.lowlevel.checkpoint()
        self.meanwhile()
        return work()

    async def give(self) -> None:
        await self.handing_over.give()

    async def begin(self) -> None:
        """Begin to give; whatever can be done is, when this returns."""
        self._nursery.start_soon(self.give)
        await trio.testing.wait_all_tasks_blocked()

    async def write(self, partition, number=0) -> list[StorageError | None]:
        told: list[StorageError | None] = []
        record = self.home.record(number)
        self.home.replica.merge(partition, b"b\0k", record, hinted_for=None, on_commit=told.append)
        await trio.testing.wait_all_tasks_blocked()
        return told

    def owner_of(self, token) -> int:
        return self.state.table.owners[token][0] - 1


@pytest.fixture
def make_owner(make_home, make_believed, member, nursery):
    """Makes the owner, given who owns the tokens, with four members."""

    def begin(owners=(0, 0, 1, 2), *, replicas=2, me=0) -> Owner:
        home = make_home([0, 0, 0, 0])
        believed = make_believed(list(owners), replicas=replicas, me=me, home=home)
        believed.state.merge([], [member(k) for k in range(4)])
        return Owner(home, believed, nursery)

    return begin


@pytest.fixture
async def owner(make_owner) -> Owner:
    """Node 0. By token 1 node 3 takes node 1's place in partition 0, and node 0's in 1."""
    made = make_owner()
    made.should_give({1: 3})
    return made


@pytest.fixture(scope="session")
def owner_class() -> type[Owner]:
    """For an owner in another cluster: given its home and what it believes."""
    return Owner
