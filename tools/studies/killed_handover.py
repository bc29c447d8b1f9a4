"""Givers and receivers of tokens are killed, at random moments of a transfer.

``python -m studies.killed_handover`` (in ``tools``) runs three real nodes. A fourth one joins
and leaves again, first undisturbed, then again and again: each time one node is killed with
``kill -9`` at a random moment of the time that tokens take to move undisturbed, and started
again at once. In turn it is one that gives and one that receives. Each transfer must be finished
all the same, and hardly send more than an undisturbed one. In the end every primary is asked
what it holds itself of each key, and all must hold the one value that was put.

What is sent is held against what has to be copied, as the plan tells it, since no two transfers
are about the same tokens.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import trio

from bench.clusters import temporary_cluster
from dyn_cli.cluster import CONVERGED, SYNC, TRANSFERS
from dyn_cli.dev.cluster import DevCluster
from dyn_cli.dev.processes import ProcessState
from dyn_cli.dev.state import NodeEntry
from dyn_cli.failures import Refused
from dyn_cli.output import print_table
from dynamo_py.client.bucket import Store
from dynamo_py.client.connecting import connect
from dynamo_py.errors import DynamoError
from studies.at_rest import demand_filled, demand_rest
from studies.bars import Bar, StudyFailed, directory_option, partitions_option, play, say
from studies.moved import Sent
from studies.stored_keys import Comparison, Values, compare_copies_at

NODES = 3
BYTES_FACTOR_BAR = 1.3
REST_S_MAX = 300.0
"""After this long nobody waits for a transfer to be finished any more."""
LOOK_AGAIN_S = 0.1
COMPARED_IN_FLIGHT = 32
SHOWN_MAX = 10
JOIN, LEAVE = "join", "leave"
GIVER, RECEIVER = "giver", "receiver"
UNDISTURBED = 2
"""Transfers in each direction that nobody is killed in."""


@dataclass(frozen=True, slots=True)
class Course:
    """How a run is to go."""

    keys: int
    value_bytes: int
    kills: int
    seed: int
    partitions: int
    directory: Path | None


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer, from the commit on."""

    direction: str
    moved_s: float
    """Until no token had to move any more."""
    rest_s: float
    """Until all was cleaned up, too, and all replicas were equal."""
    sent_bytes: int
    least_bytes: int
    killed: str = ""
    """Who was, and what it did in the transfer; empty: nobody."""
    killed_at_s: float = 0.0
    tokens_left: int = 0
    """How many had still to move then."""

    @property
    def factor(self) -> float:
        """How much was sent, of what had to be."""
        return self.sent_bytes / self.least_bytes


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a run."""

    undisturbed: tuple[Transfer, ...]
    disturbed: tuple[Transfer, ...]
    comparison: Comparison

    def extra(self, transfer: Transfer) -> float:
        """What a transfer has sent, of what an undisturbed one in its direction sends."""
        return transfer.factor / median(
            each.factor for each in self.undisturbed if each.direction == transfer.direction
        )

    def bars(self) -> tuple[Bar, ...]:
        """What was promised. That a transfer is not finished ends the study."""
        return (
            Bar(
                "bytes sent, of an undisturbed transfer",
                max(self.extra(each) for each in self.disturbed),
                BYTES_FACTOR_BAR,
            ),
            Bar("keys that differ", len(self.comparison.differing), 0),
            Bar("keys with a wrong value", len(self.comparison.wrong), 0),
        )


# --- a run ------------------------------------------------------------------------------------


async def measure(course: Course) -> Found:
    """One run, on a cluster of its own."""
    values = Values(course.value_bytes)
    say(f"starting {NODES} nodes")
    async with temporary_cluster(
        nodes=NODES, partitions=course.partitions, parent=course.directory
    ) as cluster:
        async with connect(*cluster.addresses) as store:
            await demand_filled(cluster, store, keys=course.keys, value_bytes=course.value_bytes)
            run = _Run(cluster, store, random.Random(course.seed))
            undisturbed = [
                await run.transfer(direction) for direction in (JOIN, LEAVE) * UNDISTURBED
            ]
            disturbed = [await run.disturbed(number, undisturbed) for number in range(course.kills)]
        say("comparing each primary's copies")
        comparison = await compare_copies_at(
            cluster.addresses, values, keys=course.keys, in_flight=COMPARED_IN_FLIGHT
        )
    return Found(tuple(undisturbed), tuple(disturbed), comparison)


@dataclass(slots=True)
class _Kill:
    """Somebody is to be killed; what was found then."""

    role: str
    after_s: float
    node: str = ""
    at_s: float = 0.0
    tokens_left: int = 0


class _Run:
    """The transfers of one run."""

    def __init__(self, cluster: DevCluster, store: Store, generator: random.Random) -> None:
        self._cluster = cluster
        self._store = store
        self._random = generator
        self._sent = Sent(cluster)
        self._fourth = cluster.nodes[-1]
        """The node that has joined last."""

    async def disturbed(self, number: int, undisturbed: Sequence[Transfer]) -> Transfer:
        """The transfer of that number, with its kill; both roles in both directions."""
        direction = (JOIN, LEAVE)[number % 2]
        role = (GIVER, RECEIVER, RECEIVER, GIVER)[number % 4]
        moved_s = median(each.moved_s for each in undisturbed if each.direction == direction)
        return await self.transfer(direction, _Kill(role, self._random.uniform(0.0, moved_s)))

    async def transfer(self, direction: str, kill: _Kill | None = None) -> Transfer:
        """One node joins, or leaves; raises `StudyFailed` where that is not finished."""
        admin = self._store.admin
        if direction == JOIN:
            self._fourth = await self._cluster.add(is_staged=True)
        else:
            await admin.leave(self._fourth.name, staged=True)
        await self._demand(CONVERGED)  # Else another node may be asked next, that knows nothing.
        plan, before_bytes = await admin.plan(), await self._sent.bytes()
        if not plan.bytes or plan.unsized:
            raise StudyFailed(f"nobody knows how much has to be copied: {plan}")
        began_s = trio.current_time()
        await admin.commit()
        async with self._sent.watched():
            if kill is not None:
                await trio.sleep_until(began_s + kill.after_s)
                await self._kill(direction, kill, began_s)
            moved_s = await self._wait_moved()
            await self._demand(TRANSFERS, CONVERGED)
            rest_s = await self._demand(SYNC)
        done = Transfer(
            direction,
            moved_s - began_s,
            rest_s - began_s,
            await self._sent.bytes() - before_bytes,
            plan.bytes,
            "" if kill is None else f"{kill.role} {kill.node}",
            0.0 if kill is None else kill.at_s,
            0 if kill is None else kill.tokens_left,
        )
        say(f"{direction}, {done.killed or 'nobody'} killed: {done.factor:.2f} of the least bytes")
        return done

    async def _kill(self, direction: str, kill: _Kill, began_s: float) -> None:
        node = self._victim(direction, kill.role)
        kill.node, kill.tokens_left = node.name, await self._tokens_left()
        await self._sent.bytes()  # What this process has sent it cannot tell later.
        kill.at_s = trio.current_time() - began_s
        try:
            await self._cluster.kill(node.number)
            await self._cluster.start(node.number)
        except Refused as error:
            is_gone = self._cluster.state(node.number) is ProcessState.STOPPED
            if direction != LEAVE or kill.role != GIVER or not is_gone:
                raise
            say(f"{node.name} had left already: {error}")

    def _victim(self, direction: str, role: str) -> NodeEntry:
        if (direction == JOIN) is (role == RECEIVER):
            return self._fourth
        return self._cluster.node(self._random.randint(1, NODES))

    async def _tokens_left(self) -> int:
        return len((await self._store.admin.plan(sized=False)).moves)

    async def _wait_moved(self) -> float:
        """When no token had to move any more."""
        with trio.move_on_after(REST_S_MAX):
            while True:
                try:
                    is_known = (await self._store.admin.status()).converged
                    if is_known and not await self._tokens_left():
                        return trio.current_time()
                except DynamoError as error:
                    if not error.retryable:
                        raise
                await trio.sleep(LOOK_AGAIN_S)
        raise StudyFailed(f"tokens have still to move after {REST_S_MAX:g} s")

    async def _demand(self, *conditions: str) -> float:
        return await demand_rest(
            self._cluster.addresses,
            conditions,
            within_s=REST_S_MAX,
            look_again_s=LOOK_AGAIN_S,
        )


# --- the program ------------------------------------------------------------------------------


async def _study(course: Course) -> tuple[Bar, ...]:
    found = await measure(course)
    click.echo(
        f"{course.keys:,} keys of {course.value_bytes:,} B, Q = {course.partitions};"
        f" {len(found.disturbed)} kills"
    )
    print_table(
        (
            "transfer",
            "killed",
            "at s",
            "tokens left",
            "moved s",
            "rest s",
            "MB",
            "of least",
            "extra",
        ),
        [_row(each, found.extra(each)) for each in (*found.undisturbed, *found.disturbed)],
    )
    under_way = sum(each.tokens_left > 0 for each in found.disturbed)
    click.echo(f"{under_way} of {len(found.disturbed)} kills while tokens had still to move")
    for line in [*found.comparison.differing, *found.comparison.wrong][:SHOWN_MAX]:
        click.echo(f"  {line}")
    return found.bars()


def _row(each: Transfer, extra: float) -> tuple[str, ...]:
    return (
        each.direction,
        each.killed or "nobody",
        f"{each.killed_at_s:.2f}" if each.killed else "",
        f"{each.tokens_left}" if each.killed else "",
        f"{each.moved_s:.1f}",
        f"{each.rest_s:.1f}",
        f"{each.sent_bytes / 1e6:.2f}",
        f"{each.factor:.2f}",
        f"{extra:.2f}",
    )


@click.command()
@click.option("--keys", type=click.IntRange(min=1), default=20_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=1), default=1024, show_default=True)
@click.option("--kills", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@partitions_option
@directory_option
def main(
    *,
    keys: int,
    value_bytes: int,
    kills: int,
    seed: int,
    partitions: int,
    directory: Path | None,
) -> None:
    """Kill nodes that give and that receive tokens; say what was sent, and whether all is there."""
    course = Course(keys, value_bytes, kills, seed, partitions, directory)
    raise SystemExit(play(lambda: _study(course)))


if __name__ == "__main__":
    main()
