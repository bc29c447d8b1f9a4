"""`make bench`: a short standard set, on three nodes of this machine that are started for it.

W=2 and R=2 of N=3, every acknowledgement after fdatasync on two replicas. All processes share the
machine's cores, so CPU per operation is the figure that carries over to others.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click
import trio

from bench.clusters import temporary_cluster
from bench.reports import report
from dyn_cli.bench.measuring import measure
from dyn_cli.bench.plans import BUCKET, Plan, overlaps_by_default
from dyn_cli.bench.results import Row
from dyn_cli.bench.servers import servers_of
from dyn_cli.bench.table import shown
from dyn_cli.bench.workloads import WORKLOADS

RECORDS = 10_000
WARM_UP_S = 0.5
OPEN_RATE_PER_S = 500.0
IN_FLIGHT = 64
VALUE_BYTES = 100
TIMEOUT_S = 5.0


def plan_of(
    workload: str,
    *,
    in_flight: int = IN_FLIGHT,
    value_bytes: int = VALUE_BYTES,
    is_separate: bool = False,
    rate_per_s: float | None = None,
    records: int = RECORDS,
) -> Plan:
    """One measurement of the set; ``seconds`` and ``turn`` are filled in later."""
    asked = WORKLOADS[workload]
    return Plan(
        workload=asked,
        choice=asked.choice,
        records=records,
        chosen=records,
        value_bytes=value_bytes,
        in_flight=in_flight,
        is_separate=is_separate,
        rate_per_s=rate_per_s,
        overlaps=overlaps_by_default(asked.choice),
        warm_up_s=WARM_UP_S,
        seconds=1.0,
        operations=None,
        bucket=BUCKET,
        seed=1,
        turn=1,
        timeout_s=TIMEOUT_S,
    )


def standard_set() -> list[Plan]:
    """What `make bench` measures in one turn."""
    plans = [
        plan_of(workload, in_flight=in_flight)
        for in_flight in (1, 16, 64, 256)
        for workload in ("put", "get")
    ]
    plans += [plan_of(workload, is_separate=True) for workload in ("put", "get")]
    plans += [
        plan_of(workload, value_bytes=value_bytes, in_flight=in_flight, records=records)
        for value_bytes, in_flight, records in ((1024, 64, 10_000), (65_536, 16, 500))
        for workload in ("put", "get")
    ]
    plans += [plan_of(workload) for workload in "abcdf"]
    plans.append(plan_of("e", in_flight=4))
    plans.append(plan_of("a", rate_per_s=OPEN_RATE_PER_S))
    return plans


@click.command()
@click.option("--seconds", default=2.0, show_default=True, help="how long each is measured")
@click.option("--turns", default=1, show_default=True, help="how often; medians are shown")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/bench"),
    show_default=True,
    help="where the document and the picture go",
)
def main(seconds: float, turns: int, directory: Path) -> None:
    """Measure the standard set on three nodes of this machine."""
    report(trio.run(_measure, seconds, turns), directory)


async def _measure(seconds: float, turns: int) -> list[Row]:
    rows = []
    async with temporary_cluster() as cluster:
        for turn in range(1, turns + 1):
            for plan in standard_set():
                asked = replace(plan, seconds=seconds, turn=turn, seed=turn)
                rows.append(await measure(asked, cluster.addresses, servers_of(cluster)))
                click.echo(shown(rows[-1]), err=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
