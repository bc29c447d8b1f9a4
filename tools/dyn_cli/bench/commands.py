"""`dyn-cli bench`: puts a load on a cluster, and says what it came to and what it cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dyn_cli.bench.plans import BUCKET, Plan, bucket_named, matrix
from dyn_cli.bench.records import RECORDS_MAX
from dyn_cli.bench.workloads import WORKLOADS, Choice
from dyn_cli.connection import with_store
from dyn_cli.failures import Status
from dyn_cli.options import ONE_KEY_TIMEOUT_S, SECONDS, Group, Settings, pass_settings
from dyn_cli.output import note, print_json, print_table, print_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dyn_cli.bench.loading import Loaded
    from dyn_cli.bench.results import Row
    from dynamo_py.client.bucket import Store

VALUE_BYTES_MAX = 16_000_000
IN_FLIGHT_MAX = 10_000
TOLD_AT_ONCE = 100

_COUNT = click.IntRange(1, RECORDS_MAX)
_bucket_option = click.option(
    "--bucket", default=BUCKET, show_default=True, help="The bucket's name, before the value size."
)


@click.group("bench", cls=Group)
def bench_commands() -> None:
    """Put a load on a cluster and measure it. docs/BENCH.md says what the figures mean."""


def _mix_options(command: Callable[..., Status]) -> Callable[..., Status]:
    """What is asked of the store."""
    options = (
        click.option(
            "--workload",
            "workloads",
            type=click.Choice(list(WORKLOADS)),
            multiple=True,
            default=("put", "get"),
            show_default=True,
            help="put, get, or one of YCSB's a to f; may be given several times.",
        ),
        click.option(
            "--keys",
            "choice",
            type=click.Choice([each.value for each in Choice]),
            help="How records are chosen.  [default: the workload's]",
        ),
        click.option("--records", type=_COUNT, default=10_000, show_default=True),
        click.option("--sample", type=_COUNT, help="Choose among so many of the records alone."),
        click.option(
            "--value-bytes",
            "value_sizes",
            type=click.IntRange(1, VALUE_BYTES_MAX),
            multiple=True,
            default=(100,),
            show_default=True,
        ),
        click.option(
            "--overlap/--no-overlap",
            "overlaps",
            default=None,
            help="Whether several writes of one record may be under way at once, and so become"
            " siblings.  [default: not for uniform keys]",
        ),
        _bucket_option,
        click.option(
            "--prepare/--no-prepare",
            "prepares",
            default=True,
            show_default=True,
            help="Put what records are missing, and read the contexts of all, beforehand.",
        ),
        click.option("--seed", type=int, default=1, show_default=True),
    )
    return _with_options(command, options)


def _loop_options(command: Callable[..., Status]) -> Callable[..., Status]:
    """How it is asked, for how long."""
    options = (
        click.option(
            "--in-flight",
            "in_flights",
            type=click.IntRange(1, IN_FLIGHT_MAX),
            multiple=True,
            default=(64,),
            show_default=True,
            help="Requests under way at once; may be given several times.",
        ),
        click.option(
            "--separate",
            "is_separate",
            is_flag=True,
            help="A client of its own for each request in flight, in place of one for all.",
        ),
        click.option(
            "--rate",
            type=click.FloatRange(0, min_open=True),
            help="An open loop: begin so many a second, whatever becomes of those before.",
        ),
        click.option("--seconds", type=SECONDS, default=5.0, show_default=True),
        click.option("--operations", type=_COUNT, help="So many, in place of --seconds."),
        click.option("--warm-up", type=click.FloatRange(0), default=1.0, show_default=True),
        click.option("--turns", type=_COUNT, default=1, show_default=True),
    )
    return _with_options(command, options)


def _with_options(
    command: Callable[..., Status],
    options: Sequence[Callable[[Callable[..., Status]], Callable[..., Status]]],
) -> Callable[..., Status]:
    for option in reversed(options):
        command = option(command)
    return command


@bench_commands.command("run")
@_mix_options
@_loop_options
@click.option(
    "--dir",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".dev"),
    show_default=True,
    help="The dev cluster that is measured, if it is one: its processes' figures are shown.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the JSON document to this file as well.",
)
@pass_settings
def run(
    settings: Settings,
    workloads: tuple[str, ...],
    choice: str | None,
    records: int,
    sample: int | None,
    value_sizes: tuple[int, ...],
    overlaps: bool | None,
    bucket: str,
    prepares: bool,
    seed: int,
    in_flights: tuple[int, ...],
    is_separate: bool,
    rate: float | None,
    seconds: float,
    operations: int | None,
    warm_up: float,
    turns: int,
    directory: Path,
    output: Path | None,
) -> Status:
    """Measure each combination of workload, value size and requests in flight."""
    if sample is not None and sample > records:
        raise click.UsageError("--sample is more than --records", click.get_current_context())
    any_workload = WORKLOADS[workloads[0]]
    common = Plan(
        workload=any_workload,
        choice=any_workload.choice,
        records=records,
        chosen=sample or records,
        value_bytes=value_sizes[0],
        in_flight=in_flights[0],
        is_separate=is_separate,
        rate_per_s=rate,
        overlaps=False,
        warm_up_s=warm_up,
        seconds=seconds,
        operations=operations,
        bucket=bucket,
        seed=seed,
        turn=1,
        timeout_s=settings.timeout_s or ONE_KEY_TIMEOUT_S,
    )
    plans = matrix(
        common,
        workloads=[WORKLOADS[name] for name in workloads],
        choice=None if choice is None else Choice(choice),
        overlaps=overlaps,
        value_sizes=value_sizes,
        in_flights=in_flights,
        turns=turns,
    )
    return _run(settings, plans, directory, output, prepares=prepares)


def _run(
    settings: Settings, plans: list[Plan], directory: Path, output: Path | None, *, prepares: bool
) -> Status:
    import trio

    from dyn_cli.bench.measuring import measure
    from dyn_cli.bench.results import Results, this_machine, write
    from dyn_cli.bench.servers import servers_at
    from dyn_cli.bench.table import shown

    async def measure_all() -> list[Row]:
        servers = servers_at(directory, settings.nodes)
        rows = []
        for plan in plans:
            rows.append(await measure(plan, settings.nodes, servers, prepares=prepares))
            if not settings.is_json:
                note(shown(rows[-1]))
        return rows

    rows = trio.run(measure_all)
    results = Results(machine=this_machine(), rows=tuple(rows))
    if output is not None:
        write(results, output)
    _show(settings, results.rows)
    return Status.DONE if all(row.operations for row in rows) else Status.ANSWER_IS_NO


def _show(settings: Settings, rows: Sequence[Row]) -> None:
    import msgspec

    from dyn_cli.bench.medians import median_rows
    from dyn_cli.bench.results import Results, this_machine
    from dyn_cli.bench.table import COLUMNS, LEGEND, cells, remarks

    if settings.is_json:
        print_json(msgspec.to_builtins(Results(machine=this_machine(), rows=tuple(rows))))
        return
    medians = median_rows(rows)
    print_table(COLUMNS, [cells(row) for row in medians])
    print_text(LEGEND)
    for remark in remarks(medians):
        note(remark)


@bench_commands.command("load")
@click.option("--records", type=_COUNT, required=True, help="How many.")
@click.option(
    "--from",
    "begin",
    type=click.IntRange(0, RECORDS_MAX),
    default=0,
    show_default=True,
    help="The number of the first one.",
)
@click.option(
    "--value-bytes", type=click.IntRange(1, VALUE_BYTES_MAX), default=100, show_default=True
)
@click.option("--in-flight", type=click.IntRange(1, IN_FLIGHT_MAX), default=256, show_default=True)
@click.option("--again", is_flag=True, help="Overwrite what is there: each record is read first.")
@_bucket_option
@click.option("--seed", type=int, default=1, show_default=True)
@pass_settings
def load(
    settings: Settings,
    records: int,
    begin: int,
    value_bytes: int,
    in_flight: int,
    again: bool,
    bucket: str,
    seed: int,
) -> Status:
    """Fill a bucket with records, in the order of (partition, key): for loads in bulk."""
    import random
    import time

    from dyn_cli.bench.loading import load as load_records
    from dyn_cli.bench.records import Values

    end = begin + records
    if end > RECORDS_MAX:
        raise click.UsageError(
            f"the last record would be above {RECORDS_MAX:,}", click.get_current_context()
        )

    async def work(store: Store) -> Loaded:
        with _progress(records, is_shown=not settings.is_json) as tell:
            return await load_records(
                store,
                bucket_named(bucket, value_bytes),
                Values(value_bytes, random.Random(seed)),
                begin=begin,
                end=end,
                in_flight=in_flight,
                again=again,
                timeout_s=settings.timeout_s or ONE_KEY_TIMEOUT_S,
                tell=tell,
            )

    began_s = time.monotonic()
    loaded = with_store(settings, work, timeout_s=None)
    return _show_loaded(settings, loaded, seconds=time.monotonic() - began_s)


def _show_loaded(settings: Settings, loaded: Loaded, *, seconds: float) -> Status:
    if settings.is_json:
        print_json({"records": loaded.records, "seconds": seconds, "errors": loaded.errors})
    else:
        rate = loaded.records / seconds
        print_text(f"{loaded.records:,} records in {seconds:.1f} s, {rate:,.0f} a second")
        for kind, count in sorted(loaded.errors.items()):
            note(f"{count:,} records were not put: {kind}")
    return Status.NO_QUORUM_OR_TIMED_OUT if loaded.errors else Status.DONE


@contextmanager
def _progress(records: int, *, is_shown: bool) -> Iterator[Callable[[], None]]:
    """A progress bar on stderr, where that is a terminal; what is called for each record."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
    with Progress(
        *columns, console=console, disable=not (is_shown and console.is_terminal), transient=True
    ) as progress:
        task = progress.add_task("", total=records)
        done = 0

        def tell() -> None:
            nonlocal done
            done += 1
            if done % TOLD_AT_ONCE == 0:
                progress.advance(task, TOLD_AT_ONCE)

        yield tell
