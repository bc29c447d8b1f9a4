"""How much nodes have sent each other to mend copies, and which copies a change had to make.

What was sent is read from the nodes' metrics, as an operator does. A node counts from its start:
one that is killed is to be read just before. Which copies had to be made follows from the tables
of owners before and after. Knows nothing of how that is done.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import trio

import ring
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.processes import ProcessState
from dynamo_py.lifetimes import background
from dynamo_py.wire import messages as wire

SENT = "dynamo_exchange_bytes_total"
ANSWER_S = 5.0
WATCH_S = 1.0
"""How often the nodes are asked. One that ends takes with it what it has counted since."""


class Sent:
    """Bytes of exchanges of all nodes together, over all lives of their processes."""

    def __init__(self, cluster: DevCluster) -> None:
        self._cluster = cluster
        self._last: dict[int, float] = {}
        """By process, the last that it has told."""

    async def bytes(self) -> int:
        """All that was counted up to now; of a process that is gone, what it told last."""
        for node in self._cluster.nodes:
            pid = self._cluster.pid(node.number)
            if pid is not None and self._cluster.state(node.number) is ProcessState.RUNNING:
                told = await trio.to_thread.run_sync(_read, node.http)
                # One that has just started, or just ended, tells nothing.
                self._last[pid] = max(self._last.get(pid, 0.0), told)
        return int(sum(self._last.values()))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Ask again and again while the body runs, for the sake of nodes that end meanwhile."""

        async def watch() -> None:
            while True:
                await self.bytes()
                await trio.sleep(WATCH_S)

        async with background() as nursery:
            nursery.start_soon(watch)
            yield


def _read(address: str) -> float:
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=ANSWER_S) as reply:
            page = reply.read().decode()
    except (urllib.error.URLError, OSError):
        return 0.0
    return figure_of(page, SENT)


def figure_of(page: str, name: str) -> float:
    """The value of a metric without labels on a page of metrics; 0 where it is not there."""
    for line in page.splitlines():
        metric, _, value = line.partition(" ")
        if metric == name:
            return float(value)
    return 0.0


# --- which copies had to be made --------------------------------------------------------------


def ring_of(told: wire.Ring) -> ring.Ring:
    """The ring that clients are told."""
    zones = {node.node: node.zone for node in told.nodes if node.zone}
    return ring.Ring(tuple(told.nodes[owner].node for owner in told.owners), told.replicas, zones)


def copies_gained(before: ring.Ring, after: ring.Ring) -> list[int]:
    """The partition of each copy that a node holds after a change, and did not before."""
    return [change.partition for change in ring.changes(before, after) for _ in change.gainers]


def most_uneven(owners: Iterable[bytes], nodes: int) -> float:
    """By how many tokens the node is off the exact share that is off most, of ``nodes`` in all."""
    tokens = Counter(owners)
    exact = tokens.total() / nodes
    shares = [*tokens.values(), *[0] * (nodes - len(tokens))]
    return max(abs(share - exact) for share in shares)
