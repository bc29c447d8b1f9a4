"""A replica on a memory engine, and a table that one token of can be given away."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeVar

import pytest
import trio

from dynamo_py.causality import Dot, HybridClock, Minter, Record, Sibling, encode_record, vector_of
from dynamo_py.cluster.members import MEMBER, MemberMap
from dynamo_py.cluster.ownership import OwnershipTable
from dynamo_py.cluster.view import DOWN, UP, ClusterView, NodeView, Placement
from dynamo_py.replica.replica import Replica
from dynamo_py.storage.committer import Committer
from dynamo_py.storage.memory import MemoryEngine
from dynamo_py.wire.messages import TableEntry
from ring import Ring

T = TypeVar("T")

PARTITIONS = 4


def node(k: int) -> bytes:
    """The id of node k; this one is node 0."""
    return bytes([k + 1]) * 16


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

    def see(self, *downs: int) -> None:
        """These nodes are down, and the others up."""
        nodes = {
            node(k): NodeView(node(k), f"n{k}", "", 1, MEMBER, DOWN if k in downs else UP)
            for k in range(4)
        }
        assert self.placement is not None
        up = frozenset(node(k) for k in range(4) if k not in downs)
        self.view = ClusterView(node(0), "c", b"c" * 16, self.placement, MemberMap(), nodes, up)

    @staticmethod
    def record(number: int) -> bytes:
        """Some record."""
        dot = Dot(number + 1, 1, 1)
        return encode_record(Record(vector_of([dot]), (Sibling(dot, b"v", 0, bytes(16)),)))


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
