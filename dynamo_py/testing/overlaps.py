"""Faults of the network that overlap: what is in force is the sum of those under way.

Two splits may block one link; it is open again when both have ended. Knows nothing of why a
link is blocked, slow or lossy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from dynamo_py.testing.network import Network

Pair = tuple[str, str]
"""A direction: from the first host to the second."""


@dataclass(frozen=True, slots=True, eq=False)
class _Wrong:
    """What one fault does to each direction that it touches. Compared by identity."""

    delays_s: Mapping[Pair, float]
    """Its directions, in the order in which they are changed, and what it delays them by."""
    is_blocked: bool = False
    lost_share: float = 0.0


class Overlaps:
    """What is wrong with the network. Each call gives what ends that fault, once or again."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._under_way: list[_Wrong] = []

    def block(self, pairs: Iterable[Pair]) -> Callable[[], None]:
        """Let nothing through."""
        return self._begin(_Wrong(dict.fromkeys(pairs, 0.0), is_blocked=True))

    def slow(self, delays_s: Mapping[Pair, float]) -> Callable[[], None]:
        """Delay what is sent, each direction by its own seconds; delays add up."""
        return self._begin(_Wrong(dict(delays_s)))

    def lose(self, pairs: Iterable[Pair], share: float) -> Callable[[], None]:
        """Lose a share of what is sent; of several shares the largest."""
        return self._begin(_Wrong(dict.fromkeys(pairs, 0.0), lost_share=share))

    def end_all(self) -> None:
        """Nothing is wrong any more."""
        for wrong in list(self._under_way):
            self._end(wrong)

    def _begin(self, wrong: _Wrong) -> Callable[[], None]:
        self._under_way.append(wrong)
        self._put_in_force(wrong.delays_s)
        return partial(self._end, wrong)

    def _end(self, wrong: _Wrong) -> None:
        if wrong in self._under_way:
            self._under_way.remove(wrong)
            self._put_in_force(wrong.delays_s)

    def _put_in_force(self, pairs: Iterable[Pair]) -> None:
        for pair in pairs:
            of_pair = [wrong for wrong in self._under_way if pair in wrong.delays_s]
            if any(wrong.is_blocked for wrong in of_pair):
                self._network.block(*pair)
            else:
                self._network.unblock(*pair)
            share = max((wrong.lost_share for wrong in of_pair), default=0.0)
            self._network.lose(*pair, share=share)
            delay_s = sum(wrong.delays_s[pair] for wrong in of_pair)
            self._network.slow(*pair, delay_s=delay_s)
