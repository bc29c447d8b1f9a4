"""Which replicas a read asks, and when it asks further ones: by latency, within a budget.

Knows nothing of tallies or of waiting: `dynamo_py.coordinator.read` does both, and passes the
time in. Replicas are asked in the order of the placement, so that the load stays spread; only
those that are slow (`dynamo_py.net.latencies`) are left to the last. One that stays silent
is *hedged*: after its p95 another primary is asked too, by one read in ten at most. After
longer than that it is *followed* whatever was spent, since it may never answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynamo_py.cluster.view import ClusterView, Route
from dynamo_py.net.latencies import Latencies

READS_PER_HEDGE = 10
"""A hedge for so many reads: 10 % extra requests."""
HEDGES_SAVED_MAX = 20
"""Hedges that may be sent at once after many reads without any."""
HEDGE_S_MIN = 0.01
"""No hedge before this: alarms are no finer."""
FOLLOW_FACTOR = 2.0
"""A silent replica is followed after its p95 so many times, or after ``hedge_s`` if that is
longer: where all are far away, every read would be followed otherwise."""


class HedgeBudget:
    """Saves a tenth of a hedge with each read."""

    def __init__(self) -> None:
        self._saved = HEDGES_SAVED_MAX * READS_PER_HEDGE
        """In reads."""

    def note_read(self) -> None:
        """One more read has begun."""
        if self._saved < HEDGES_SAVED_MAX * READS_PER_HEDGE:
            self._saved += 1

    def take(self) -> bool:
        """Whether there is enough for one more hedge; it is spent then."""
        if self._saved < READS_PER_HEDGE:
            return False
        self._saved -= READS_PER_HEDGE
        return True

    def _check(self) -> None:
        assert 0 <= self._saved <= HEDGES_SAVED_MAX * READS_PER_HEDGE


class Hedging:
    """The choice of replicas of one node's reads."""

    def __init__(self, hedge_s: float) -> None:
        """``hedge_s``: how long a replica of which nothing is known is waited for."""
        self._hedge_s = hedge_s
        self._budget = HedgeBudget()
        self.latencies: Latencies[bytes] = Latencies()
        """Of the other nodes, as replicas, by node id."""
        self._hedged = self._refused = self._followed = self._avoided = self._probes = 0

    def order(self, view: ClusterView, route: Route, count: int, now: float) -> Sequence[bytes]:
        """The primaries, in the order to be asked: this node, the others, slow ones, down ones.

        ``route.nearest_first`` itself where none of its first ``count`` is passed over.
        """
        self._budget.note_read()
        latencies, nearest_first = self.latencies, route.nearest_first
        for node in nearest_first[:count]:
            if latencies.is_suspect(node, now):
                break
        else:
            return nearest_first
        slow = self._slow(view, nearest_first, now)
        if slow.isdisjoint(nearest_first[:count]):
            return nearest_first
        self._avoided += 1
        return sorted(nearest_first, key=lambda node: (node not in view.up, node in slow))

    def _slow(self, view: ClusterView, nodes: Iterable[bytes], now: float) -> frozenset[bytes]:
        others = [node for node in nodes if node != view.me and node in view.up]
        return frozenset(self.latencies.slow(others, now))

    def to_probe(self, usual: Sequence[bytes], unasked: Sequence[bytes], now: float) -> list[bytes]:
        """Those of ``unasked`` that would be asked in the ``usual`` order, and are to be probed."""
        usually = usual[: len(usual) - len(unasked)]
        due = [n for n in unasked if n in usually and self.latencies.probe(n, now)]
        self._probes += len(due)
        return due

    def waits_s(self, asked: Iterable[bytes]) -> tuple[float, float]:
        """How long to wait for ``asked`` before a hedge, and before they are followed."""
        p95_s = self.latencies.p95_s(asked)
        if not p95_s:
            return self._hedge_s, self._hedge_s
        follow_s = max(self._hedge_s, p95_s * FOLLOW_FACTOR)
        return max(HEDGE_S_MIN, p95_s), follow_s

    def may_hedge(
        self, view: ClusterView, primaries: Iterable[bytes], node: bytes, now: float
    ) -> bool:
        """Whether ``node`` may be asked as a hedge; it is counted then.

        One that is down or slow itself would hardly answer before the one it is to replace.
        """
        if node not in view.up or node in self._slow(view, primaries, now):
            return False
        allowed = self._budget.take()
        self._hedged += allowed
        self._refused += not allowed
        return allowed

    def note_followed(self) -> None:
        """A further replica is asked whatever the budget; it is spent all the same."""
        self._budget.take()
        self._followed += 1

    def figures(self) -> dict[str, float]:
        """Figures by metric name."""
        return {
            "reads_hedged_total": self._hedged,
            "reads_not_hedged_total": self._refused,
            "reads_followed_total": self._followed,
            "reads_around_slow_total": self._avoided,
            "slow_probes_total": self._probes,
        }

    def _check(self) -> None:
        self._budget._check()
        self.latencies._check()
