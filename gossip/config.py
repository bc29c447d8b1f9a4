"""The settings of the gossip protocol, validated once.

The defaults are for a LAN: three nodes notice within four seconds that one of them is dead.
Knows nothing of how the settings are used.
"""

from __future__ import annotations

from dataclasses import dataclass

from gossip.errors import GossipError


@dataclass(frozen=True, slots=True)
class GossipConfig:
    """What may be tuned. All nodes of a cluster should run with the same settings.

    Raises `GossipError` when a value is out of its range.
    """

    period_s: float = 0.5
    """Time between two probes, and the time a probe has in all. More saves traffic and notices
    failures later. 0.05 to 60; 0.5 on a LAN, 2 on a WAN."""

    ack_timeout_s: float = 0.2
    """How long a direct ping may take before others are asked to try. Above the slowest usual
    round trip; at most half of the period, so that the others' answers come in time."""

    helpers: int = 3
    """How many others are asked to ping a member that did not answer (k of the SWIM paper)."""

    suspicion_periods: float = 3.0
    """The shortest time from suspect to down, in periods, times log10 of the members (at least
    1). Less notices failures earlier and takes a slow node for dead more often. 1 to 20."""

    suspicion_factor: float = 3.0
    """The longest such time, as a multiple of the shortest. It holds while nobody confirms the
    suspicion (beta of the Lifeguard paper, which has 6). 1 to 20."""

    confirmations: int = 3
    """How many others must share a suspicion to bring its time down to the shortest (K)."""

    local_health_max: int = 4
    """How far our own bad health may stretch our timeouts: by 1 + this (S; 8 in the paper).
    More forgives more; less keeps the time to detect short. 0 turns it off."""

    gossip_interval_s: float = 0.1
    """Time between two rounds of rumours; nothing is sent while there is no news. 0.01 to 10."""

    gossip_fanout: int = 2
    """How many members each round of rumours goes to. 1 to 10."""

    retransmit_factor: float = 2.0
    """A rumour is told this many times log2(members + 1) (lambda of the SWIM paper). 1 to 10."""

    piggyback_bytes_max: int = 1400
    """How many bytes of rumours ride on one message (one bigger rumour still goes alone)."""

    queue_max: int = 4096
    """How many rumours wait at most; beyond it the most told one goes. The push-pull makes up."""

    sync_interval_s: float = 5.0
    """Time between two push-pulls with a random member, on average. 0.1 to 600."""

    reconnect_interval_s: float = 1.0
    """Time between two attempts to reach a down member or an unreached seed. 0.1 to 600."""

    stall_s: float = 0.5
    """A timer this late means that this very process stood still; nobody is blamed for it."""

    forget_after_s: float = 86_400.0
    """How long a member that is down or has left stays known."""

    members_max: int = 4096
    """How many members are known at most. Beyond it the oldest down or left one goes; when
    there is none, a new one is not taken up."""

    leave_s: float = 1.0
    """How long `Agent.leave` waits at most for the news to have been told."""

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if not low <= value <= high:
                raise GossipError(f"{name} is {value}; it must be from {low} to {high}")
        if self.ack_timeout_s > self.period_s / 2:
            raise GossipError(
                f"ack_timeout_s is {self.ack_timeout_s}; it must be at most half of period_s, "
                f"which is {self.period_s}"
            )


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("period_s", 0.05, 60),
    ("ack_timeout_s", 0.001, 30),
    ("helpers", 0, 10),
    ("suspicion_periods", 1, 20),
    ("suspicion_factor", 1, 20),
    # One less than `members.ACCUSERS_MAX`: the first accuser is no confirmation.
    ("confirmations", 0, 7),
    ("local_health_max", 0, 8),
    ("gossip_interval_s", 0.01, 10),
    ("gossip_fanout", 1, 10),
    ("retransmit_factor", 1, 10),
    ("piggyback_bytes_max", 128, 4096),
    ("queue_max", 16, 1_000_000),
    ("sync_interval_s", 0.1, 600),
    ("reconnect_interval_s", 0.1, 600),
    ("stall_s", 0.05, 60),
    ("forget_after_s", 1, 10_000_000),
    ("members_max", 2, 65_536),
    ("leave_s", 0, 60),
)
