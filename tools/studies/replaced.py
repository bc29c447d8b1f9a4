"""A dead node is replaced by a new one, and everything has all its replicas again.

``python -m studies.replaced`` (in ``tools``) fills real nodes, kills one of them, starts a new
one that waits, and has it take the dead one's place. Judged is the time from the command until
``dyn-cli check`` says that all replicas are equal, and that another node might be stopped: no
copy is incomplete. Then each primary of each key is asked what it holds itself, and all must
hold the one value that was put.

All nodes share this machine's cores. Nobody asks them anything meanwhile but this program.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import click
import trio

from bench.clusters import temporary_cluster
from dyn_cli.cluster import CONVERGED, TRANSFERS
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.failures import Status
from dynamo_py.client.bucket import Store
from dynamo_py.client.connecting import connect
from studies.at_rest import demand_filled, demand_rest, run_command
from studies.bars import Bar, StudyFailed, directory_option, partitions_option, play, say
from studies.moved import Sent
from studies.stored_keys import Comparison, Values, compare_copies_at

CHECKED_S_BAR = 120.0
CHECKED_S_MAX = 600.0
"""After this long nobody waits for it any more."""
DOWN_S_MAX = 30.0
LOOK_AGAIN_S = 0.2
COMPARED_IN_FLIGHT = 64
SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    keys: int
    value_bytes: int
    nodes: int
    partitions: int
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Found:
    """What came of it."""

    moved_s: float
    """From the command until all transfers were through."""
    checked_s: float
    """From the command until the check was passed; infinite: it was not."""
    said: str
    """The last line of the check."""
    sent_bytes: int
    comparison: Comparison

    def bars(self) -> tuple[Bar, ...]:
        """What was promised."""
        return (
            Bar("replace until check is passed", self.checked_s, CHECKED_S_BAR, "s"),
            Bar("keys that differ", len(self.comparison.differing), 0),
            Bar("keys with a wrong value", len(self.comparison.wrong), 0),
        )


async def measure(course: Course) -> Found:
    """One run, on a cluster of its own."""
    values = Values(course.value_bytes)
    say(f"starting {course.nodes} nodes")
    async with temporary_cluster(
        nodes=course.nodes, partitions=course.partitions, parent=course.directory
    ) as cluster:
        async with connect(*cluster.addresses) as store:
            await demand_filled(cluster, store, keys=course.keys, value_bytes=course.value_bytes)
            dead = cluster.node(course.nodes)
            await cluster.kill(dead.number)
            new = await cluster.add(is_staged=True)
            await _wait_down(store, dead.name)
            sent = Sent(cluster)
            before_bytes, began_s = await sent.bytes(), trio.current_time()
            await store.admin.replace(dead.name, new.name)
            say(f"{new.name} takes the place of {dead.name}")
            moved_s = await demand_rest(
                cluster.addresses,
                (TRANSFERS, CONVERGED),
                within_s=CHECKED_S_MAX,
                look_again_s=LOOK_AGAIN_S,
            )
            passed, said = await _check(cluster)
            checked_s = trio.current_time() - began_s if passed else math.inf
            sent_bytes = await sent.bytes() - before_bytes
        say(f"checked after {checked_s:.1f} s; comparing each primary's copies")
        comparison = await compare_copies_at(
            cluster.addresses, values, keys=course.keys, in_flight=COMPARED_IN_FLIGHT
        )
    return Found(moved_s - began_s, checked_s, said, sent_bytes, comparison)


async def _wait_down(store: Store, name: str) -> None:
    """Until the nodes believe that it is down: before, they refuse to replace it."""
    with trio.move_on_after(DOWN_S_MAX):
        while True:
            states = {node.name: node.state for node in (await store.admin.status()).nodes}
            if states[name] == "down":
                return
            await trio.sleep(LOOK_AGAIN_S)
    raise StudyFailed(f"{name} was killed, and is not found down after {DOWN_S_MAX:g} s")


async def _check(cluster: DevCluster) -> tuple[bool, str]:
    """Whether replicas are equal and complete, and what was said of it."""
    done = await run_command(cluster, "check", cluster.node(1).name, within_s=CHECKED_S_MAX)
    if done.status not in (Status.DONE, Status.ANSWER_IS_NO):
        raise StudyFailed(f"check ended with {done.status}: {done.last}")
    return done.status == Status.DONE, done.last


async def _study(course: Course) -> tuple[Bar, ...]:
    found = await measure(course)
    click.echo(
        f"{course.keys:,} keys of {course.value_bytes:,} B on {course.nodes} nodes, Q ="
        f" {course.partitions}"
    )
    click.echo(f"transfers     {found.moved_s:.1f} s, {found.sent_bytes / 1e6:.1f} MB")
    click.echo(f"check         {found.said}")
    comparison = found.comparison
    click.echo(f"comparison    {comparison.copies:,} copies of {comparison.keys:,} keys")
    for line in [*comparison.differing, *comparison.wrong][:SHOWN_MAX]:
        click.echo(f"  {line}")
    return found.bars()


@click.command()
@click.option("--keys", type=click.IntRange(min=1), default=100_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option("--nodes", type=click.IntRange(min=3), default=3, show_default=True)
@partitions_option
@directory_option
def main(
    *, keys: int, value_bytes: int, nodes: int, partitions: int, directory: Path | None
) -> None:
    """Replace a dead node; say how long it takes until everything has all its replicas."""
    course = Course(keys, value_bytes, nodes, partitions, directory)
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
