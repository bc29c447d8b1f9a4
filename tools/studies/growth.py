"""A cluster grows from three nodes to five under load, in one plan, and back, again and again.

``python -m studies.growth`` (in ``tools``) runs three real nodes, and two kinds of clients all
the time: tasks that read, modify and put unique values, whose every answer is judged in the end,
and requests at a constant rate, whose p99 is measured. In each turn two nodes are started that
wait, and committed together; later the two leave together. No operation may fail, nothing may be
lost, and no read may miss what was acknowledged. The tokens must lie evenly afterwards, hardly
more be sent than had to move, and clients hardly notice: the p99 of the windows while tokens
move is held against the p99 of as many quiet windows just before. The median counts.

All nodes and the clients share this machine's cores. The nodes that are added run in the quiet
windows too: what their processes take by being there is no part of the difference.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
import trio

from bench.clusters import temporary_cluster
from bench.load import LAST_ANSWERS_S, OpenLoop, open_loop
from dyn_cli.cluster import CONVERGED, SYNC, TRANSFERS
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.output import print_table
from dynamo_py.client.bucket import Store
from dynamo_py.client.connecting import connect
from studies.at_rest import demand_filled, demand_rest
from studies.bars import Bar, StudyFailed, directory_option, partitions_option, play, say
from studies.foreground import Foreground
from studies.moved import (
    Sent,
    copies_gained,
    most_uneven,
    ring_of,
)
from studies.rewriting import Rewriters, Rewriting
from studies.stored_keys import BUCKET
from studies.windows import Window, p99_bound_ms, p99_ms

NODES = 3
ADDED = 2
MOVED_S_MAX = 900.0
"""After this long nobody waits for a change to be through any more."""
UNEVEN_BAR = 1.0
BYTES_FACTOR_BAR = 1.2
WARM_UP_S = 5.0
"""Load before the first turn."""
SHOWN_MAX = 10
GROW, SHRINK = "3 to 5", "5 to 3"


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    keys: int
    value_bytes: int
    tasks: int
    think_s: float
    per_second: float
    window_s: float
    windows: int
    """Quiet ones before each change."""
    turns: int
    partitions: int
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Step:
    """One change, of two nodes at once."""

    name: str
    quiet: Window
    moving: Window
    """From the commit until all was moved and cleaned up."""
    in_sync_s: float
    """How long after that all replicas were equal."""
    copies: int
    sent_bytes: int
    least_bytes: int
    """What nodes hold of it that did not before, as of the plan."""
    quiet_bytes: int
    """What exchanges sent in the quiet time before."""
    uneven: float

    @property
    def factor(self) -> float:
        """How much was sent, of what had to be."""
        return self.sent_bytes / self.least_bytes


@dataclass(frozen=True, slots=True)
class Felt:
    """What clients felt of one change: medians of its windows' p99s, in ms."""

    quiet_ms: float
    moving_ms: float


def felt(step: Step, load: OpenLoop, window_s: float) -> Felt:
    """The medians of a change's windows; raises `StudyFailed` where one has no request."""

    def median_ms(window: Window) -> float:
        return median(p99_ms(load.samples, part) for part in window.parts(window_s))

    return Felt(median_ms(step.quiet), median_ms(step.moving))


@dataclass(slots=True)
class Found:
    """What came of a run."""

    steps: list[Step] = field(default_factory=list)
    load: OpenLoop | None = None
    operations: int = 0
    degraded: int = 0
    failed: int = 0
    missing: Sequence[str] = ()
    violations: Sequence[str] = ()


def bars(found: Found, by_step: Sequence[Felt]) -> tuple[Bar, ...]:
    """What was promised, over all changes; the p99 for each direction by itself."""
    assert found.load is not None
    steps = found.steps
    return (
        Bar("operations that failed", found.failed + sum(found.load.errors.values()), 0),
        Bar("writes lost, or missed by a read", len(found.violations) + len(found.missing), 0),
        Bar("tokens off an even share", max(step.uneven for step in steps), UNEVEN_BAR),
        Bar("bytes sent, of the least", max(step.factor for step in steps), BYTES_FACTOR_BAR),
        *(_p99_bar(name, steps, by_step) for name in (GROW, SHRINK)),
    )


def _p99_bar(name: str, steps: Sequence[Step], by_step: Sequence[Felt]) -> Bar:
    these = [each for step, each in zip(steps, by_step, strict=True) if step.name == name]
    quiet_ms = median(each.quiet_ms for each in these)
    moving_ms = median(each.moving_ms for each in these)
    return Bar(f"median p99, {name}", moving_ms, p99_bound_ms(quiet_ms), "ms")


# --- a run ------------------------------------------------------------------------------------


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
        rewriting = Rewriting(Rewriters(tasks=course.tasks, think_s=course.think_s))
        found = Found()
        run = _Run(cluster, store, course)
        async with open_loop(foreground.ask, per_second=course.per_second) as found.load:
            async with rewriting.under_way(store):
                await trio.sleep(WARM_UP_S)
                for _ in range(course.turns):
                    found.steps += await run.turn()
            await trio.sleep(LAST_ANSWERS_S)
        say("judging")
        found.violations = await rewriting.judge(store)
    found.operations = rewriting.statistics().operations + len(found.load.samples)
    found.degraded = rewriting.statistics().degraded
    found.failed = rewriting.failed
    found.missing = tuple(foreground.missing)
    return found


class _Run:
    """The changes of one run."""

    def __init__(self, cluster: DevCluster, store: Store, course: Course) -> None:
        self._cluster = cluster
        self._store = store
        self._course = course
        self._sent = Sent(cluster)

    async def turn(self) -> list[Step]:
        """Two nodes come, and go again."""
        names = [(await self._cluster.add(is_staged=True)).name for _ in range(ADDED)]

        async def leave() -> None:
            for name in names:
                await self._store.admin.leave(name, staged=True)

        async def nothing_more() -> None:
            await trio.lowlevel.checkpoint()

        return [
            await self._step(GROW, nothing_more, nodes=NODES + ADDED),
            await self._step(SHRINK, leave, nodes=NODES),
        ]

    async def _step(self, name: str, stage: Callable[[], Awaitable[None]], *, nodes: int) -> Step:
        """One change, once it has been quiet for a while; ``nodes`` own tokens afterwards."""
        course, admin = self._course, self._store.admin
        quiet_s, quiet_bytes = trio.current_time(), await self._sent.bytes()
        await trio.sleep(course.windows * course.window_s)
        before = ring_of(await admin.ring())
        await stage()
        await self._demand(CONVERGED)  # Else another node may be asked next, that knows nothing.
        plan = await admin.plan()
        began_s, began_bytes = trio.current_time(), await self._sent.bytes()
        await admin.commit()
        ended_s = await self._demand_moved()
        ended_bytes = await self._sent.bytes()
        after = ring_of(await admin.ring())
        in_sync_s = await self._demand(SYNC)
        gained = copies_gained(before, after)
        if not gained or not plan.copies or plan.unsized:
            raise StudyFailed(
                f"{name}: {len(gained)} copies were made, and of {plan.copies} was said before how"
                f" large they are, but for {plan.unsized}"
            )
        # Where some others are made than was planned: partitions are much of one size here.
        least_bytes = plan.bytes * len(gained) // plan.copies
        step = Step(
            name,
            quiet=Window(quiet_s, began_s),
            moving=Window(began_s, ended_s),
            in_sync_s=in_sync_s - ended_s,
            copies=len(gained),
            sent_bytes=ended_bytes - began_bytes,
            least_bytes=least_bytes,
            quiet_bytes=began_bytes - quiet_bytes,
            uneven=most_uneven(after.owners, nodes),
        )
        say(f"{name}: {step.moving.seconds:.1f} s, {step.factor:.2f} of the least bytes")
        return step

    async def _demand_moved(self) -> float:
        """When all was moved. What a node that leaves has sent is read while it is there."""
        async with self._sent.watched():
            return await self._demand(TRANSFERS, CONVERGED)

    async def _demand(self, *conditions: str) -> float:
        return await demand_rest(self._cluster.addresses, conditions, within_s=MOVED_S_MAX)


# --- the program ------------------------------------------------------------------------------


async def _study(course: Course) -> tuple[Bar, ...]:
    found = await measure(course)
    assert found.load is not None
    by_step = [felt(step, found.load, course.window_s) for step in found.steps]
    click.echo(
        f"{course.keys:,} keys of {course.value_bytes:,} B, Q = {course.partitions};"
        f" {course.tasks} tasks and {course.per_second:g} requests a second, half gets, half"
        f" puts; windows of {course.window_s:g} s"
    )
    print_table(
        ("change", "s", "sync s", "copies", "MB", "of least", "quiet kB/s", "ms", "quiet ms"),
        [_row(step, each) for step, each in zip(found.steps, by_step, strict=True)],
    )
    click.echo(f"{found.operations:,} operations, {found.degraded:,} of the tasks' degraded")
    for reason, count in sorted(found.load.errors.items()):
        click.echo(f"{count:,} requests failed: {reason}")
    if found.failed:
        click.echo(f"{found.failed:,} operations of the tasks failed")
    for line in [*found.violations, *found.missing][:SHOWN_MAX]:
        click.echo(f"  {line}")
    return bars(found, by_step)


def _row(step: Step, each: Felt) -> tuple[str, ...]:
    return (
        step.name,
        f"{step.moving.seconds:.1f}",
        f"{step.in_sync_s:.1f}",
        f"{step.copies}",
        f"{step.sent_bytes / 1e6:.1f}",
        f"{step.factor:.2f}",
        f"{step.quiet_bytes / step.quiet.seconds / 1e3:.1f}",
        f"{each.moving_ms:.1f}",
        f"{each.quiet_ms:.1f}",
    )


@click.command()
@click.option("--keys", type=click.IntRange(min=1), default=50_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option("--tasks", type=click.IntRange(min=1), default=64, show_default=True)
@click.option(
    "--think",
    "think_s",
    type=click.FloatRange(min=0),
    default=0.5,
    show_default=True,
    help="Seconds that a task waits between its steps.",
)
@click.option(
    "--rate",
    "per_second",
    type=click.FloatRange(min=0, min_open=True),
    default=200.0,
    show_default=True,
    help="Further requests a second, at a constant rate.",
)
@click.option(
    "--window",
    "window_s",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds.",
)
@click.option("--windows", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--turns", type=click.IntRange(min=1), default=2, show_default=True)
@partitions_option
@directory_option
def main(
    *,
    keys: int,
    value_bytes: int,
    tasks: int,
    think_s: float,
    per_second: float,
    window_s: float,
    windows: int,
    turns: int,
    partitions: int,
    directory: Path | None,
) -> None:
    """Add two nodes to three under load, and let them leave; say what clients felt, and lost."""
    course = Course(
        keys,
        value_bytes,
        tasks,
        think_s,
        per_second,
        window_s,
        windows,
        turns,
        partitions,
        directory,
    )
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
