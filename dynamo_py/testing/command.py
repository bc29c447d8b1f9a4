"""The commands of `python -m dynamo_py.testing`: one run, many runs, the same run twice.

Knows nothing of how a run is carried out: that, the clocks and the command of a worker process
come in a `Toolbox`. Exit status: 0 passed; 1 something was found; 2 usage; 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import click
import msgspec
import trio

from dynamo_py.testing.logs import keep_quiet, show
from dynamo_py.testing.many import RUN_WALL_S_MAX, Lane, carry_out_all
from dynamo_py.testing.outcome import Meters, Outcome, carry_out, is_interruption
from dynamo_py.testing.progress import progress
from dynamo_py.testing.report import RunStandard, StandardRun
from dynamo_py.testing.summary import differences, failing, summarised
from dynamo_py.testing.text import lines_of_many, lines_of_one, lines_of_same
from dynamo_py.testing.worker import serve_on_standard_streams

INTERRUPTED = 130
MIXES = ("none", "bounded", "unbounded")
HASH_SEEDS = ("1", "2")
"""What the two runs of a seed salt Python's own hashes with: no outcome may depend on them."""

Command = Callable[..., int]


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What the commands work with. ``worker`` starts a worker process (see `worker`)."""

    run_standard: RunStandard
    meters: Meters
    fault_kinds: tuple[str, ...]
    worker: tuple[str, ...]
    environment: Mapping[str, str]


class Faults(click.ParamType[str]):
    """A mix by name, or kinds of faults with commas between."""

    name = "faults"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """``value``, if each word in it is known."""
        if value in MIXES:
            return value
        known = ctx.find_object(Toolbox) if ctx is not None else None
        kinds = known.fault_kinds if known is not None else ()
        for kind in value.split(","):
            if kind not in kinds:
                self.fail(f"{kind!r} is none of {', '.join((*MIXES, *kinds))}", param, ctx)
        return value


def _run_options(*, duration_s: float) -> Callable[[Command], Command]:
    """The options that every command has."""
    options = (
        click.option(
            "--duration",
            type=click.FloatRange(min=0, min_open=True),
            default=duration_s,
            show_default=True,
            help="virtual seconds of a run",
        ),
        click.option("--nodes", type=click.IntRange(min=1), default=5, show_default=True),
        click.option(
            "--faults",
            type=Faults(),
            default="bounded",
            show_default=True,
            help="none, bounded, unbounded, or kinds with commas between",
        ),
        click.option("--json", "as_json", is_flag=True, help="one JSON document on stdout"),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def _seed_options(*, count: int) -> Callable[[Command], Command]:
    """The options of the commands that run many seeds."""

    def decorate(command: Command) -> Command:
        first = click.option("--from", "first", type=int, default=1, show_default=True)
        how_many = click.option(
            "--count", type=click.IntRange(min=1), default=count, show_default=True
        )
        limit = click.option(
            "--run-limit",
            type=click.FloatRange(min=0, min_open=True),
            default=RUN_WALL_S_MAX,
            show_default=True,
            help="wall seconds after which a run is killed",
        )
        return how_many(first(limit(command)))

    return decorate


@click.group(context_settings={"help_option_names": ["--help", "-h"]})
def cli() -> None:
    """Run a whole cluster in one process, in virtual time, from one seed."""


@cli.command()
@click.option("--seed", type=int, required=True)
@click.option("--log", "is_logged", is_flag=True, help="show what the nodes log, on stderr")
@_run_options(duration_s=60.0)
@click.pass_obj
def one(
    toolbox: Toolbox,
    *,
    seed: int,
    is_logged: bool,
    duration: float,
    nodes: int,
    faults: str,
    as_json: bool,
) -> int:
    """Carry out one seed, and tell all of it."""
    if is_logged:
        show()
    else:
        keep_quiet()
    run = StandardRun(seed, duration, nodes, faults)
    outcome = carry_out(run, toolbox.run_standard, toolbox.meters)
    if as_json:
        _print_json(outcome.document())
    else:
        click.echo("\n".join(lines_of_one(outcome)))
    return int(not outcome.is_passed)


@cli.command()
@_seed_options(count=300)
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
@click.option("--stop-at-first", is_flag=True, help="begin no run after the first that failed")
@_run_options(duration_s=60.0)
@click.pass_obj
def many(
    toolbox: Toolbox,
    *,
    first: int,
    count: int,
    run_limit: float,
    processes: int,
    stop_at_first: bool,
    duration: float,
    nodes: int,
    faults: str,
    as_json: bool,
) -> int:
    """Carry out many seeds, and tell which failed."""
    runs = [StandardRun(first + i, duration, nodes, faults) for i in range(count)]
    outcomes: list[Outcome] = []

    def left() -> Iterator[StandardRun]:
        for run in runs:
            if stop_at_first and not all(outcome.is_passed for outcome in outcomes):
                return
            yield run

    shared = left()
    lanes = [Lane(toolbox.worker, toolbox.environment, shared)] * min(processes, count)
    began_s = toolbox.meters.wall_s()
    with progress(count, is_quiet=as_json) as advance:

        def note(lane: int, outcome: Outcome) -> None:
            outcomes.append(outcome)
            advance(outcome.is_passed)

        _wait(partial(carry_out_all, lanes, on_outcome=note, run_wall_s_max=run_limit))
    summary = summarised(outcomes, wall_s=toolbox.meters.wall_s() - began_s)
    if as_json:
        _print_json({**summary.document(), "failing": failing(outcomes)})
    else:
        click.echo("\n".join(lines_of_many(outcomes, summary)))
    return int(summary.failed > 0)


@cli.command()
@_seed_options(count=50)
@_run_options(duration_s=20.0)
@click.pass_obj
def same(
    toolbox: Toolbox,
    *,
    first: int,
    count: int,
    run_limit: float,
    duration: float,
    nodes: int,
    faults: str,
    as_json: bool,
) -> int:
    """Carry out each seed twice, in processes of their own, and compare all that happened.

    The second process takes the seeds from the last to the first, so that what one run leaves
    behind in its process would show as well.
    """
    runs = [StandardRun(first + i, duration, nodes, faults) for i in range(count)]
    orders = (runs, runs[::-1])
    lanes = [
        Lane(toolbox.worker, {**toolbox.environment, "PYTHONHASHSEED": salt}, iter(order))
        for salt, order in zip(HASH_SEEDS, orders, strict=True)
    ]
    found: tuple[dict[int, Outcome], dict[int, Outcome]] = ({}, {})
    with progress(2 * count, is_quiet=as_json) as advance:

        def note(lane: int, outcome: Outcome) -> None:
            found[lane][outcome.run.seed] = outcome
            advance(outcome.report is not None)

        _wait(partial(carry_out_all, lanes, on_outcome=note, run_wall_s_max=run_limit))
    differing = differences(*found)
    if as_json:
        _print_json({"seeds": count, "same": count - len(differing), "different": differing})
    else:
        click.echo("\n".join(lines_of_same(count, differing)))
    return int(bool(differing))


@cli.command(hidden=True)
@click.pass_obj
def worker(toolbox: Toolbox) -> int:
    """Carry out what comes in on stdin, for `many` and `same`."""
    keep_quiet()
    serve_on_standard_streams(toolbox.run_standard, toolbox.meters)
    return 0


def run(arguments: Sequence[str], toolbox: Toolbox) -> int:
    """Carry out a command line; the exit status."""
    try:
        status = cli.main(
            list(arguments), prog_name="dynamo_py.testing", standalone_mode=False, obj=toolbox
        )
        return int(status or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BaseException as error:  # noqa: ASYNC103 - an interruption is told by the status
        if not is_interruption(error) and not isinstance(error, click.Abort):
            raise
    click.echo("interrupted", err=True)
    return INTERRUPTED


def _wait(work: Callable[[], Awaitable[None]]) -> None:
    try:
        trio.run(work)
    except BaseExceptionGroup as group:
        if is_interruption(group):
            raise KeyboardInterrupt from None
        raise


def _print_json(document: object) -> None:
    click.echo(msgspec.json.encode(document).decode())
