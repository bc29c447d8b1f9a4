"""Which key an operation goes to. Pure: draws from the generator that it is given."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

ZIPF_EXPONENT = 0.99
"""That of the Yahoo! Cloud Serving Benchmark (Cooper et al. 2010)."""


class KeyChooser(Protocol):
    """Chooses one of its keys."""

    def __call__(self, random: random.Random, /) -> str:
        """The key of the next operation; takes one draw."""
        ...


def numbered(prefix: str, count: int) -> tuple[str, ...]:
    """``count`` keys: prefix-0, prefix-1 …"""
    return tuple(f"{prefix}-{number}" for number in range(count))


def uniform(keys: Sequence[str]) -> KeyChooser:
    """Each key as often as any other."""
    return _by_weight(keys, [1.0] * len(keys))


def zipf(keys: Sequence[str], *, exponent: float = ZIPF_EXPONENT) -> KeyChooser:
    """The k-th key, counted from 1, in proportion to ``k ** -exponent``: few keys are hot."""
    return _by_weight(keys, [rank**-exponent for rank in range(1, len(keys) + 1)])


def _by_weight(keys: Sequence[str], weights: Sequence[float]) -> KeyChooser:
    """O(log keys) a choice."""
    assert keys, "there is a key to choose"
    cumulative = list(accumulate(weights))
    # A product may be rounded up to the very sum, which lies behind the last key.
    last = len(keys) - 1

    def choose(random: random.Random, /) -> str:
        return keys[min(last, bisect_right(cumulative, random.random() * cumulative[-1]))]

    return choose
