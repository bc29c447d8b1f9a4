"""The standard run: a cluster, clients with a mixed load, faults, healing, and a judgement.

Everything in it follows from its `StandardRun`. What is held against the promises of the store
is what the clients did and saw, and what is left in the end; of the nodes themselves only
their own `_check` is asked, at each fault and at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

import trio

from dynamo_py.coordinator.plan import majority
from dynamo_py.errors import InvalidRequest
from dynamo_py.lifetimes import in_parallel
from dynamo_py.testing.answering import AnswersSeen
from dynamo_py.testing.checkers import ALWAYS, WITHIN_BOUNDS
from dynamo_py.testing.checkers.ownership import check_ownership
from dynamo_py.testing.checkers.replicas import (
    check_no_hints_are_left,
    check_replicas_are_equal,
)
from dynamo_py.testing.faults import KINDS, Stage
from dynamo_py.testing.final_state import (
    FinalState,
    hints_of,
    ownership_of,
    replicas_of,
)
from dynamo_py.testing.holding import HeldAlways
from dynamo_py.testing.report import Report, StandardRun
from dynamo_py.testing.schedule import Schedule
from dynamo_py.testing.simulation import Simulation
from dynamo_py.testing.told import ToldOnly
from dynamo_py.testing.workloads import (
    Client,
    Statistics,
    Weighted,
    choose_workload,
    standard_mix,
)
from dynamo_py.testing.workloads.recording import Recording

BOUNDED = "bounded"
UNBOUNDED = "unbounded"
NONE = "none"

SETTLE_S = 6.0
"""After the last fault: as long as an operation that was begun before may still take."""
HEALED_S = 30.0
"""How long it may take after the last fault until nodes agree, and replicas are equal."""
LOOK_AGAIN_S = 0.5
WAITS_SHOWN_MAX = 5
FORGET_AFTER_S = 5.0
"""Much shorter than in production, so that much is forgotten in a minute."""
NOTICED_S = 3.0
"""How old what a disk is rolled back over is at least, where nothing is to be lost by it. What is
younger the node has not told the others yet, and they cannot miss it (docs/design/rollbacks.md)."""

REPLICAS = 3
PARTITIONS = 32
QUORUM = majority(REPLICAS)

FAULT_KINDS = tuple(KINDS)
"""What ``faults`` of a `StandardRun` may name."""


def run_standard(run: StandardRun) -> Report:
    """Carry out ``run``; raises a bug of a node's, and `InvalidRequest` for unknown faults."""
    kinds = _kinds(run.faults)
    sim = Simulation(
        seed=run.seed,
        nodes=run.nodes,
        replicas=REPLICAS,
        partitions=PARTITIONS,
        forget_after_s=FORGET_AFTER_S,
    )
    return sim.run(lambda _: _Course(sim, run, kinds).take())


def _kinds(faults: str) -> Sequence[str]:
    if faults == NONE:
        return ()
    if faults in (BOUNDED, UNBOUNDED):
        return FAULT_KINDS
    kinds = [kind.strip() for kind in faults.split(",")]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        choices = ", ".join((NONE, BOUNDED, UNBOUNDED, *FAULT_KINDS))
        raise InvalidRequest(f"there are no faults of the kind {unknown[0]!r}: choose {choices}")
    return kinds


@dataclass
class _Course:
    """One run on its way."""

    sim: Simulation
    run: StandardRun
    kinds: Sequence[str]
    timeline: list[tuple[float, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    mix: list[Weighted] = field(default_factory=list)
    told: ToldOnly = field(init=False)
    held: HeldAlways | None = None
    answers: AnswersSeen | None = None
    """Both where it can be said: while N stays as it is, and within bounds."""

    async def take(self) -> Report:
        self.mix = standard_mix()
        self.told = ToldOnly(self.sim)
        if self.run.nodes >= REPLICAS and self.run.faults != UNBOUNDED:
            puts = [each for _, each in self.mix if isinstance(each, Recording)]
            self.held = HeldAlways(self.sim, puts, partitions=PARTITIONS, quorum=QUORUM)
            self.answers = AnswersSeen(self.sim, puts, self.held, quorum=QUORUM)
        async with AsyncExitStack() as stack:
            clients = [await self._client(f"c{k}", stack) for k in range(1, self.run.clients + 1)]
            tasks = [partial(self._use, client) for client in clients]
            if self.kinds:
                tasks.append(partial(self._schedule().run, self.run.duration_s))
            left = iter(tasks)
            await in_parallel(lambda: next(left)(), len(tasks))
            await self._heal()
            await self._judge()
        return self._report()

    # --- clients --------------------------------------------------------------------------------

    async def _client(self, name: str, stack: AsyncExitStack) -> Client:
        store = await stack.enter_async_context(self.sim.client(name))
        generator = self.sim.streams.named(f"workload {name}")
        return Client(name, store, generator, trio.current_time)

    async def _use(self, client: Client) -> None:
        """Take steps at the client's share of the load, one at a time."""
        over_s = trio.current_time() + self.run.duration_s
        rate = self.run.operations_per_s / self.run.clients
        next_s = trio.current_time()
        while True:
            next_s = max(next_s + client.random.expovariate(rate), trio.current_time())
            if next_s >= over_s:
                return
            await trio.sleep_until(next_s)
            await choose_workload(self.mix, client.random).step(client)

    # --- faults -----------------------------------------------------------------------------------

    def _schedule(self) -> Schedule:
        generator = self.sim.streams.named("faults")
        hosts = self.sim.hosts
        if self.run.faults == UNBOUNDED:
            victims = hosts
        else:
            # An acknowledged write is on two disks, so that one may be lost; or there is but one.
            victims = [generator.choice(hosts)] if len(hosts) > 1 else []
        stage = Stage(
            self.sim,
            generator,
            tuple(f"c{k}" for k in range(1, self.run.clients + 1)),
            tuple(victims),
            lacking_s_min=NOTICED_S if self.run.faults != UNBOUNDED else 0.0,
        )
        return Schedule(stage, self.kinds, note=self._note)

    def _note(self, text: str) -> None:
        self.timeline.append((self.sim.now, text))
        self.sim.trace.note("fault", text)
        self._check_nodes()

    def _check_nodes(self) -> None:
        for node in self.sim.nodes.values():
            node._check()
        self.violations += self.told.check()[:WAITS_SHOWN_MAX]
        for looking in (self.held, self.answers):
            if looking is not None:
                self.violations += looking.check()[:WAITS_SHOWN_MAX]

    # --- the end ----------------------------------------------------------------------------------

    async def _heal(self) -> None:
        """End what is wrong, and wait until the cluster is itself again."""
        self.sim.heal()
        for host in self.sim.hosts:
            host.clock.correct()
            host.resume()
            host.start()
        over_s = trio.current_time() + HEALED_S
        await trio.sleep(SETTLE_S)
        # What is waited for is spread over all nodes, none of which knows of it.
        while (waits := self._waits()) and trio.current_time() < over_s:  # noqa: ASYNC110
            await trio.sleep(LOOK_AGAIN_S)
        late = f"{HEALED_S:g} s after the end of all faults"
        self.violations += [f"{late}: {what}" for what in waits[:WAITS_SHOWN_MAX]]
        self._check_nodes()

    def _waits(self) -> list[str]:
        """What is not yet as it should be once all faults are over."""
        if not self.sim.is_converged():
            return ["not converged"]
        members = (host.name for host in self.sim.hosts if host.is_running)
        wrong = check_ownership(ownership_of(self.sim), members)
        if wrong:
            return wrong
        if self.run.faults == UNBOUNDED:
            return []  # What was lost for good cannot be repaired.
        hints = check_no_hints_are_left(hints_of(self.sim))
        return hints + check_replicas_are_equal(replicas_of(self.sim))

    async def _judge(self) -> None:
        is_bounded = self.run.faults != UNBOUNDED
        checkers = WITHIN_BOUNDS if is_bounded else ALWAYS
        if not self.sim.nodes:
            self.violations.append("no node has come up again")
            return
        final = FinalState(self.sim)
        for _, workload in self.mix:
            await workload.read_final(final.read)
            self.violations += workload.violations(checkers, is_lossless=is_bounded)

    def _report(self) -> Report:
        total = sum((workload.statistics() for _, workload in self.mix), Statistics())
        self.sim.trace.note("end", total.operations, total.acknowledged, len(self.violations))
        return Report(
            run=self.run,
            timeline=tuple(self.timeline),
            violations=tuple(self.violations),
            operations=total.operations,
            acknowledged=total.acknowledged,
            unknown=total.unknown,
            not_applied=total.not_applied,
            degraded=total.degraded,
            virtual_s=self.sim.now,
            trace=self.sim.trace.digest,
            events=self.sim.trace.events,
        )
