"""How long others take to answer: who is slow now, and when to stop waiting for one.

Pure: knows nothing of what is asked, nor of clocks; the moments are passed in, in seconds. Of
each peer it keeps a few numbers, and each request costs it O(1):

    latency     smoothed over time: the mean of about the last `SMOOTHING_S`
    silence     how long a peer with open requests has answered none of them
    p95         of about its last hundreds of answers

A peer is expected to take its latency, or its silence where that is longer: so one that has
stopped is known by the requests that wait for it, long before any of them is given up. It is
*slow* where that is more than `SLOW_FACTOR` times, and `SLOW_S` more than, the best of those
who could be asked instead. Who asks nobody slow learns no more about them: `probe` says when
to ask one again.

One late answer among thousands changes a mean hardly at all, however late it is. A latency
that follows the worst answer at once (Finagle's "peak EWMA") would have every node that once
stopped for some milliseconds left alone for a while.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Generic, TypeVar

SLOW_FACTOR = 3.0
SLOW_S = 0.03
"""Less than this above the best is not worth another order. A busy process pauses for so long,
and who were passed over for that would leave their load to the others, until those pause."""
SMOOTHING_S = 0.1
SHARE_MAX = 0.5
"""The most that one answer changes of the latency. A peer that was slow must so have answered
some probes in time, since one may just have met it in a moment between two stops."""
LATENCY_S_MAX = 0.25
"""Slower is no worse; from here some five good answers lead back."""
STALE_S = 10.0
"""What was measured so long ago says nothing any more."""
PROBE_S = 0.25
"""A slow peer is asked again this often."""
PEERS_MAX = 4096

P95_UP = 1.0475
P95_DOWN = 0.9975
"""With 5 % of the answers above it and 95 % below it, the estimate stays where it is."""
P95_S_MIN = 0.0001
P95_S_MAX = 10.0
P95_S_FIRST = 0.05

Name = TypeVar("Name", bound=Hashable)


class _Peer:
    """What is known of one peer."""

    __slots__ = ("is_known", "latency_s", "measured_s", "open", "p95_s", "probe_s", "silent_s")

    def __init__(self) -> None:
        self.is_known = False
        self.latency_s = 0.0
        self.measured_s = 0.0
        """When the latency was measured last."""
        self.p95_s = P95_S_FIRST
        self.open = 0
        self.silent_s = 0.0
        """Since when none of the open requests was answered."""
        self.probe_s = 0.0
        """When it may be asked again although it is slow."""

    def expected_s(self, now: float) -> float:
        """What a request would take now; 0 where nothing is known."""
        known_s = self.latency_s if now - self.measured_s < STALE_S else 0.0
        return max(known_s, now - self.silent_s) if self.open else known_s

    def measure(self, took_s: float, now: float) -> None:
        """An answer took so long. The longer there was none before it, the more it says."""
        if not self.is_known or now - self.measured_s >= STALE_S:
            self.is_known = True
            self.latency_s = min(took_s, LATENCY_S_MAX)
        else:
            share = (now - self.measured_s) / SMOOTHING_S
            step_s = (took_s if took_s < LATENCY_S_MAX else LATENCY_S_MAX) - self.latency_s
            self.latency_s += step_s * (share if share < SHARE_MAX else SHARE_MAX)
        self.measured_s = now
        if took_s > self.p95_s:
            self.p95_s = min(self.p95_s * P95_UP, P95_S_MAX)
        elif self.p95_s > P95_S_MIN:
            self.p95_s *= P95_DOWN


class Latencies(Generic[Name]):
    """The latencies of peers, by any name. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._peers: dict[Name, _Peer] = {}

    # --- what each request tells ----------------------------------------------------------------

    def begin(self, name: Name, now: float) -> None:
        """``name`` is asked something. `end` must follow."""
        peer = self._peers.get(name) or self._add(name)
        if not peer.open:
            peer.silent_s = now
        peer.open += 1

    def end(self, name: Name, began: float, now: float, *, is_answered: bool) -> None:
        """What was asked at ``began`` has ended, by an answer or without one.

        An error tells only that it took at least so long: who fails quickly is not fast.
        """
        peer = self._peers[name]
        peer.open -= 1
        took_s = now - began
        if is_answered:
            peer.silent_s = now
            peer.measure(took_s, now)
        elif took_s > peer.latency_s:
            peer.measure(took_s, now)

    def _add(self, name: Name) -> _Peer:
        if len(self._peers) >= PEERS_MAX:
            idle = next((n for n, peer in self._peers.items() if not peer.open), None)
            if idle is not None:
                del self._peers[idle]
        peer = self._peers[name] = _Peer()
        return peer

    # --- what is known --------------------------------------------------------------------------

    def is_suspect(self, name: Name, now: float) -> bool:
        """Whether ``name`` could be slow at all, whatever others take. O(1), and cheap."""
        peer = self._peers.get(name)
        return peer is not None and (
            peer.latency_s > SLOW_S or (peer.open > 0 and now - peer.silent_s > SLOW_S)
        )

    def slow(self, names: Sequence[Name], now: float) -> list[Name]:
        """Those of ``names`` that are slow beside the best of them. O(names)."""
        expected = {name: self.expected_s(name, now) for name in names}
        best_s = min(expected.values(), default=0.0)
        bound_s = max(best_s * SLOW_FACTOR, best_s + SLOW_S)
        return [name for name, expected_s in expected.items() if expected_s > bound_s]

    def expected_s(self, name: Name, now: float) -> float:
        """What a request to ``name`` would take now, in seconds; 0 where nothing is known."""
        peer = self._peers.get(name)
        return 0.0 if peer is None else peer.expected_s(now)

    def p95_s(self, names: Iterable[Name]) -> float:
        """The highest of their 95th percentiles, in seconds; 0 where none is known."""
        highest_s = 0.0
        for name in names:
            peer = self._peers.get(name)
            if peer is not None and peer.is_known and peer.p95_s > highest_s:
                highest_s = peer.p95_s
        return highest_s

    def probe(self, name: Name, now: float) -> bool:
        """Whether to ask ``name`` now, though it is slow, to learn whether it still is.

        At most every `PROBE_S`, and never while it is asked something anyway.
        """
        peer = self._peers.get(name)
        if peer is None or peer.open or now < peer.probe_s:
            return False
        peer.probe_s = now + PROBE_S
        return True

    def statistics(self) -> dict[Name, dict[str, float]]:
        """Seconds and open requests of each peer."""
        return {
            name: {"latency_s": peer.latency_s, "p95_s": peer.p95_s, "open": peer.open}
            for name, peer in self._peers.items()
        }

    def _check(self) -> None:
        for peer in self._peers.values():
            assert peer.open >= 0
            assert 0 <= peer.latency_s <= LATENCY_S_MAX
            assert P95_S_MIN * P95_DOWN <= peer.p95_s <= P95_S_MAX
