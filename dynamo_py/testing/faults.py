"""The kinds of faults: what each does to a simulated cluster, and how it is undone.

Each kind is a function of a `Stage`: it begins the fault and returns what it did, in words, and
how it ends; None where it cannot be now (a node that is down cannot be paused). Faults may
overlap, on one node too, so each ends only what it began.

Knows nothing of when faults happen (`dynamo_py.testing.schedule`), and nothing of the nodes.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import trio

from dynamo_py.client.admin import Admin
from dynamo_py.errors import DynamoError
from dynamo_py.testing.hosts import Host
from dynamo_py.testing.simulation import Simulation

NODES_MAX = 6
"""As long as there are so many, those that are about to go counted, no other one joins."""
NODES_MIN = 4
"""So many stay: one more than replicas, so that there are fallbacks."""
ORDER_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that has begun."""

    text: str
    end: Callable[[], None]
    ended: str = "over"
    """What its end is called; nothing where it does not end by itself."""


def _nothing_is_started(task: Callable[[], Awaitable[None]]) -> None:
    raise AssertionError("orders are given while a schedule runs")


@dataclass(frozen=True, slots=True)
class Stage:
    """Where faults happen: the cluster, and what they are drawn by."""

    sim: Simulation
    random: random.Random
    clients: tuple[str, ...]
    """The hosts of clients: the network splits for them too."""
    victims: tuple[Host, ...]
    """Whose disks may be destroyed: fewer than DW, where nothing is to be lost by it."""
    lacking_s_min: float = 0.0
    """For how long a copy must have lacked something before a disk is rolled back to it."""
    start_soon: Callable[[Callable[[], Awaitable[None]]], None] = _nothing_is_started
    """Runs a task for as long as faults happen."""
    going: list[str] = field(default_factory=list)
    """The hosts whose nodes were told to leave, or declared dead, by name."""

    @property
    def hosts(self) -> list[Host]:
        """The machines whose nodes are not gone for good."""
        return [host for host in self.sim.hosts if not host.is_retired]

    @property
    def staying(self) -> list[Host]:
        """Those of them that nobody has sent away yet."""
        return [host for host in self.hosts if host.name not in self.going]

    @property
    def nodes(self) -> list[str]:
        """The hosts of nodes."""
        return [host.name for host in self.hosts]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All links, each in both directions."""
        places = [*self.nodes, *self.clients]
        return [(one, two) for one in places for two in places if one != two]

    def running(self, hosts: Iterable[Host] | None = None) -> Host | None:
        """One of those with a process, if there is any."""
        among = [host for host in (self.hosts if hosts is None else hosts) if host.is_running]
        return self.random.choice(among) if among else None

    def block(self, pairs: Iterable[tuple[str, str]], text: str) -> Fault:
        """A fault that lets nothing through from each first to each second."""
        return Fault(text, self.sim.overlaps.block(pairs), "healed")

    def crash(self, host: Host) -> tuple[str, Callable[[], None]]:
        """End its process in one of the ways there are; in words, and how it starts again."""
        lose: Literal["all", "some"] = "all" if self.random.random() < 0.5 else "some"
        silently = self.random.random() < 0.3
        host.crash(lose=lose, silently=silently)
        how = "power lost" if silently else "process ended"
        return f"{host.name} ({how}, {lose} that was not synced is gone)", host.start

    def give_up(self, host: Host) -> None:
        """Its node is to be declared dead, and its disk is lost."""
        self.going.append(host.name)
        host.is_given_up = True

    def order(self, call: Callable[[Admin], Awaitable[object]]) -> None:
        """Have an operator give an order, again and again until it is accepted.

        One is refused for a while where it would lose data, and for good where it makes no sense.
        """

        async def operate() -> None:
            while True:
                try:
                    await call(self.sim.store.admin)
                    return
                except DynamoError as error:
                    self.sim.trace.note("order", error.message)
                await trio.sleep(ORDER_AGAIN_S)

        self.start_soon(operate)

    @staticmethod
    def ended_with_process(host: Host, end: Callable[[], None]) -> Callable[[], None]:
        """``end``, but only as long as the host has the process that it has now.

        A crash ends what was wrong with the process, and what is wrong with the next one is
        another fault's.
        """
        boots = host.boots

        def end_if_it_lives() -> None:
            if host.is_running and host.boots == boots:
                end()

        return end_if_it_lives


Kind = Callable[[Stage], Fault | None]


# --- the network --------------------------------------------------------------------------------


def split(stage: Stage) -> Fault | None:
    """Two sides that cannot reach each other; each client is on one of them."""
    nodes = stage.nodes
    if len(nodes) < 2:
        return None
    left = set(stage.random.sample(nodes, stage.random.randint(1, len(nodes) - 1)))
    left |= {client for client in stage.clients if stage.random.random() < 0.5}
    pairs = [(one, two) for one, two in stage.pairs if (one in left) != (two in left)]
    sides = [[name for name in nodes if (name in left) is is_left] for is_left in (True, False)]
    return stage.block(pairs, f"split: {' '.join(sides[0])} | {' '.join(sides[1])}")


def one_way(stage: Stage) -> Fault | None:
    """Nothing gets from one node to some others; the way back is open."""
    if len(stage.nodes) < 2:
        return None
    source = stage.random.choice(stage.nodes)
    others = [name for name in stage.nodes if name != source]
    targets = sorted(stage.random.sample(others, stage.random.randint(1, len(others))))
    text = f"one way: {source} does not reach {' '.join(targets)}"
    return stage.block([(source, target) for target in targets], text)


def isolation(stage: Stage) -> Fault:
    """One node reaches nobody, and nobody reaches it."""
    lonely = stage.random.choice(stage.nodes)
    return stage.block([pair for pair in stage.pairs if lonely in pair], f"isolated: {lonely}")


def ring_of_majorities(stage: Stage) -> Fault | None:
    """Each node reaches a majority, and each another one: of three nodes that would be all."""
    names = stage.random.sample(stage.nodes, len(stage.nodes))
    count = len(names)
    if count < 4:
        return None
    reach = (count // 2 + 1) // 2
    """How far to either side on the circle: a majority, with itself."""

    def distance(one: str, two: str) -> int:
        steps = abs(names.index(one) - names.index(two))
        return min(steps, count - steps)

    pairs = [(a, b) for a in names for b in names if distance(a, b) > reach]
    return stage.block(pairs, f"ring of majorities: {' '.join(names)}")


def loss(stage: Stage) -> Fault:
    """Some of what is sent is lost on the way, and sent again later."""
    share = stage.random.choice((0.01, 0.05, 0.2))
    return Fault(f"loss: {share:.0%} of what is sent", stage.sim.overlaps.lose(stage.pairs, share))


def delay(stage: Stage) -> Fault:
    """Every link takes longer, each by its own time: what is sent first need not be first."""
    limit_s = stage.random.choice((0.01, 0.1, 0.6))
    delays = {pair: stage.random.uniform(0.0, limit_s) for pair in stage.pairs}
    return Fault(f"delay: up to {limit_s * 1000:.0f} ms a link", stage.sim.overlaps.slow(delays))


# --- processes ----------------------------------------------------------------------------------


def slow_disk(stage: Stage) -> Fault:
    """One node's disk is slow."""
    host = stage.random.choice(stage.hosts)
    delay_s = stage.random.choice((0.02, 0.2, 1.0))
    host.disk_delays_s.append(delay_s)
    text = f"slow disk: {host.name}, {delay_s * 1000:.0f} ms a commit"
    return Fault(text, lambda: host.disk_delays_s.remove(delay_s))


def pause(stage: Stage) -> Fault | None:
    """One node's process is stopped for a while, as by SIGSTOP."""
    host = stage.running()
    if host is None or host.is_paused:
        return None
    host.pause()
    return Fault(f"pause: {host.name}", stage.ended_with_process(host, host.resume), "resumed")


def crash(stage: Stage) -> Fault | None:
    """One node ends at once, and is started again later."""
    host = stage.running()
    if host is None:
        return None
    text, start = stage.crash(host)
    return Fault(f"crash: {text}", start, "started")


# --- disks --------------------------------------------------------------------------------------


def full_disk(stage: Stage) -> Fault | None:
    """No room on one disk."""
    host = stage.random.choice(stage.hosts)
    if host.disk.full:
        return None
    host.disk.full = True

    def end() -> None:
        host.disk.full = False

    return Fault(f"disk full: {host.name}", end)


def failed_sync(stage: Stage) -> Fault | None:
    """One fsync fails; the node refuses writes until it is started again."""
    host = stage.running()
    if host is None:
        return None
    host.disk.fail_next_sync()

    def restart() -> None:
        host.crash()
        host.start()

    end = stage.ended_with_process(host, restart)
    return Fault(f"failed fsync: {host.name}", end, "started again")


def wipe(stage: Stage) -> Fault | None:
    """One node loses its disk, and comes back on an empty one."""
    host = stage.running(stage.victims)
    if host is None:
        return None
    text, start = stage.crash(host)
    host.disk.wipe()
    return Fault(f"wipe: {text}", start, "started")


def rollback(stage: Stage) -> Fault | None:
    """One node comes back on an older copy of its disk."""
    host = stage.running(stage.victims)
    since_s = stage.sim.now - stage.lacking_s_min
    copy = None if host is None else host.copy_lacking_since(since_s)
    if host is None or copy is None:
        return None
    text, start = stage.crash(host)
    host.roll_back(copy)
    age_s = stage.sim.now - copy.taken_s
    return Fault(f"rolled back by {age_s:.1f} s: {text}", start, "started")


def rot(stage: Stage) -> Fault | None:
    """A row on one disk rots."""
    host = stage.running(stage.victims)
    row = None if host is None else host.rot(stage.random)
    if host is None or row is None:
        return None
    space, partition, key = row
    text = f"rot: {host.name}, {space.name.lower()} {partition} {key!r}"
    return Fault(text, _leave_it, ended="")


# --- clocks -------------------------------------------------------------------------------------


def clock_jump(stage: Stage) -> Fault:
    """One wall clock jumps, either way."""
    host = stage.random.choice(stage.hosts)
    seconds = stage.random.choice((-1, 1)) * stage.random.choice((0.05, 1.0, 30.0, 3600.0))
    host.clock.jump(seconds)
    text = f"clock jump: {host.name} by {seconds:+g} s"
    return Fault(text, lambda: host.clock.jump(-seconds), "corrected")


def clock_drift(stage: Stage) -> Fault | None:
    """One clock runs too fast or too slow."""
    host = stage.random.choice(stage.hosts)
    rate = stage.random.choice((0.95, 0.999, 1.001, 1.05))
    if host.clock.is_drifting:
        return None
    host.clock.drift(rate)
    return Fault(f"clock drift: {host.name} at {rate:g}", host.clock.end_drift, "corrected")


# --- members ------------------------------------------------------------------------------------


def join(stage: Stage) -> Fault | None:
    """Another node joins, and is handed tokens over."""
    if len(stage.hosts) >= NODES_MAX:
        return None
    return Fault(f"join: n{stage.sim.add()}", _leave_it, ended="")


def leave(stage: Stage) -> Fault | None:
    """A node is told to leave: it hands over all that it has, and ends."""
    among = [host for host in stage.staying if host not in stage.victims]
    if len(stage.staying) <= NODES_MIN or len(among) < 2:
        return None
    name = stage.random.choice(among).name
    stage.going.append(name)
    stage.order(lambda admin: admin.leave(name))
    return Fault(f"leave: {name}", _leave_it, ended="")


def remove(stage: Stage) -> Fault | None:
    """A node is lost for good, and removed. It comes back later, and is to be turned away."""
    host = stage.running(host for host in stage.victims if host in stage.staying)
    if host is None or len(stage.staying) <= NODES_MIN:
        return None
    stage.give_up(host)
    text, start = stage.crash(host)
    stage.order(lambda admin: admin.remove(host.name))
    return Fault(f"remove: {text}", start, "started all the same")


def replace_node(stage: Stage) -> Fault | None:
    """A node is lost for good, and another one takes its place."""
    host = stage.running(host for host in stage.victims if host in stage.staying)
    if host is None:
        return None
    stage.give_up(host)
    text, start = stage.crash(host)
    successor = f"n{stage.sim.add(is_staged=True)}"
    stage.order(lambda admin: admin.replace(host.name, successor))
    return Fault(f"replace, by {successor}: {text}", start, "started all the same")


def _leave_it() -> None:
    """What is rotten stays so until it is written again; who has joined stays."""


KINDS: Mapping[str, Kind] = {
    "split": split,
    "one-way": one_way,
    "isolation": isolation,
    "majorities": ring_of_majorities,
    "loss": loss,
    "delay": delay,
    "slow": slow_disk,
    "pause": pause,
    "crash": crash,
    "full": full_disk,
    "sync": failed_sync,
    "wipe": wipe,
    "rollback": rollback,
    "rot": rot,
    "jump": clock_jump,
    "drift": clock_drift,
    "join": join,
    "leave": leave,
    "remove": remove,
    "replace": replace_node,
}
"""All kinds, by the names under which they can be asked for."""
