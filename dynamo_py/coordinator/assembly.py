"""Puts together what carries out the requests of one node's clients. Construction alone."""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.cluster.view import ClusterView
from dynamo_py.config import NodeConfig
from dynamo_py.coordinator.coordinator import Coordinator
from dynamo_py.coordinator.peers import Peers
from dynamo_py.coordinator.read import Reader
from dynamo_py.coordinator.scan import Scanner
from dynamo_py.coordinator.slow import SlowRequests
from dynamo_py.coordinator.write import Writer
from dynamo_py.environment import Clock
from dynamo_py.net.alarms import Alarms
from dynamo_py.net.links import Links
from dynamo_py.replica.replica import Replica


def coordinator_of(
    config: NodeConfig,
    replica: Replica,
    peers: Peers,
    links: Links,
    view: Callable[[], ClusterView],
    *,
    clock: Clock,
    alarms: Alarms,
    slow: SlowRequests,
    is_complete: Callable[[int], bool],
) -> Coordinator:
    """The coordinator of the node that has these parts; ``slow`` is told of slow requests.

    ``is_complete`` says of a partition whether the node's copy of it may vote.
    """
    monotonic, wall_ms = clock.monotonic, clock.wall_ms
    reader = Reader(
        peers,
        config.coordinator,
        monotonic=monotonic,
        wall_ms=wall_ms,
        alarms=alarms,
        slow=slow,
    )
    writer = Writer(
        replica,
        peers,
        config.coordinator,
        monotonic=monotonic,
        wall_ms=wall_ms,
        is_durable=config.durability == "commit",
        alarms=alarms,
        slow=slow,
        is_complete=is_complete,
    )
    return Coordinator(
        reader,
        writer,
        Scanner(
            peers,
            monotonic=monotonic,
            wall_ms=wall_ms,
            hedge_s=config.coordinator.hedge_s,
        ),
        links,
        view,
        monotonic=monotonic,
        wall_ms=wall_ms,
        under_way=peers.under_way,
    )
