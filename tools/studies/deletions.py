"""Deleted keys that are made again, thousands of times, while nodes fail and one is long away.

``python -m studies.deletions`` (in ``tools``) runs a simulated cluster that forgets deletes
after a second. Its clients go through cycles of put, get, delete and get, each on a key of its
own, in rounds, and each round has new keys. In a round one node is cut off, twenty times as long
as a delete is kept at least, with whatever it holds of keys as a primary or a fallback, and the
others split, stop and crash meanwhile. Then it comes back, and while the clients go on the
cluster forgets what was deleted. No delete may come undone by what the node brings back, and
nothing that was put after a delete may be lost.

Knows nothing of how deletes are forgotten.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import click
import trio

from dynamo_py.causality import decode_record
from dynamo_py.lifetimes import background
from dynamo_py.testing.checkers import WITHIN_BOUNDS
from dynamo_py.testing.checkers.replicas import (
    check_no_hints_are_left,
    check_replicas_are_equal,
)
from dynamo_py.testing.faults import Stage
from dynamo_py.testing.final_state import FinalState, hints_of, replicas_of
from dynamo_py.testing.history import Outcome
from dynamo_py.testing.schedule import Schedule
from dynamo_py.testing.simulation import Simulation
from dynamo_py.testing.workloads import Client, Statistics
from dynamo_py.testing.workloads.recreate import Recreate

CYCLES = 10_000
CLIENTS = 20
STEPS_PER_S = 4.0
"""Of each client, in virtual time."""
FORGET_AFTER_S = 1.0
LEFT_ALONE_S_MAX = 4.0
"""Some of the deleted keys are left alone for so long, and so are forgotten before the put."""
AWAY_S = 20.0
BACK_S = 10.0
"""How long nothing fails after that."""
KINDS = ("split", "crash", "pause", "isolation", "loss")
SETTLE_S = 6.0
"""As long as an operation that was begun before may still take."""
HEALED_S = 60.0
"""How long it may take in the end until replicas are equal and all deletes are forgotten."""
LOOK_S = 0.25
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it."""

    cycles: int
    """Deletes that were acknowledged."""
    keys: int
    forgotten: int
    """How often a key was, by nodes that lived on to say so."""
    trimmed: int
    """The same for keys of which just what was superseded was forgotten."""
    rounds: int
    operations: int
    acknowledged: int
    degraded: int
    virtual_s: float
    violations: tuple[str, ...]


def measure(*, cycles: int = CYCLES, seed: int = 1) -> Figures:
    """Go through at least so many cycles. A bug of a node's is raised."""
    sim = Simulation(seed=seed, nodes=5, forget_after_s=FORGET_AFTER_S)
    return sim.run(lambda _: _Course(sim, cycles).take())


@dataclass
class _Course:
    """One run on its way."""

    sim: Simulation
    wanted: int
    workloads: list[Recreate] = field(default_factory=list)
    forgotten: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    """By host and process: how many records it has dropped and trimmed."""
    violations: list[str] = field(default_factory=list)

    async def take(self) -> Figures:
        generator = self.sim.streams.named("faults")
        names = tuple(f"c{k}" for k in range(1, CLIENTS + 1))
        stage = Stage(self.sim, generator, names, ())
        async with AsyncExitStack() as stack:
            clients = [await self._client(name, stack) for name in names]
            async with background() as nursery:
                nursery.start_soon(self._watch)
                self._begin_workload()
                for client in clients:
                    nursery.start_soon(self._use, client)
                while self._cycles() < self.wanted:
                    await self._round(stage)
                    self._begin_workload()
            await self._heal()
            await self._judge()
        return self._figures()

    # --- clients --------------------------------------------------------------------------------

    async def _client(self, name: str, stack: AsyncExitStack) -> Client:
        store = await stack.enter_async_context(self.sim.client(name))
        return Client(name, store, self.sim.streams.named(f"workload {name}"), trio.current_time)

    def _begin_workload(self) -> None:
        name = f"deletions-{len(self.workloads)}"
        workload = Recreate(name, keys_count=CLIENTS, left_alone_s_max=LEFT_ALONE_S_MAX)
        self.workloads.append(workload)

    async def _use(self, client: Client) -> None:
        while True:
            await trio.sleep(client.random.expovariate(STEPS_PER_S))
            await self.workloads[-1].step(client)

    def _cycles(self) -> int:
        return sum(
            write.is_delete and write.outcome is Outcome.ACKNOWLEDGED
            for workload in self.workloads
            for write in workload.history.writes
        )

    # --- faults ---------------------------------------------------------------------------------

    async def _round(self, stage: Stage) -> None:
        away = stage.random.choice(stage.nodes)
        ended = self.sim.overlaps.block(pair for pair in stage.pairs if away in pair)
        self._note(f"away: {away}")
        await Schedule(stage, KINDS, note=self._note).run(AWAY_S)
        ended()
        self._note(f"back: {away}")
        await trio.sleep(BACK_S)

    def _note(self, text: str) -> None:
        self.sim.trace.note("fault", text)
        for node in self.sim.nodes.values():
            node._check()

    async def _watch(self) -> None:
        """Note how much each process has forgotten, while it lives."""
        while True:
            self._count_forgotten()
            await trio.sleep(LOOK_S)

    def _count_forgotten(self) -> None:
        for host in self.sim.hosts:
            if host.node is not None:
                forgetting = host.node.background.forgetting
                process = (host.name, host.boots)
                self.forgotten[process] = (forgetting.dropped, forgetting.trimmed)

    # --- the end --------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """Wait until the cluster is itself again, and has no tombstone left."""
        over_s = trio.current_time() + HEALED_S
        await trio.sleep(SETTLE_S)
        # What is waited for is spread over all nodes, none of which knows of it.
        while (waits := self._waits()) and trio.current_time() < over_s:  # noqa: ASYNC110
            await trio.sleep(LOOK_S)
        self.violations += [f"{HEALED_S:g} s after the end of all faults: {each}" for each in waits]
        self._count_forgotten()
        self._note("healed")

    def _waits(self) -> list[str]:
        if not self.sim.is_converged():
            return ["not converged"]
        waits = check_no_hints_are_left(hints_of(self.sim))
        waits += check_replicas_are_equal(replicas_of(self.sim))
        tombstones = self._tombstones()
        return [*waits, f"{tombstones} tombstones are left"] if tombstones else waits

    def _tombstones(self) -> int:
        """How many copies show no value, in all nodes together."""
        return sum(
            all(sibling.value is None for sibling in decode_record(record).siblings)
            for replicas in replicas_of(self.sim)
            for rows in replicas.held.values()
            for record in rows.values()
        )

    async def _judge(self) -> None:
        final = FinalState(self.sim)
        for workload in self.workloads:
            await workload.read_final(final.read)
            self.violations += workload.violations(WITHIN_BOUNDS, is_lossless=True)

    def _figures(self) -> Figures:
        total = sum((workload.statistics() for workload in self.workloads), Statistics())
        return Figures(
            cycles=self._cycles(),
            keys=sum(len({w.key for w in each.history.writes}) for each in self.workloads),
            forgotten=sum(dropped for dropped, _ in self.forgotten.values()),
            trimmed=sum(trimmed for _, trimmed in self.forgotten.values()),
            rounds=len(self.workloads) - 1,
            operations=total.operations,
            acknowledged=total.acknowledged,
            degraded=total.degraded,
            virtual_s=self.sim.now,
            violations=tuple(self.violations),
        )


@click.command()
@click.option("--cycles", type=click.IntRange(min=1), default=CYCLES, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(*, cycles: int, seed: int) -> None:
    """Delete keys and make them again, under faults; say what was lost, and what came back."""
    figures = measure(cycles=cycles, seed=seed)
    click.echo(
        f"{figures.cycles:,} cycles on {figures.keys:,} keys in {figures.rounds:,} rounds,"
        f" {figures.virtual_s:,.0f} virtual seconds; {figures.acknowledged:,} of"
        f" {figures.operations:,} operations acknowledged, {figures.degraded:,} of them degraded"
    )
    click.echo(f"{figures.forgotten:,} times a key was forgotten, {figures.trimmed:,} trimmed")
    click.echo(f"{len(figures.violations):,} violations")
    for line in figures.violations[:SHOWN_MAX]:
        click.echo(f"  {line}")
    raise SystemExit(bool(figures.violations))


if __name__ == "__main__":
    main()
