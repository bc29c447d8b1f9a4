"""Two of five nodes are killed, puts go on without them, and they come back.

``python -m studies.two_down`` (in ``tools``) runs five real nodes with N = 3 and W = 2. Every
put that is made while two are down must be accepted. Once both answer again the cluster must
come to rest soon: no hints kept, replicas in sync. Then each primary of each key is asked what
it holds itself, and all must hold the one value that was put.

All nodes and the client share this machine's cores, and its one disk.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import trio

from bench.clusters import temporary_cluster
from dyn_cli.dev.cluster import DevCluster
from dynamo_py.client.bucket import Store
from dynamo_py.client.connecting import connect
from dynamo_py.lifetimes import in_parallel
from studies.at_rest import Rest, wait_at_rest
from studies.bars import Bar, directory_option, partitions_option, play, say
from studies.stored_keys import BUCKET, Comparison, Filled, Values, compare_copies_at, fill

NODES = 5
REPLICAS = 3
W = 2
DOWN = (4, 5)
"""Node 1 founded the cluster; that makes no difference, but these are surely like any others."""

REST_S_BAR = 30.0
REST_S_MAX = 300.0
"""After this long nobody waits for rest any more."""
SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    puts: int
    in_flight: int
    value_bytes: int
    partitions: int
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    filled: Filled
    start_s: float
    """From the start of the two nodes until both answered."""
    rest: Rest
    """From there on."""
    comparison: Comparison

    def bars(self) -> tuple[Bar, ...]:
        """What was promised."""
        rest_s = math.inf if self.rest.problem else self.rest.seconds
        return (
            Bar("puts refused", len(self.filled.refused), 0),
            Bar("cluster wait --for hints,sync", rest_s, REST_S_BAR, "s"),
            Bar("keys that differ", len(self.comparison.differing), 0),
            Bar("keys with a wrong value", len(self.comparison.wrong), 0),
        )

    def troubles(self) -> list[str]:
        """What to look at where a bar is missed."""
        refused = [f"put {number}: {why}" for number, why in sorted(self.filled.refused.items())]
        rest = [self.rest.problem] if self.rest.problem else []
        return [
            *refused[:SHOWN_MAX],
            *rest,
            *self.comparison.differing[:SHOWN_MAX],
            *self.comparison.wrong[:SHOWN_MAX],
        ]


async def measure(course: Course) -> Found:
    """One run, on a cluster of its own."""
    values = Values(course.value_bytes)
    say(f"starting {NODES} nodes")
    async with temporary_cluster(
        nodes=NODES, partitions=course.partitions, replicas=REPLICAS, parent=course.directory
    ) as cluster:
        async with connect(*cluster.addresses) as store:
            filled = await _fill_without_two(cluster, store, values, course)
            say(f"{course.puts:,} puts in {filled.phase.seconds:.1f} s; the two come back")
            start_s = await _start(cluster, DOWN)
            rest = await wait_at_rest(cluster, "hints,sync", within_s=REST_S_MAX)
        say(f"at rest after {rest.seconds:.1f} s; comparing each primary's copies")
        comparison = await compare_copies_at(
            cluster.addresses,
            values,
            keys=course.puts,
            in_flight=course.in_flight,
            unsure=filled.refused.keys(),
        )
    return Found(filled, start_s, rest, comparison)


async def _fill_without_two(
    cluster: DevCluster, store: Store, values: Values, course: Course
) -> Filled:
    bucket = store.bucket(BUCKET)
    # The first puts begin before anybody has noticed that the two are down.
    for number in DOWN:
        await cluster.kill(number)
    say(f"killed {', '.join(cluster.node(number).name for number in DOWN)}")
    return await fill(bucket, values, keys=course.puts, in_flight=course.in_flight, w=W)


async def _start(cluster: DevCluster, numbers: Sequence[int]) -> float:
    """Start these nodes at once; the seconds until all of them answer."""
    began_s = trio.current_time()
    waiting = list(numbers)
    await in_parallel(lambda: cluster.start(waiting.pop()), len(numbers))
    return trio.current_time() - began_s


async def _study(course: Course) -> tuple[Bar, ...]:
    found = await measure(course)
    filled, comparison = found.filled, found.comparison
    click.echo(
        f"{course.puts:,} puts of {course.value_bytes:,} B, {course.in_flight} in flight, with"
        f" {len(DOWN)} of {NODES} nodes down; N = {REPLICAS}, W = {W}, Q = {course.partitions}"
    )
    click.echo(
        f"puts          {filled.phase.seconds:.1f} s, {filled.phase.per_second:,.0f} a second,"
        f" p99 {filled.phase.percentile_ms(99):.1f} ms; {filled.degraded:,} degraded"
    )
    click.echo(f"return        {found.start_s:.1f} s until both nodes answered")
    click.echo(f"rest          {found.rest.seconds:.1f} s later")
    click.echo(f"comparison    {comparison.copies:,} copies of {comparison.keys:,} keys")
    for line in found.troubles():
        click.echo(f"  {line}")
    return found.bars()


@click.command()
@click.option("--puts", type=click.IntRange(min=1), default=50_000, show_default=True)
@click.option("--in-flight", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=1024, show_default=True)
@partitions_option
@directory_option
def main(
    *, puts: int, in_flight: int, value_bytes: int, partitions: int, directory: Path | None
) -> None:
    """Put keys while two of five nodes are down; say what it takes until all is well again."""
    course = Course(puts, in_flight, value_bytes, partitions, directory)
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
