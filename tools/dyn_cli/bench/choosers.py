"""Which record the next operation is on: each as often as any other, or a few most of the time.

The Zipfian choices are YCSB's (Cooper et al., SoCC 2010), after Gray et al., "Quickly generating
billion-record synthetic databases" (SIGMOD 1994): theta 0.99; *scrambled*, so that the often
chosen ones lie all over the key space; *latest*, so that they are those that were inserted last.

Pure but for the generator that is passed in. Knows nothing of keys: a record is its number.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol

THETA = 0.99
SCRAMBLED_ITEMS = 10_000_000_000
"""What YCSB draws from before it scrambles: so the skew is the same for any number of records."""
_EXACT_TERMS = 1_000

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 1_099_511_628_211
_WORD = (1 << 64) - 1


class Chooser(Protocol):
    """Chooses the number of a record, from 0."""

    def choose(self) -> int:
        """The next one."""
        ...


class Uniform:
    """Each of ``count`` records as often as any other."""

    def __init__(self, count: int, generator: random.Random) -> None:
        assert count > 0
        self._count = count
        self._random = generator.random

    def choose(self) -> int:
        """A number from 0 to ``count - 1``."""
        return int(self._random() * self._count)


class Zipfian:
    """The k-th of ``count`` items with a probability proportional to ``(k + 1) ** -THETA``."""

    def __init__(self, count: int, generator: random.Random) -> None:
        assert count > 0
        self._random = generator.random
        self._count = 0
        self._zeta = 0.0
        self._eta = 0.0
        self.grow(count)

    def grow(self, count: int) -> None:
        """Draw from ``count`` items from now on, no fewer than before."""
        assert count >= self._count
        if count == self._count:
            return
        if count - self._count < _EXACT_TERMS:
            more = (number**-THETA for number in range(self._count + 1, count + 1))
            self._zeta += sum(more)
        else:
            self._zeta = zeta(count)
        self._count = count
        # With one or two items the first two cases of `choose` are all there is.
        rest = 1 - zeta(2) / self._zeta if count > 2 else 1.0
        self._eta = (1 - (2 / count) ** (1 - THETA)) / rest

    def choose(self) -> int:
        """A number from 0, the most frequent one, to ``count - 1``."""
        drawn = self._random()
        share = drawn * self._zeta
        if share < 1:
            return 0
        if share < 1 + 0.5**THETA:
            return 1
        rank = int(self._count * (self._eta * drawn - self._eta + 1) ** (1 / (1 - THETA)))
        return min(rank, self._count - 1)


class ScrambledZipfian:
    """A few of ``count`` records most of the time, and they are spread over all numbers."""

    def __init__(self, count: int, generator: random.Random) -> None:
        assert count > 0
        self._count = count
        self._ranks = Zipfian(SCRAMBLED_ITEMS, generator)

    def choose(self) -> int:
        """A number from 0 to ``count - 1``."""
        return fnv_64(self._ranks.choose()) % self._count


class Latest:
    """Those records that were inserted last most of the time."""

    def __init__(self, inserted: Callable[[], int], generator: random.Random) -> None:
        """``inserted`` says how many records there are, at least one, and never fewer."""
        self._inserted = inserted
        self._ranks = Zipfian(inserted(), generator)

    def choose(self) -> int:
        """A number below what ``inserted`` says."""
        count = self._inserted()
        self._ranks.grow(count)
        return count - 1 - self._ranks.choose()


class Spread:
    """Chooses among ``chosen`` records of ``count``, which lie evenly over all of them."""

    def __init__(self, chooser: Chooser, *, chosen: int, count: int) -> None:
        assert 0 < chosen <= count
        self._chooser = chooser
        self._step = count // chosen

    def choose(self) -> int:
        """A number from 0 to ``count - 1``."""
        return self._chooser.choose() * self._step


def zeta(count: int) -> float:
    """The sum of ``k ** -THETA`` for k from 1 to ``count``, to ten digits.

    After the first thousand terms by the Euler-Maclaurin formula.

    >>> round(zeta(10_000_000_000), 6)
    26.469028
    """
    exact = min(count, _EXACT_TERMS)
    total: float = sum(number**-THETA for number in range(1, exact + 1))
    if count > exact:
        integral = (count ** (1 - THETA) - exact ** (1 - THETA)) / (1 - THETA)
        ends = (count**-THETA - exact**-THETA) / 2
        slopes = -THETA * (count ** (-THETA - 1) - exact ** (-THETA - 1)) / 12
        total += integral + ends + slopes
    return total


def fnv_64(number: int) -> int:
    """YCSB's hash of a number: FNV-1a over its eight bytes, as an absolute value."""
    hashed = _FNV_OFFSET
    for _ in range(8):
        hashed = ((hashed ^ (number & 0xFF)) * _FNV_PRIME) & _WORD
        number >>= 8
    return hashed if hashed < 1 << 63 else (1 << 64) - hashed
