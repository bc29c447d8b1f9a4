"""Workloads: how often which operation, and on which records.

A to F are YCSB's core workloads (Cooper et al., SoCC 2010); `put` and `get` are one operation
alone. Pure but for the generator that is passed in.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate


class Kind(Enum):
    """What an operation does."""

    READ = "read"
    UPDATE = "update"
    """Overwrites a record, with the context last seen."""
    INSERT = "insert"
    """Puts a record that was not there."""
    SCAN = "scan"
    READ_MODIFY_WRITE = "read-modify-write"

    @property
    def is_write(self) -> bool:
        """Whether it puts a record that is there."""
        return self in (Kind.UPDATE, Kind.READ_MODIFY_WRITE)


class Choice(Enum):
    """Which records are chosen."""

    UNIFORM = "uniform"
    ZIPF = "zipf"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Workload:
    """A mix of operations."""

    name: str
    shares: tuple[tuple[Kind, float], ...]
    """Of each operation, 1 in all."""
    choice: Choice
    """Unless the user says otherwise."""
    what: str

    def has(self, kind: Kind) -> bool:
        """Whether there are operations of this kind."""
        return any(each is kind for each, _ in self.shares)


WORKLOADS = {
    each.name: each
    for each in (
        Workload("put", ((Kind.UPDATE, 1.0),), Choice.UNIFORM, "overwrites alone"),
        Workload("get", ((Kind.READ, 1.0),), Choice.UNIFORM, "reads alone"),
        Workload(
            "a",
            ((Kind.READ, 0.5), (Kind.UPDATE, 0.5)),
            Choice.ZIPF,
            "update heavy: half reads, half overwrites",
        ),
        Workload(
            "b",
            ((Kind.READ, 0.95), (Kind.UPDATE, 0.05)),
            Choice.ZIPF,
            "read mostly: 95 % reads, 5 % overwrites",
        ),
        Workload("c", ((Kind.READ, 1.0),), Choice.ZIPF, "read only"),
        Workload(
            "d",
            ((Kind.READ, 0.95), (Kind.INSERT, 0.05)),
            Choice.LATEST,
            "read latest: 95 % reads of what was inserted last, 5 % inserts",
        ),
        Workload(
            "e",
            ((Kind.SCAN, 0.95), (Kind.INSERT, 0.05)),
            Choice.ZIPF,
            "short ranges: 95 % scans of 1 to 100 keys, 5 % inserts",
        ),
        Workload(
            "f",
            ((Kind.READ, 0.5), (Kind.READ_MODIFY_WRITE, 0.5)),
            Choice.ZIPF,
            "half reads, half reads followed by an overwrite of what was read",
        ),
    )
}


class Mix:
    """Draws the kinds of operations of a workload."""

    def __init__(self, workload: Workload, generator: random.Random) -> None:
        self._kinds = [kind for kind, _ in workload.shares]
        self._bounds = list(accumulate(share for _, share in workload.shares))[:-1]
        self._random = generator.random

    def draw(self) -> Kind:
        """The next kind."""
        return self._kinds[bisect_right(self._bounds, self._random())]
