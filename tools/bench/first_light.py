"""`make bench`: puts and gets through one client on three real nodes of this machine.

The first measure, not a comparison: closed loop, one multiplexed client process, W=2 and R=2
of N=3, every acknowledgement after fdatasync on two replicas. All processes share the
machine's cores, so CPU per operation is the figure that carries over to others.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable

import click
import trio

import dynamo_py
from bench.clusters import temporary_cluster
from bench.load import Phase, closed_loop
from dyn_cli.bench.processes import cpu_seconds
from dyn_cli.dev.cluster import DevCluster

Operation = Callable[[int], Awaitable[object]]


@click.command()
@click.option("--operations", default=20_000, show_default=True, help="operations a phase")
@click.option("--in-flight", default=64, show_default=True, help="requests at a time")
@click.option("--value-bytes", default=100, show_default=True, help="size of a value")
@click.option("--turns", default=3, show_default=True, help="how often each phase is run")
@click.option("--json", "as_json", is_flag=True, help="one JSON document")
def main(operations: int, in_flight: int, value_bytes: int, turns: int, as_json: bool) -> None:
    """Measure puts and gets on three nodes of this machine."""
    rows = trio.run(_measure, operations, in_flight, value_bytes, turns)
    if as_json:
        click.echo(json.dumps(rows))
        return
    click.echo(
        f"{operations} operations a phase, {in_flight} in flight, {value_bytes} B values,"
        " 3 nodes and the client on this machine"
    )
    click.echo("phase    ops/s   p50 ms   p99 ms  p99.9 ms  client us/op  servers us/op")
    for row in rows:
        click.echo(
            f"{row['phase']:<6}{row['ops_per_s']:>8.0f}{row['p50_ms']:>9.2f}{row['p99_ms']:>9.2f}"
            f"{row['p999_ms']:>10.2f}{row['client_us']:>14.0f}{row['servers_us']:>15.0f}"
        )


async def _measure(
    operations: int, in_flight: int, value_bytes: int, turns: int
) -> list[dict[str, float | str]]:
    async with (
        temporary_cluster() as cluster,
        dynamo_py.connect(*cluster.addresses) as store,
    ):
        return await _phases(store, cluster, operations, in_flight, value_bytes, turns)


async def _phases(
    store: dynamo_py.Store,
    cluster: DevCluster,
    operations: int,
    in_flight: int,
    value_bytes: int,
    turns: int,
) -> list[dict[str, float | str]]:
    bucket = store.bucket("bench")
    value = os.urandom(value_bytes)
    pids = [pid for node in cluster.nodes if (pid := cluster.pid(node.number)) is not None]
    rows = []
    for turn in range(turns):

        async def put(number: int, turn: int = turn) -> object:
            return await bucket.put(f"key-{turn}-{number}", value)

        async def get(number: int, turn: int = turn) -> object:
            return await bucket.get(f"key-{turn}-{number}")

        kinds: tuple[tuple[str, Operation], ...] = (("put", put), ("get", get))
        for name, operation in kinds:
            before = [cpu_seconds(pid) for pid in (os.getpid(), *pids)]
            phase = await closed_loop(name, operation, operations=operations, in_flight=in_flight)
            after = [cpu_seconds(pid) for pid in (os.getpid(), *pids)]
            used = [b - a for a, b in zip(before, after, strict=True)]
            rows.append(_row(phase, client_s=used[0], servers_s=sum(used[1:])))
    return rows


def _row(phase: Phase, *, client_s: float, servers_s: float) -> dict[str, float | str]:
    return {
        "phase": phase.name,
        "ops_per_s": phase.per_second,
        "p50_ms": phase.percentile_ms(50),
        "p99_ms": phase.percentile_ms(99),
        "p999_ms": phase.percentile_ms(99.9),
        "client_us": client_s / phase.operations * 1e6,
        "servers_us": servers_s / phase.operations * 1e6,
    }


if __name__ == "__main__":
    sys.exit(main())
