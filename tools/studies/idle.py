"""What three nodes in sync spend while nobody asks them anything.

``python -m studies.idle`` (in ``tools``) fills three real nodes, waits until they are in sync,
leaves, and reads the processes' CPU time. The nodes compare all copies again and again
meanwhile; that they have done so is checked. Judged is all that a node spends: exchanges,
gossip, links and loops together, so that the exchanges alone are less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import trio

from bench.clusters import temporary_cluster
from dyn_cli.bench.processes import cpu_seconds
from dyn_cli.dev.cluster import DevCluster
from dynamo_py.client.connecting import connect
from studies.at_rest import demand_filled
from studies.bars import Bar, StudyFailed, directory_option, partitions_option, play, say

NODES = 3
CORE_PERCENT_BAR = 2.0
QUIET_S = 15.0
"""After the last request: until what it has caused is over."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    keys: int
    value_bytes: int
    seconds: float
    partitions: int
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    core_percent: Mapping[str, float]
    """By node: the share of one core that its process used."""
    pairs: int
    oldest_s: float
    """How long before the end the pair of copies was compared that was compared first."""

    def bars(self) -> tuple[Bar, ...]:
        """What was promised, for the node that spent most."""
        return (
            Bar(
                "busiest node, all that it does",
                max(self.core_percent.values()),
                CORE_PERCENT_BAR,
                "% of a core",
                excludes_bound=True,
            ),
        )


async def measure(course: Course) -> Found:
    """One run, on a cluster of its own."""
    say(f"starting {NODES} nodes")
    async with temporary_cluster(
        nodes=NODES, partitions=course.partitions, parent=course.directory
    ) as cluster:
        async with connect(*cluster.addresses) as store:
            await demand_filled(cluster, store, keys=course.keys, value_bytes=course.value_bytes)
        await trio.sleep(QUIET_S)
        used = await _core_percent(cluster, course.seconds)
        pairs, oldest_s = await _compared(cluster)
    if oldest_s > course.seconds:
        raise StudyFailed(
            f"a pair of copies was compared {oldest_s:.1f} s ago, before the"
            f" {course.seconds:g} s that were measured: let it take longer"
        )
    return Found(used, pairs, oldest_s)


async def _core_percent(cluster: DevCluster, seconds: float) -> dict[str, float]:
    def used_s() -> dict[str, float]:
        pids = {node.name: cluster.pid(node.number) for node in cluster.nodes}
        return {name: cpu_seconds(pid) for name, pid in pids.items() if pid is not None}

    began_s, before = trio.current_time(), used_s()
    say(f"{seconds:g} s without a request")
    await trio.sleep(seconds)
    elapsed_s, after = trio.current_time() - began_s, used_s()
    if len(after) < NODES:
        raise StudyFailed("a node has ended by itself")
    return {name: (after[name] - before[name]) / elapsed_s * 100 for name in after}


async def _compared(cluster: DevCluster) -> tuple[int, float]:
    """How many pairs of copies are compared; how long ago the one was that is due next."""
    async with connect(*cluster.addresses) as store:
        report = await store.admin.sync()
    if report.silent or not report.pairs:
        raise StudyFailed("not all nodes say what they have compared")
    problems = [pair.problem for pair in report.pairs if pair.problem]
    if problems:
        raise StudyFailed(f"{len(problems)} pairs of copies are not in sync: {problems[0]}")
    return len(report.pairs), max(pair.age_ms for pair in report.pairs) / 1000


async def _study(course: Course) -> tuple[Bar, ...]:
    found = await measure(course)
    click.echo(
        f"{course.keys:,} keys of {course.value_bytes:,} B on {NODES} nodes, Q ="
        f" {course.partitions}, {course.seconds:g} s without a request"
    )
    for name, percent in found.core_percent.items():
        click.echo(f"{name}  {percent:.2f} % of a core")
    click.echo(f"all {found.pairs:,} pairs of copies compared in the last {found.oldest_s:.1f} s")
    return found.bars()


@click.command()
@click.option("--keys", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=1), default=60.0, show_default=True)
@partitions_option
@directory_option
def main(
    *, keys: int, value_bytes: int, seconds: float, partitions: int, directory: Path | None
) -> None:
    """Leave a cluster in sync alone; say what its nodes spend."""
    course = Course(keys, value_bytes, seconds, partitions, directory)
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
