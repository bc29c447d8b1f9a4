"""`make bench-peers`: the store, etcd and Valkey in turns, in one run on this machine.

In each turn each of them is started afresh, filled, measured and stopped, so that none of them
runs beside another. The store is driven by its own client, in one process, over one connection to
each node or over as many as there are requests in flight; the peers by a load generator in C, over
as many connections as requests in flight.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import click
import trio

from bench.clusters import temporary_cluster
from bench.peers import loadgen
from bench.peers.ratios import COLUMNS, ratios
from bench.peers.servers import Peer, etcd, valkey
from bench.reports import report
from bench.standard import plan_of
from dyn_cli.bench.measuring import measure
from dyn_cli.bench.results import Row
from dyn_cli.bench.servers import costs, sampled, servers_of
from dyn_cli.bench.table import shown
from dyn_cli.failures import Failed
from dyn_cli.output import print_table, print_text

PEER_OPERATIONS = {"etcd": ("put", "get"), "valkey": ("set-wait", "set-waitaof", "get")}
STARTS = {"etcd": etcd, "valkey": valkey}
PRELOAD_CONNECTIONS = 64
SEPARATE_IN_FLIGHT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is measured of each."""

    in_flights: tuple[int, ...]
    value_sizes: tuple[int, ...]
    records: int
    seconds: float
    warm_up_s: float


@click.command()
@click.option("--turns", type=click.IntRange(1), default=5, show_default=True)
@click.option("--in-flight", type=click.IntRange(1), multiple=True, default=(1, 64, 256))
@click.option("--value-bytes", type=click.IntRange(1, 16_000), multiple=True, default=(100,))
@click.option("--records", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--seconds", type=float, default=3.0, show_default=True)
@click.option("--warm-up", type=float, default=1.0, show_default=True)
@click.option(
    "--peer",
    "peers",
    type=click.Choice(list(STARTS)),
    multiple=True,
    default=tuple(STARTS),
    show_default=True,
)
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/bench-peers"),
    show_default=True,
    help="where the document and the picture go",
)
def main(
    turns: int,
    in_flight: tuple[int, ...],
    value_bytes: tuple[int, ...],
    records: int,
    seconds: float,
    warm_up: float,
    peers: tuple[str, ...],
    directory: Path,
) -> None:
    """Measure the store beside its peers, and print medians and ratios."""
    asked = Asked(
        in_flights=in_flight,
        value_sizes=value_bytes,
        records=records,
        seconds=seconds,
        warm_up_s=warm_up,
    )
    try:
        generator = loadgen.built(directory)
        rows = trio.run(measure_all, asked, peers, turns, generator)
        report(rows, directory)
    except Failed as error:
        raise click.ClickException(error.message) from error
    print_text(f"\nthe store's figures by the peers', medians of {turns} turns:")
    print_table(COLUMNS, [ratio.cells() for ratio in ratios(rows)])


async def measure_all(asked: Asked, peers: Sequence[str], turns: int, generator: Path) -> list[Row]:
    """All rows, turn by turn; raises `Failed` where servers do not start."""
    rows: list[Row] = []
    for turn in range(1, turns + 1):
        rows += await _measure_store(asked, turn)
        for name in peers:
            start: AbstractAsyncContextManager[Peer] = STARTS[name](generator)
            async with start as peer:
                rows += await _measure_peer(asked, peer, turn, generator)
    return rows


async def _measure_store(asked: Asked, turn: int) -> list[Row]:
    rows = []
    async with temporary_cluster() as cluster:
        servers = servers_of(cluster)
        for size in asked.value_sizes:
            ways = [(in_flight, False) for in_flight in asked.in_flights]
            ways += [(SEPARATE_IN_FLIGHT, True)] * (SEPARATE_IN_FLIGHT in asked.in_flights)
            for workload in ("put", "get"):
                for in_flight, is_separate in ways:
                    plan = plan_of(
                        workload,
                        in_flight=in_flight,
                        value_bytes=size,
                        is_separate=is_separate,
                        records=asked.records,
                    )
                    plan = replace(
                        plan, seconds=asked.seconds, warm_up_s=asked.warm_up_s, turn=turn, seed=turn
                    )
                    rows.append(await measure(plan, cluster.addresses, servers))
                    click.echo(shown(rows[-1]), err=True)
    return rows


async def _measure_peer(asked: Asked, peer: Peer, turn: int, generator: Path) -> list[Row]:
    rows = []
    for size in asked.value_sizes:
        await loadgen.run(
            generator,
            peer.protocol,
            peer.preload,
            peer.targets,
            connections=PRELOAD_CONNECTIONS,
            records=asked.records,
            value_bytes=size,
            is_once=True,
        )
        for operation in PEER_OPERATIONS[peer.name]:
            for in_flight in asked.in_flights:
                row = await _measure_one(asked, peer, operation, size, in_flight, turn, generator)
                if row is not None:
                    rows.append(row)
                    click.echo(shown(row), err=True)
    return rows


async def _measure_one(
    asked: Asked,
    peer: Peer,
    operation: str,
    value_bytes: int,
    in_flight: int,
    turn: int,
    generator: Path,
) -> Row | None:
    """None where nothing has succeeded."""
    before = await sampled(peer.servers)
    answer = await loadgen.run(
        generator,
        peer.protocol,
        operation,
        peer.targets,
        connections=in_flight,
        records=asked.records,
        value_bytes=value_bytes,
        seconds=asked.seconds,
        warm_up_s=asked.warm_up_s,
        seed=turn,
    )
    after = await sampled(peer.servers)
    if answer is None:
        return None
    counted = answer.operations + answer.failed
    return Row(
        target=peer.name,
        workload=operation,
        choice="uniform",
        records=asked.records,
        value_bytes=value_bytes,
        loop="closed",
        in_flight=in_flight,
        rate_per_s=None,
        connections=in_flight,
        turn=turn,
        seconds=answer.seconds,
        operations=answer.operations,
        per_second=answer.operations / answer.seconds,
        errors={answer.failure: answer.failed} if answer.failed else {},
        latency=answer.latency,
        client_cpu_us_per_operation=answer.cpu_s / counted * 1e6,
        servers=costs(peer.servers, before, after, operations=answer.ended),
    )


if __name__ == "__main__":
    sys.exit(main())
