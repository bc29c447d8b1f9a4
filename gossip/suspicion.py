"""How long a suspicion lasts, and how far we may trust our own: Lifeguard's two ideas.

1. A suspicion that nobody shares lasts long; each independent confirmation shortens it. A
   node that is slow itself accuses many, and finds nobody who agrees.
2. A node that sees signs of its own bad health (probes unanswered, `Nack`s that it should
   have got and did not, suspicions of itself) is slower to blame others.

Knows nothing of members or messages; times are passed in.

Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate
Failure Detection" (DSN-W 2018), sections IV.A to IV.C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gossip.config import GossipConfig


def suspicion_timeout(
    config: GossipConfig, *, members: int, confirmations: int, confirmers: int
) -> float:
    """Seconds from suspect to down.

    ``members`` take part in all; ``confirmers`` of them are alive and neither we nor the
    suspect, and could confirm; ``confirmations`` of these did. From the longest time down to
    the shortest by the logarithm, so that the first confirmation counts the most. With nobody
    there to confirm, as with two members, it is the shortest at once.

    >>> config = GossipConfig()
    >>> suspicion_timeout(config, members=2, confirmations=0, confirmers=0)
    1.5
    >>> suspicion_timeout(config, members=10, confirmations=0, confirmers=8)
    4.5
    >>> suspicion_timeout(config, members=10, confirmations=1, confirmers=8)
    3.0
    """
    shortest = config.suspicion_periods * config.period_s * max(1.0, math.log10(max(1, members)))
    expected = min(config.confirmations, confirmers)
    if confirmations >= expected:
        return shortest
    longest = shortest * config.suspicion_factor
    return longest - (longest - shortest) * math.log(confirmations + 1) / math.log(expected + 1)


@dataclass(slots=True)
class Suspicion:
    """One suspected member: since when, and who found it silent."""

    started_at: float
    accusers: list[bytes] = field(default_factory=list)

    def confirm(self, accuser: bytes, accusers_max: int) -> bool:
        """Whether this accuser is news."""
        if accuser in self.accusers or len(self.accusers) >= accusers_max:
            return False
        self.accusers.append(accuser)
        return True

    def deadline(self, config: GossipConfig, *, members: int, confirmers: int) -> float:
        """When the member is declared down, as things are now."""
        return self.started_at + suspicion_timeout(
            config,
            members=members,
            confirmations=max(0, len(self.accusers) - 1),
            confirmers=confirmers,
        )


class LocalHealth:
    """Lifeguard's local health multiplier: 1 when all is well, up to 1 + ``score_max``."""

    def __init__(self, score_max: int) -> None:
        self._score_max = score_max
        self._score = 0

    @property
    def multiplier(self) -> int:
        """By how much our own timeouts are stretched."""
        return 1 + self._score

    def worse(self, by: int = 1) -> None:
        """A sign that we are slow or cut off ourselves."""
        self._score = min(self._score_max, self._score + by)

    def better(self) -> None:
        """A probe of ours was answered in time."""
        self._score = max(0, self._score - 1)
