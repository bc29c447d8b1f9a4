"""Whole nodes in this process, over TCP on loopback, each with a directory of its own."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

import dynamo_py
from dynamo_py.client.bucket import Store
from dynamo_py.config import NodeConfig
from dynamo_py.environment import Environment
from dynamo_py.errors import NodeRemoved
from dynamo_py.lifetimes import background
from dynamo_py.net.world import RealClock, TcpTransport, in_thread
from dynamo_py.node import Node
from dynamo_py.storage.node_storage import open_storage

WAIT_S = 20.0
"""How long any condition may take to come true. None takes a tenth of it."""

POLL_S = 0.005

BUCKET = "bucket"


class Running:
    """One node while it runs, in a task that can be ended at any moment."""

    def __init__(self, config: NodeConfig, number: int) -> None:
        self.config = config
        self.number = number
        self.node: Node
        self.addresses: dict[str, str] = {}
        self.end: NodeRemoved | None = None
        """What it ended with by itself, once it had come up."""
        self._stop = trio.Event()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Run until `stop` or `crash`, or until the node is removed or has left.

        What keeps the node from starting leaves here.
        """
        generator = random.Random(f"{self.number} {self.config.data_dir}")
        environment = Environment(RealClock(), generator, TcpTransport(), in_thread)
        try:
            with self._scope, open_storage(self.config, environment) as storage:
                async with Node(self.config, environment, storage).running() as node:
                    self.node = node
                    self.addresses = node.addresses
                    task_status.started()
                    # Two events, either of which ends it.
                    while not (self._stop.is_set() or node.removal.left.is_set()):  # noqa: ASYNC110
                        await trio.sleep(POLL_S)
                    node._check()
        except NodeRemoved as error:
            if not self.addresses:
                raise
            self.end = error
        finally:
            self._ended.set()

    async def stop(self) -> None:
        """As SIGTERM: drain, tell the others, end."""
        self._stop.set()
        await self._ended.wait()

    async def crash(self) -> None:
        """As nearly as can be like SIGKILL: nobody is told, nothing is drained."""
        self._scope.cancel()
        await self._ended.wait()

    async def wait_ended(self) -> None:
        """Wait until it has ended, for whatever reason."""
        with trio.fail_after(WAIT_S):
            await self._ended.wait()

    @property
    def is_running(self) -> bool:
        return not self._ended.is_set()


class Cluster:
    """Nodes by name: n1, n2 …; the first one founds the cluster."""

    def __init__(self, nursery: trio.Nursery, directory: Path, fields: dict[str, Any]) -> None:
        self._nursery = nursery
        self._directory = directory
        self._fields = fields
        self.runs: dict[str, Running] = {}

    async def start(self, name: str, **fields: Any) -> Node:
        """Start the node ``name``, again where it was stopped, at the addresses it had."""
        before = self.runs.get(name)
        addresses = before.addresses if before is not None else {}
        founder = next((run for run in self.runs.values() if run.is_running), None)
        seeds = (founder.addresses["peer"],) if founder is not None and before is None else ()
        given: dict[str, Any] = {
            "data_dir": str(self._directory / name),
            "listen": addresses.get("client", "127.0.0.1:0"),
            "peer_listen": addresses.get("peer", "127.0.0.1:0"),
            "seeds": seeds,
            **self._fields,
            **fields,
        }
        run = Running(NodeConfig(name=name, **given), len(self.runs))
        try:
            with trio.fail_after(WAIT_S):
                await self._nursery.start(run.run)
        except BaseExceptionGroup as group:
            raise _only(group) from None
        self.runs[name] = run
        return run.node

    async def start_many(self, count: int) -> None:
        """Start n1 to n``count``, and wait until all own what they should."""
        for k in range(count):
            await self.start(f"n{k + 1}")
        await self.wait_settled()

    def __getitem__(self, name: str) -> Node:
        return self.runs[name].node

    async def stop(self, name: str) -> None:
        await self.runs[name].stop()

    async def crash(self, name: str) -> None:
        await self.runs[name].crash()

    @property
    def nodes(self) -> list[Node]:
        """Those that run."""
        return [run.node for run in self.runs.values() if run.is_running]

    # --- waiting ----------------------------------------------------------------------------

    async def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` is true."""
        with trio.fail_after(WAIT_S):
            while True:
                if condition():
                    return
                await trio.sleep(POLL_S)

    async def wait_settled(self) -> None:
        """Wait until all that run know one table, own what they should, and may vote for it."""
        await self.wait_for(self._is_settled)

    def _is_settled(self) -> bool:
        tables = {(n.view.table.digest, n.view.members.digest) for n in self.nodes}
        return (
            len(tables) == 1
            and all(n.is_ready and n.membership.is_converged for n in self.nodes)
            and all((giving := n.background.handing_over) and giving.is_settled for n in self.nodes)
            and all(len(n.view.up) >= len(self.nodes) for n in self.nodes)
        )

    async def wait_down(self, name: str) -> None:
        """Wait until all that run believe ``name`` down."""
        node = self[name]._me
        await self.wait_for(lambda: not any(n.view.is_up(node) for n in self.nodes))

    async def wait_up(self, name: str) -> None:
        """Wait until all that run believe ``name`` up."""
        node = self[name]._me
        await self.wait_for(lambda: all(n.view.is_up(node) for n in self.nodes))

    # --- using ------------------------------------------------------------------------------

    @asynccontextmanager
    async def store_at(self, *names: str) -> AsyncIterator[Store]:
        """A client that was given the addresses of these nodes."""
        addresses = [self.runs[name].addresses["client"] for name in names]
        async with dynamo_py.connect(*addresses) as store:
            yield store

    def seeds(self, *names: str) -> tuple[str, ...]:
        """The peer addresses of these nodes."""
        return tuple(self.runs[name].addresses["peer"] for name in names)

    def name_of(self, node: bytes) -> str:
        return self.nodes[0].view.name_of(node)

    def key_of(self, *, primaries: set[str]) -> str:
        """A key in `BUCKET` that has just these primaries."""
        return self.key_in(self.sets_of_primaries().index(primaries))

    def partition_of(self, key: str) -> int:
        """The partition of a key in `BUCKET`."""
        return self.nodes[0].view.partition_of(f"{BUCKET}\0{key}".encode())

    def key_in(self, partition: int) -> str:
        """A key of `BUCKET` in this partition."""
        keys = (f"k{number}" for number in range(100_000))
        return next(key for key in keys if self.partition_of(key) == partition)

    def sets_of_primaries(self) -> list[set[str]]:
        """The primaries of each partition, by name."""
        view = self.nodes[0].view
        return [
            {self.name_of(node) for node in view.preference_list(p).primaries}
            for p in range(view.ring.partitions)
        ]


def _only(group: BaseExceptionGroup) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


@pytest.fixture
async def make_cluster(tmp_path: Path) -> AsyncIterator[Callable[..., Cluster]]:
    """Makes clusters; at the end of the test their nodes are ended."""
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(background())

        def make(**fields: Any) -> Cluster:
            return Cluster(nursery, tmp_path, {"partitions": 32, "durability": "none", **fields})

        yield make


@pytest.fixture
def cluster(make_cluster: Callable[..., Cluster]) -> Cluster:
    """A cluster without a node yet."""
    return make_cluster()
