"""What `studies.gossip_study` measures of a simulated cluster: three pure functions of a seed.

At rest: bytes, and who is wrongly suspected or declared down. A change: how long until all
know it. A death: how long until all know it. Each is measured in clusters of their own, which
begin settled and then run for `WARM_UP_S`, so that where messages are lost the usual rumours
are under way. Knows nothing of tables and pictures.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from gossip import Change, GossipConfig, MemberChanged, PayloadChanged, SetPayload, State
from studies.gossip_simulation import NEVER, Node, Simulation, node_id

PERIOD_S = 1.0
CONFIG = GossipConfig(period_s=PERIOD_S)
WARM_UP_S = 5.0
CHANGES_PER_CLUSTER = 10
KILLS_PER_CLUSTER_MAX = 10
PAUSE_S = 1.0
"""Between two changes, and between two deaths, and up to a period more."""
WITHIN_S = 120.0
"""What takes longer than that counts as never."""
TOPIC = 1
DATA = bytes(32)


@dataclass(frozen=True, slots=True)
class Rest:
    """A cluster in which nothing happens, but that messages are lost."""

    nodes: int
    loss: float
    seconds: float
    bytes_per_s: float
    """Sent by a node, on average."""
    bytes_per_s_busiest: float
    """Sent by the node that sent most."""
    messages_per_s: float
    suspicions: int
    """How often a live node was suspected by anybody: each of its incarnations counts once."""
    deaths: int
    """The same of live nodes that were declared down."""

    @property
    def node_hours(self) -> float:
        """How much was simulated."""
        return self.nodes * self.seconds / 3600


@dataclass(frozen=True, slots=True)
class Changes:
    """How many periods each of some changes took until all knew it, from the quickest on."""

    nodes: int
    loss: float
    periods: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Death:
    """How long after a node's death it was known, in seconds; infinity: not `WITHIN_S`."""

    suspected_s: float
    """That one other suspected it."""
    down_s: float
    """That one other had it down."""
    known_s: float
    """That all others had it down."""


@dataclass(frozen=True, slots=True)
class Deaths:
    """How long each of some deaths took to be known."""

    nodes: int
    loss: float
    found: tuple[Death, ...]


def at_rest(*, nodes: int, loss: float, seconds: float, seed: int) -> Rest:
    """One cluster that is left alone for so many virtual seconds."""
    false: dict[State, set[tuple[bytes, int]]] = {State.SUSPECT: set(), State.DOWN: set()}

    def observe(_when: float, _node: Node, change: Change) -> None:
        if isinstance(change, MemberChanged) and change.after is not None:
            seen = false.get(change.after.state)
            if seen is not None:
                seen.add((change.after.node, change.after.incarnation))

    cluster = _cluster(nodes, loss, seed)
    cluster.observer = observe
    bytes_before = {number: node.bytes_sent for number, node in cluster.nodes.items()}
    messages_before = cluster.messages_sent
    cluster.run_for(seconds)
    cluster.check()
    sent = [node.bytes_sent - bytes_before[number] for number, node in cluster.nodes.items()]
    return Rest(
        nodes=nodes,
        loss=loss,
        seconds=seconds,
        bytes_per_s=sum(sent) / nodes / seconds,
        bytes_per_s_busiest=max(sent) / seconds,
        messages_per_s=(cluster.messages_sent - messages_before) / nodes / seconds,
        suspicions=len(false[State.SUSPECT]),
        deaths=len(false[State.DOWN]),
    )


def changes(*, nodes: int, loss: float, runs: int, seed: int) -> Changes:
    """How many periods it took until all knew what a random node said.

    A run begins at a random moment of the period; some follow each other in one cluster.
    """
    periods: list[float] = []
    generator = random.Random(seed)
    while len(periods) < runs:
        cluster = _cluster(nodes, loss, generator.getrandbits(32))
        for version in range(min(CHANGES_PER_CLUSTER, runs - len(periods))):
            cluster.run_for(PAUSE_S + PERIOD_S * generator.random())
            periods.append(_change(cluster, generator.randrange(nodes), version) / PERIOD_S)
    return Changes(nodes, loss, tuple(sorted(periods)))


def _change(cluster: Simulation, teller: int, version: int) -> float:
    """One change, told by one node; how many seconds until all know it."""
    unaware = set(cluster.nodes) - {teller}

    def observe(_when: float, node: Node, change: Change) -> None:
        if isinstance(change, PayloadChanged) and change.version == version:
            unaware.discard(node.number)

    cluster.observer = observe
    cluster.step(teller, SetPayload(TOPIC, version, DATA))
    return cluster.run_while(lambda: bool(unaware), within_s=WITHIN_S)


def deaths(*, nodes: int, loss: float, runs: int, seed: int) -> Deaths:
    """How long it took until others knew that a random node had ended without a word.

    Some nodes die in one cluster, one after the other, where there are many.
    """
    found: list[Death] = []
    generator = random.Random(seed)
    kills = min(KILLS_PER_CLUSTER_MAX, max(1, nodes // 30))
    while len(found) < runs:
        cluster = _cluster(nodes, loss, generator.getrandbits(32))
        for victim in generator.sample(range(nodes), min(kills, runs - len(found))):
            cluster.run_for(PAUSE_S + PERIOD_S * generator.random())
            found.append(_death(cluster, victim))
    return Deaths(nodes, loss, tuple(found))


def _death(cluster: Simulation, victim: int) -> Death:
    """One node's death; how many seconds until the others know it."""
    begin = cluster.now
    first = {State.SUSPECT: NEVER, State.DOWN: NEVER}
    cluster.kill(victim)
    unaware = {node.number for node in cluster.running()}

    def observe(when: float, node: Node, change: Change) -> None:
        after = change.after if isinstance(change, MemberChanged) else None
        if after is not None and after.node == node_id(victim) and after.state in first:
            first[after.state] = min(first[after.state], when - begin)
            if after.state is State.DOWN:
                unaware.discard(node.number)

    cluster.observer = observe
    known_s = cluster.run_while(lambda: bool(unaware), within_s=WITHIN_S)
    return Death(first[State.SUSPECT], first[State.DOWN], known_s)


def _cluster(nodes: int, loss: float, seed: int) -> Simulation:
    cluster = Simulation(
        seed=seed,
        nodes=nodes,
        config=CONFIG,
        loss=loss,
        is_settled=True,
        observer=lambda _when, _node, _change: None,
    )
    cluster.run_for(WARM_UP_S)
    return cluster
