"""One of three nodes loses its disk under load and is refilled, again and again.

``python -m studies.wiped`` (in ``tools``) runs three real nodes and keeps clients' requests
coming at a constant rate. In each turn a node is stopped, its data directory removed, and the
node started. It must be in sync again soon, and clients must hardly notice: the p99 of the
first seconds of repair is held against the p99 of as many quiet seconds after it. The median
over the turns counts, since one pause of the machine makes a p99.

All nodes and the clients share this machine's cores. What the start of the node's process
itself takes of them falls before the first window: on a machine of its own it would take
nothing from the others.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import trio

from bench.clusters import temporary_cluster
from bench.load import LAST_ANSWERS_S, OpenLoop, open_loop
from dyn_cli.cluster import CONVERGED, SYNC
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.output import print_table
from dynamo_py.client.connecting import connect
from studies.at_rest import demand_filled, demand_rest
from studies.bars import Bar, directory_option, partitions_option, play, say
from studies.foreground import Foreground
from studies.stored_keys import BUCKET
from studies.windows import Window, p99_bound_ms, p99_ms

NODES = 3
IN_SYNC_S_BAR = 120.0
IN_SYNC_S_MAX = 600.0
"""After this long nobody waits for a node to be in sync any more."""
WARM_UP_S = 5.0
"""Load before the first turn."""
SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    keys: int
    value_bytes: int
    per_second: float
    window_s: float
    turns: int
    partitions: int
    directory: Path | None


def repair_window(answered_s: float, in_sync_at_s: float, window_s: float) -> Window:
    """The first seconds of a repair; all of it where it was over before."""
    return Window(answered_s, min(answered_s + window_s, in_sync_at_s))


@dataclass(frozen=True, slots=True)
class Turn:
    """One time that a node was wiped."""

    node: str
    in_sync_s: float
    """From the start of its process."""
    start: Window
    """From its stop until it answered again: this is not judged."""
    repair: Window
    """From there on, as long as a window is, or until it was in sync."""
    quiet: Window


@dataclass(frozen=True, slots=True)
class Felt:
    """What clients felt of one turn: 99th percentiles in milliseconds, infinite: failures."""

    start_ms: float
    repair_ms: float
    quiet_ms: float


def felt(turn: Turn, load: OpenLoop) -> Felt:
    """The percentiles of a turn's windows; raises `StudyFailed` where one has no request."""
    windows = (turn.start, turn.repair, turn.quiet)
    return Felt(*(p99_ms(load.samples, window) for window in windows))


def bars(turns: Sequence[Turn], by_turn: Sequence[Felt], missing: int) -> tuple[Bar, ...]:
    """What was promised, over all turns."""
    quiet_ms = median(each.quiet_ms for each in by_turn)
    repair_ms = median(each.repair_ms for each in by_turn)
    return (
        Bar("slowest time until in sync", max(t.in_sync_s for t in turns), IN_SYNC_S_BAR, "s"),
        Bar("median p99 under repair", repair_ms, p99_bound_ms(quiet_ms), "ms"),
        Bar("gets that found nothing", missing, 0),
    )


# --- a run ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a run."""

    turns: tuple[Turn, ...]
    load: OpenLoop
    missing: tuple[str, ...]


async def measure(course: Course) -> Found:
    """One run, on a cluster of its own."""
    say(f"starting {NODES} nodes")
    async with (
        temporary_cluster(
            nodes=NODES, partitions=course.partitions, parent=course.directory
        ) as cluster,
        connect(*cluster.addresses) as store,
    ):
        await demand_filled(cluster, store, keys=course.keys, value_bytes=course.value_bytes)
        foreground = Foreground(
            store.bucket(BUCKET), course.keys, course.value_bytes, random.Random(1)
        )
        turns = []
        async with open_loop(foreground.ask, per_second=course.per_second) as load:
            await trio.sleep(WARM_UP_S)
            for number in range(course.turns):
                turn = await _turn(cluster, NODES - number % NODES, course)
                turns.append(turn)
                say(f"turn {number + 1}: {turn.node} in sync after {turn.in_sync_s:.1f} s")
            await trio.sleep(LAST_ANSWERS_S)
    return Found(tuple(turns), load, tuple(foreground.missing))


async def _turn(cluster: DevCluster, number: int, course: Course) -> Turn:
    node = cluster.node(number)
    stopped_s = trio.current_time()
    await cluster.stop(number)
    # A thread: the clients of this process must not be held up.
    await trio.to_thread.run_sync(shutil.rmtree, cluster.directory.data_of(node))
    started_s = trio.current_time()
    await cluster.start(number)
    answered_s = trio.current_time()
    conditions = (CONVERGED, SYNC)
    in_sync_at_s = await demand_rest(cluster.addresses, conditions, within_s=IN_SYNC_S_MAX)
    quiet_s = trio.current_time()
    await trio.sleep(course.window_s)
    return Turn(
        node.name,
        in_sync_at_s - started_s,
        start=Window(stopped_s, answered_s),
        repair=repair_window(answered_s, in_sync_at_s, course.window_s),
        quiet=Window(quiet_s, trio.current_time()),
    )


# --- the program ------------------------------------------------------------------------------


async def _study(course: Course) -> tuple[Bar, ...]:
    found = await measure(course)
    by_turn = [felt(turn, found.load) for turn in found.turns]
    click.echo(
        f"{course.keys:,} keys of {course.value_bytes:,} B on {NODES} nodes, Q ="
        f" {course.partitions}; {course.per_second:g} requests a second, half gets, half puts;"
        f" windows of {course.window_s:g} s"
    )
    print_table(
        ("wiped", "in sync s", "repair ms", "of s", "quiet ms", "ratio", "restart ms", "of s"),
        [_row(turn, each) for turn, each in zip(found.turns, by_turn, strict=True)],
    )
    for reason, count in sorted(found.load.errors.items()):
        click.echo(f"{count:,} requests failed: {reason}")
    for key in found.missing[:SHOWN_MAX]:
        click.echo(f"a get has not found {key}")
    return bars(found.turns, by_turn, len(found.missing))


def _row(turn: Turn, each: Felt) -> tuple[str, ...]:
    return (
        turn.node,
        f"{turn.in_sync_s:.1f}",
        f"{each.repair_ms:.1f}",
        f"{turn.repair.seconds:.1f}",
        f"{each.quiet_ms:.1f}",
        f"{each.repair_ms / each.quiet_ms:.2f}",
        f"{each.start_ms:.1f}",
        f"{turn.start.seconds:.1f}",
    )


@click.command()
@click.option("--keys", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=500.0,
    show_default=True,
    help="Requests a second.",
)
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds.",
)
@click.option("--turns", type=click.IntRange(min=1), default=5, show_default=True)
@partitions_option
@directory_option
def main(
    *,
    keys: int,
    value_bytes: int,
    rate: float,
    window_s: float,
    turns: int,
    partitions: int,
    directory: Path | None,
) -> None:
    """Wipe one of three nodes under load; say when it is in sync, and what clients felt."""
    course = Course(keys, value_bytes, rate, window_s, turns, partitions, directory)
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
