"""`Simulation`: a whole cluster in one process, in virtual time, from one seed.

The nodes are the production code, down to the bytes on their links; network, disks, clocks and
the order of tasks are simulated. What happens follows from the seed alone, so that a failure is
repeated by running it again. A minute of a cluster takes some seconds.

    def test_a_cart_survives_a_split():
        async def main(sim):
            carts = sim.store.bucket("carts")
            sim.split([1, 2], [3, 4, 5])
            ...
        Simulation(seed=1, nodes=5).run(main)

Knows no schedules of faults (`dynamo_py.testing.faults`) and no workloads.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeVar

import msgspec
import trio

from dynamo_py.client.bucket import Store
from dynamo_py.client.connecting import connect_in
from dynamo_py.cluster.members import JOINING
from dynamo_py.config import NodeConfig
from dynamo_py.environment import Environment
from dynamo_py.lifetimes import background
from dynamo_py.node import Node
from dynamo_py.testing.clocks import SimulatedClock
from dynamo_py.testing.hosts import Host, World
from dynamo_py.testing.network import Network
from dynamo_py.testing.overlaps import Overlaps
from dynamo_py.testing.randomness import Streams
from dynamo_py.testing.scheduling import Scheduler, run_in_virtual_time
from dynamo_py.testing.trace import Trace

T = TypeVar("T")

CLIENT_PORT = 7700
PEER_PORT = 7701
USER = "user"
"""The host of `Simulation.store`."""
CONVERGED_S = 60.0
LOOK_AGAIN_S = 0.05


class Simulation:
    """A cluster of ``nodes`` nodes, numbered from 1, that lives while `run` runs."""

    def __init__(
        self,
        seed: int = 1,
        nodes: int = 5,
        *,
        replicas: int = 3,
        partitions: int = 32,
        **fields: Any,
    ) -> None:
        """``fields`` are further ones of `dynamo_py.config.NodeConfig`, for every node.

        Raises `InvalidRequest` for wrong ones.
        """
        self.seed = seed
        self._fields = {"replicas": replicas, "partitions": partitions, **fields}
        self._configs = [_config(k, self._fields) for k in range(1, nodes + 1)]
        # Made when it runs:
        self.store: Store
        """A client of the cluster, on a host of its own that no fault reaches by itself."""
        self.trace: Trace
        self.network: Network
        self.overlaps: Overlaps
        """What is wrong with the network."""
        self.streams: Streams
        self.hosts: list[Host]
        """The machines; that of node k is ``hosts[k - 1]``."""
        self.on_stored: list[Callable[[Host], None]] = []
        """Called whenever a host's disk has something new: by a sync, or as a crash has left it."""
        self._world: World
        self._nursery: trio.Nursery

    def run(self, main: Callable[[Simulation], Awaitable[T]]) -> T:
        """Found the cluster, wait until it is converged, and run ``main``; its result.

        In virtual time, by trio; not from within a trio program. What ``main`` raises leaves as
        it is, and so does a bug of a node.
        """

        async def simulate(scheduler: Scheduler) -> T:
            return await self._simulate(scheduler, main)

        return run_in_virtual_time(simulate, seed=self.seed)

    # --- what can be done ---------------------------------------------------------------------

    def split(self, *sides: Iterable[int]) -> None:
        """Cut the network between nodes of different sides. Clients reach them all."""
        names = [[self.host(k).name for k in side] for side in sides]
        self.overlaps.block(
            (source, target)
            for side in names
            for other in names
            if side is not other
            for source in side
            for target in other
        )

    def heal(self) -> None:
        """End every fault of the network."""
        self.overlaps.end_all()

    def slow(self, link: int | tuple[int, int], *, delay_s: float = 0.2) -> None:
        """Delay what passes between two nodes, or between one node and all others."""
        one, others = link if isinstance(link, tuple) else (link, None)
        all_of_them = range(1, len(self.hosts) + 1)
        names = [self.host(k).name for k in ([others] if others else all_of_them)]
        here = self.host(one).name
        pairs = [pair for name in names if name != here for pair in ((here, name), (name, here))]
        self.overlaps.slow(dict.fromkeys(pairs, delay_s))

    def crash(self, k: int, *, lose: Literal["all", "some"] = "some") -> None:
        """End node ``k`` at once; of what it had not synced it loses all or some."""
        self.host(k).crash(lose=lose)

    def restart(self, k: int) -> None:
        """Start node ``k`` again, on the disk that it had."""
        self.host(k).start()

    def pause(self, k: int) -> None:
        """Let node ``k`` do nothing, as SIGSTOP does."""
        self.host(k).pause()

    def resume(self, k: int) -> None:
        """Let node ``k`` go on."""
        self.host(k).resume()

    def add(self, *, is_staged: bool = False) -> int:
        """Start a further node on a machine of its own, which joins the cluster; its number.

        Where it ``is_staged`` it waits, without tokens, until an operator lets it in.
        ``sim.store.admin`` has the rest: `join`, `leave`, `remove`, `replace`.
        """
        k = len(self.hosts) + 1
        config = _config(k, self._fields)
        seeds = tuple(host.config.peer_listen or "" for host in self.hosts if not host.is_retired)
        config = msgspec.structs.replace(config, seeds=seeds, stage=is_staged)
        host = Host(config, self._world)
        self.hosts.append(host)
        self._nursery.start_soon(host.run)
        host.start()
        return k

    def host(self, k: int) -> Host:
        """The machine of node ``k``."""
        if not 1 <= k <= len(self.hosts):
            raise ValueError(f"there is no node {k}: nodes are 1 to {len(self.hosts)}")
        return self.hosts[k - 1]

    # --- what can be seen ---------------------------------------------------------------------

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return trio.current_time()

    @property
    def nodes(self) -> dict[int, Node]:
        """The nodes that run, by number."""
        return {k: host.node for k, host in enumerate(self.hosts, 1) if host.node is not None}

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Store]:
        """A further client, on a host of that name."""
        environment = Environment(
            SimulatedClock(trio.current_time),
            self.streams.named(f"client {name}"),
            self.network.transport(name),
            _inline,
        )
        addresses = tuple(host.config.listen or "" for host in self.hosts)
        async with connect_in(environment, addresses) as store:
            yield store

    async def wait_converged(self, *, timeout_s: float = CONVERGED_S) -> None:
        """Wait until all nodes that run agree: one table, the same members, the same ones up.

        And each may vote for all that it holds, or waits to be let in. Raises
        `trio.TooSlowError`.
        """
        with trio.fail_after(timeout_s):
            # What is waited for is spread over all nodes, none of which knows of it.
            while not self.is_converged():  # noqa: ASYNC110
                await trio.sleep(LOOK_AGAIN_S)

    def is_converged(self) -> bool:
        """Whether it is so now."""
        running = [host for host in self.hosts if host.is_running]
        nodes = [host.node for host in running if host.node is not None]
        if len(nodes) < len(running):
            return False
        views = [node.view for node in nodes]
        up = frozenset(view.me for view in views)
        return (
            len({(view.table.digest, view.members.digest) for view in views}) == 1
            and all(view.up == up for view in views)
            and all(_is_at_rest(node) and node.membership.is_converged for node in nodes)
        )

    # --- running ------------------------------------------------------------------------------

    async def _simulate(
        self, scheduler: Scheduler, main: Callable[[Simulation], Awaitable[T]]
    ) -> T:
        self.streams = Streams(self.seed)
        self.trace = Trace(trio.current_time)
        self.network = Network(self.streams.named("network"), self.trace)
        self.overlaps = Overlaps(self.network)
        self._world = World(
            scheduler,
            self.streams,
            self.trace,
            self.network,
            on_stored=self._tell_stored,
        )
        self.hosts = [Host(config, self._world) for config in self._configs]
        async with background() as self._nursery:
            nursery = self._nursery
            nursery.start_soon(self.network.run)
            for host in self.hosts:
                nursery.start_soon(host.run)
                host.start()
            await self.wait_converged()
            for host in self.hosts:
                # From now on none of them would found a cluster, not even on an empty disk.
                host.config = msgspec.structs.replace(host.config, seeds=self._seeds(host))
            async with self.client(USER) as self.store:
                return await main(self)

    def _tell_stored(self, host: Host) -> None:
        for tell in self.on_stored:
            tell(host)

    def _seeds(self, host: Host) -> tuple[str, ...]:
        return tuple(other.config.peer_listen or "" for other in self.hosts if other is not host)


def _is_at_rest(node: Node) -> bool:
    member = node.view.members.get(node.view.me)
    return node.is_ready or (member is not None and member.state == JOINING)


def _config(k: int, fields: dict[str, Any]) -> NodeConfig:
    """The configuration of node ``k``; the first one founds the cluster."""
    return NodeConfig(
        name=f"n{k}",
        data_dir=f"/n{k}",
        listen=f"n{k}:{CLIENT_PORT}",
        peer_listen=f"n{k}:{PEER_PORT}",
        seeds=() if k == 1 else (f"n1:{PEER_PORT}",),
        **fields,
    ).checked()


async def _inline(work: Callable[[], T]) -> T:
    await trio.lowlevel.checkpoint()
    return work()
