"""The figures of one node's protocol. Holds no logic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Counters:
    """What happened since the start."""

    sent: int = 0
    received: int = 0
    other_cluster: int = 0
    from_self: int = 0
    misdirected: int = 0
    late_acks: int = 0
    relays_refused: int = 0
    probes: int = 0
    probes_failed: int = 0
    syncs: int = 0
    stalls: int = 0


@dataclass(frozen=True, slots=True)
class SwimStatistics:
    """How the protocol stands; counts are since the start."""

    alive: int
    suspect: int
    down: int
    left: int
    incarnation: int
    local_health: int
    rumours_waiting: int
    rumours_dropped: int
    probes_waiting: int
    relays_waiting: int
    refutations: int
    not_admitted: int
    sent: int
    received: int
    other_cluster: int
    from_self: int
    misdirected: int
    late_acks: int
    relays_refused: int
    probes: int
    probes_failed: int
    syncs: int
    stalls: int
