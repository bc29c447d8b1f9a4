"""What clients feel while one of three nodes is slow, stopped, or killed and started again.

``python -m studies.slow_node`` (in ``tools``) runs three real nodes. From one client process 64
gets are in flight all the time, while one node

    stutters  its process is stopped for 100 ms, let go on for a moment, and so on;
    stops     its process is stopped for some seconds, as a machine that hangs.

Their p99 from the first second on is held against that of the seconds before. Then requests come
at a constant rate, and one node is killed and started again: a latency counts from the moment at
which the request was due.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import click
import trio

from bench.clusters import temporary_cluster
from bench.load import LAST_ANSWERS_S, Sample, latencies_between, open_loop, percentile
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.output import print_table
from dynamo_py.client.bucket import Bucket, Store
from dynamo_py.client.connecting import connect
from dynamo_py.errors import DynamoError
from dynamo_py.lifetimes import background
from studies.at_rest import demand_filled
from studies.bars import Bar, StudyFailed, directory_option, partitions_option, play, say
from studies.foreground import Foreground
from studies.stored_keys import BUCKET, key_of
from studies.windows import Window, p99_ms

NODES = 3
SLOW = 2
IN_FLIGHT = 64
P99_FACTOR_BAR = 3.0
P999_MS_BAR = 50.0
NOTICED_S = 1.0
"""The first moments do not count."""
STUTTER_S = 0.1
BREATH_S = 0.005
HEALTHY_S = 5.0
SETTLE_S = 5.0
"""Between two scenes, and before the first."""
KILLED_AT, STARTED_AT = 1 / 3, 1 / 2
"""Of the time that the open loop takes."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    keys: int
    value_bytes: int
    slow_s: float
    per_second: float
    open_s: float
    partitions: int
    directory: Path | None


@dataclass(slots=True)
class Gets:
    """A closed loop of gets."""

    bucket: Bucket
    keys: int
    samples: list[Sample] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)

    async def one_after_the_other(self, worker: int) -> None:
        """Until cancelled. Each worker, by its number, draws other keys."""
        generator = random.Random(worker)
        while True:
            began_s = trio.current_time()
            try:
                await self.bucket.get(key_of(generator.randrange(self.keys)))
            except DynamoError as error:
                self.failed[type(error).__name__] = self.failed.get(type(error).__name__, 0) + 1
                await trio.lowlevel.checkpoint()
            else:
                self.samples.append(Sample(began_s, trio.current_time() - began_s))


@dataclass(frozen=True, slots=True)
class Scene:
    """One way to be slow, and what was felt: 99th percentiles in milliseconds."""

    name: str
    healthy_ms: float
    slow_ms: float
    slowest_ms: float
    gets: int
    failed: int

    def bars(self) -> tuple[Bar, ...]:
        """What was promised."""
        return (
            Bar(f"p99, a node {self.name}", self.slow_ms, self.healthy_ms * P99_FACTOR_BAR, "ms"),
            Bar(f"gets that failed, a node {self.name}", self.failed, 0),
        )


# --- ways to be slow --------------------------------------------------------------------------


async def stutter(cluster: DevCluster, seconds: float) -> None:
    """Stop the slow node's process again and again."""
    pid = cluster.pid(SLOW)
    if pid is None:
        raise StudyFailed("the node has ended by itself")
    try:
        with trio.move_on_after(seconds):
            while True:
                os.kill(pid, signal.SIGSTOP)
                await trio.sleep(STUTTER_S)
                os.kill(pid, signal.SIGCONT)
                await trio.sleep(BREATH_S)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def stop(cluster: DevCluster, seconds: float) -> None:
    """Stop its process for so long."""
    await cluster.pause(SLOW)
    try:
        await trio.sleep(seconds)
    finally:
        with trio.CancelScope(shield=True):
            await cluster.resume(SLOW)


WAYS: dict[str, Callable[[DevCluster, float], Awaitable[None]]] = {
    "stutters": stutter,
    "is stopped": stop,
}

# --- a run ------------------------------------------------------------------------------------


@asynccontextmanager
async def _gets(store: Store, course: Course) -> AsyncIterator[Gets]:
    gets = Gets(store.bucket(BUCKET), course.keys)
    async with background() as nursery:
        for worker in range(IN_FLIGHT):
            nursery.start_soon(gets.one_after_the_other, worker)
        yield gets


async def _scene(name: str, cluster: DevCluster, store: Store, course: Course) -> Scene:
    say(f"{IN_FLIGHT} gets in flight; node {SLOW} {name}")
    async with _gets(store, course) as gets:
        await trio.sleep(SETTLE_S)
        healthy = Window(trio.current_time() - HEALTHY_S, trio.current_time())
        began_s = trio.current_time()
        await WAYS[name](cluster, course.slow_s)
        slow = Window(began_s + NOTICED_S, began_s + course.slow_s)
        await trio.sleep(SETTLE_S)  # Those that were stuck end, and count.
    return scene_of(name, gets, healthy, slow)


def scene_of(name: str, gets: Gets, healthy: Window, slow: Window) -> Scene:
    """What was felt in a healthy and in a slow window."""
    latencies = latencies_between(gets.samples, slow.begin_s, slow.end_s)
    return Scene(
        name,
        p99_ms(gets.samples, healthy),
        p99_ms(gets.samples, slow),
        latencies[-1] * 1000,
        len(latencies),
        sum(gets.failed.values()),
    )


async def _killed(cluster: DevCluster, store: Store, course: Course) -> tuple[Bar, ...]:
    say(f"{course.per_second:g} requests a second; node {SLOW} is killed and started again")
    foreground = Foreground(store.bucket(BUCKET), course.keys, course.value_bytes, random.Random(1))
    async with open_loop(foreground.ask, per_second=course.per_second) as load:
        await trio.sleep(SETTLE_S)
        begun_s = trio.current_time()
        await trio.sleep(course.open_s * KILLED_AT)
        await cluster.kill(SLOW)
        await trio.sleep(course.open_s * (STARTED_AT - KILLED_AT))
        await cluster.start(SLOW)
        await trio.sleep(max(0.0, begun_s + course.open_s - trio.current_time()))
        ended_s = trio.current_time()
        await trio.sleep(LAST_ANSWERS_S)
    latencies = latencies_between(load.samples, begun_s, ended_s)
    return (
        Bar("p99.9, a node killed", percentile(latencies, 99.9) * 1000, P999_MS_BAR, "ms"),
        Bar("requests that failed, a node killed", sum(load.errors.values()), 0),
    )


async def measure(course: Course) -> tuple[list[Scene], tuple[Bar, ...]]:
    """All scenes, on a cluster of their own."""
    async with (
        temporary_cluster(
            nodes=NODES, partitions=course.partitions, parent=course.directory
        ) as cluster,
        connect(*cluster.addresses) as store,
    ):
        await demand_filled(cluster, store, keys=course.keys, value_bytes=course.value_bytes)
        scenes = [await _scene(name, cluster, store, course) for name in WAYS]
        return scenes, await _killed(cluster, store, course)


# --- the program ------------------------------------------------------------------------------


async def _study(course: Course) -> Sequence[Bar]:
    scenes, killed = await measure(course)
    print_table(
        ("node 2", "healthy p99 ms", "p99 ms", "slowest ms", "gets", "failed"),
        [
            (
                scene.name,
                f"{scene.healthy_ms:.1f}",
                f"{scene.slow_ms:.1f}",
                f"{scene.slowest_ms:.0f}",
                f"{scene.gets:,}",
                str(scene.failed),
            )
            for scene in scenes
        ],
    )
    return [*(bar for scene in scenes for bar in scene.bars()), *killed]


@click.command()
@click.option("--keys", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--slow", "slow_s", type=click.FloatRange(min=2), default=10.0, show_default=True)
@click.option("--rate", type=click.FloatRange(min=1), default=500.0, show_default=True)
@click.option("--open", "open_s", type=click.FloatRange(min=5), default=60.0, show_default=True)
@partitions_option
@directory_option
def main(
    *,
    keys: int,
    value_bytes: int,
    slow_s: float,
    rate: float,
    open_s: float,
    partitions: int,
    directory: Path | None,
) -> None:
    """Slow one node down, stop it, kill it; say what clients felt."""
    course = Course(keys, value_bytes, slow_s, rate, open_s, partitions, directory)
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
