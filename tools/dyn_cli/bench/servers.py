"""What the servers of a load cost: their processes by /proc, their commits by their metrics.

Only where they run on this machine: the nodes of a dev cluster, or processes that are named.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from dyn_cli.bench.processes import Used, used
from dyn_cli.bench.results import ServerCost
from dyn_cli.failures import Refused

if TYPE_CHECKING:
    from dyn_cli.dev.cluster import DevCluster

COMMITS = "dynamo_commits_total"
METRICS_S = 5.0
"""How long a node may take to tell its metrics."""
METRICS_BYTES_MAX = 4_000_000


@dataclass(frozen=True, slots=True)
class Server:
    """A process that serves the load."""

    name: str
    pid: int
    http: str | None = None
    """Where it tells its metrics, ``host:port``."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What a server had used at one moment; None: it is not known."""

    used: Used | None
    commits: float | None


def servers_of(cluster: DevCluster) -> tuple[Server, ...]:
    """The nodes of a dev cluster that run."""
    pids = [(node, cluster.pid(node.number)) for node in cluster.nodes]
    return tuple(Server(node.name, pid, node.http) for node, pid in pids if pid is not None)


def servers_at(directory: Path, addresses: Sequence[str]) -> tuple[Server, ...]:
    """The nodes of the dev cluster in ``directory``, if it is the one at ``addresses``."""
    from dyn_cli.dev.cluster import DevCluster

    try:
        cluster = DevCluster.open(directory)
    except Refused:
        return ()
    is_it = not set(addresses).isdisjoint(cluster.addresses)
    return servers_of(cluster) if is_it else ()


async def sampled(servers: Sequence[Server]) -> tuple[Sample, ...]:
    """What each server has used up to now."""
    processes = [used(server.pid) for server in servers]
    commits = [await _commits(server) for server in servers]
    return tuple(Sample(*pair) for pair in zip(processes, commits, strict=True))


async def _commits(server: Server) -> float | None:
    if server.http is None:
        return None
    with trio.move_on_after(METRICS_S):
        try:
            return metric(await _metrics(server.http), COMMITS)
        except OSError:
            return None
    return None


async def _metrics(address: str) -> str:
    """The metrics page, without its headers' end having to be found: they name no metric."""
    host, _, port = address.rpartition(":")
    answer = bytearray()
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        request = f"GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        try:
            await stream.send_all(request.encode())
            async for part in stream:
                answer += part
                if len(answer) > METRICS_BYTES_MAX:
                    break
        except trio.BrokenResourceError as error:
            raise OSError(str(error)) from error
    return answer.decode(errors="replace")


def metric(page: str, name: str) -> float | None:
    """The value of a metric without labels, from a page in Prometheus's format; None: not there."""
    for line in page.splitlines():
        found, _, value = line.partition(" ")
        if found == name:
            return float(value)
    return None


def costs(
    servers: Sequence[Server],
    before: Sequence[Sample],
    after: Sequence[Sample],
    *,
    operations: int,
) -> tuple[ServerCost, ...]:
    """What each server used for each of so many operations between two samples."""
    return tuple(
        _cost(server, first, last, operations)
        for server, first, last in zip(servers, before, after, strict=True)
    )


def _cost(server: Server, first: Sample, last: Sample, operations: int) -> ServerCost:
    was, now = first.used, last.used
    if was is None or now is None or operations == 0:
        return ServerCost(name=server.name)
    written = _difference(was.written_bytes, now.written_bytes)
    commits = _difference(first.commits, last.commits)
    return ServerCost(
        name=server.name,
        cpu_us_per_operation=(now.cpu_s - was.cpu_s) / operations * 1e6,
        rss_bytes=now.rss_bytes,
        anonymous_bytes=now.anonymous_bytes,
        written_bytes_per_operation=None if written is None else written / operations,
        commits_per_operation=None if commits is None else commits / operations,
    )


def _difference(was: float | None, now: float | None) -> float | None:
    if was is None or now is None or math.isnan(now - was):
        return None
    return now - was
