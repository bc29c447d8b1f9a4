"""One seed, many independent generators: one for each part of a simulation, by its name.

Knows nothing of what draws from them. Invariants: the sequence of a name depends on the seed and
the name only, in every process; so a part that draws more often than before leaves the sequences
of all other parts as they were.
"""

from __future__ import annotations

import random


class Streams:
    """The generators of one seed."""

    __slots__ = ("seed",)

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def named(self, name: str) -> random.Random:
        """A new generator, at the beginning of this name's sequence.

        Asked twice for one name it begins the same sequence twice: keep what it returns.
        """
        # Seeded by a string, `random.Random` takes SHA-512 of it, never the salted `hash`.
        return random.Random(f"{self.seed}/{name}")
