"""Where the microseconds of a put and of a get go: the table of docs/design/hot-path.md.

``python -m studies.budget`` (in ``tools``) drives three real nodes from one client process, 64
requests in flight. Each operation is measured twice: by itself, for what it costs by /proc, and
once more with a sampling profiler at each process, for how that is spread over the stages. Samples
are taken of the thread that holds the interpreter's lock: what is done without it, in system calls
and in SQLite, is spread over all stages alike. Needs the right to look into processes, and a
machine with nothing else to do.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import trio

from bench.clusters import temporary_cluster
from bench.standard import plan_of
from dyn_cli.bench.measuring import measure
from dyn_cli.bench.plans import Plan
from dyn_cli.bench.servers import Server, servers_of
from dyn_cli.output import print_table
from studies.bars import Bar, StudyFailed, directory_option, play, say
from studies.stages import samples

OPERATIONS = ("put", "get")
SAMPLES_PER_S = 200
SETTLE_S = 2.0
"""Before the profilers begin: the load is steady by then."""


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of one operation in microseconds: all of it, and by stage."""

    servers_us: float
    client_us: float
    by_stage: Mapping[str, float]


async def _cost(plan: Plan, addresses: Sequence[str], servers: Sequence[Server]) -> Cost:
    alone = await measure(plan, addresses, servers)
    with TemporaryDirectory() as directory:
        stacks = [Path(directory) / str(number) for number in range(len(servers) + 1)]
        longer = replace(plan, seconds=plan.seconds + 2 * SETTLE_S)
        async with trio.open_nursery() as nursery:
            for pid, path in zip((*(s.pid for s in servers), os.getpid()), stacks, strict=True):
                nursery.start_soon(_profile, pid, plan.seconds, path)
            await measure(longer, addresses, servers)
        lines = [path.read_text().splitlines() for path in stacks]
    by_stage: dict[str, float] = {}
    for of_some, total_us in (
        (lines[:-1], alone.servers_cpu_us),
        (lines[-1:], alone.client_cpu_us_per_operation),
    ):
        found = samples(line for of_one in of_some for line in of_one)
        if not total_us or not found:
            raise StudyFailed("nothing was answered, or nothing could be sampled")
        for stage, count in found.items():
            spent_us = total_us * count / sum(found.values())
            by_stage[stage] = by_stage.get(stage, 0.0) + spent_us
    assert alone.servers_cpu_us
    assert alone.client_cpu_us_per_operation
    return Cost(alone.servers_cpu_us, alone.client_cpu_us_per_operation, by_stage)


async def _profile(pid: int, seconds: float, path: Path) -> None:
    await trio.sleep(SETTLE_S)
    command = [
        str(Path(sys.executable).with_name("py-spy")),
        *("record", "--gil", "--format", "raw", "--rate", str(SAMPLES_PER_S)),
        *("--duration", str(max(1, round(seconds))), "--output", str(path), "--pid", str(pid)),
    ]
    ended = await trio.run_process(
        command, check=False, capture_stdout=True, stderr=subprocess.STDOUT
    )
    if ended.returncode:
        last = ended.stdout.decode(errors="replace").strip().rpartition("\n")[2]
        raise StudyFailed(f"process {pid} could not be profiled: {last}")


def print_costs(costs: Mapping[str, Cost]) -> None:
    """A row for each stage, a column for each operation, in microseconds."""
    stages: dict[str, float] = {}
    for cost in costs.values():
        for stage, spent_us in cost.by_stage.items():
            stages[stage] = stages.get(stage, 0.0) + spent_us
    rows = [
        (stage, *(f"{cost.by_stage.get(stage, 0.0):.1f}" for cost in costs.values()))
        for stage in sorted(stages, key=lambda stage: -stages[stage])
    ]
    rows += [
        ("all three servers", *(f"{cost.servers_us:.0f}" for cost in costs.values())),
        ("the client", *(f"{cost.client_us:.0f}" for cost in costs.values())),
    ]
    print_table(("CPU µs of one", *costs), rows)


async def _study(seconds: float, directory: Path | None) -> tuple[Bar, ...]:
    costs = {}
    async with temporary_cluster(parent=directory) as cluster:
        for operation in OPERATIONS:
            say(f"{operation}, alone and profiled, {seconds:g} s each")
            plan = replace(plan_of(operation), seconds=seconds)
            costs[operation] = await _cost(plan, cluster.addresses, servers_of(cluster))
    print_costs(costs)
    return ()


@click.command()
@click.option("--seconds", type=click.FloatRange(min=2), default=10.0, show_default=True)
@directory_option
def main(*, seconds: float, directory: Path | None) -> None:
    """Say what a put and a get cost, by stage."""
    raise SystemExit(play(lambda: _study(seconds, directory)))


if __name__ == "__main__":
    main()
