"""What a workload is: steps that clients take, and a judgement of what came of them.

A workload is shared by all clients that take its steps. A client takes one step at a time;
steps of different clients may overlap. Knows of the store only what its users can see.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from dynamo_py.client.bucket import Store
from dynamo_py.client.results import Fetched
from dynamo_py.errors import DynamoError
from dynamo_py.testing.checkers import Checker
from dynamo_py.testing.history import Outcome

TIMEOUT_S = 5.0
"""How long a call may take, in virtual seconds."""

FinalReader = Callable[[str, str], Awaitable[Fetched]]
"""From bucket and key to what the whole cluster holds in the end; its values are bytes."""


@dataclass(frozen=True, slots=True)
class Client:
    """One user of the store. ``now`` is virtual time in seconds, the same for all clients."""

    name: str
    store: Store
    random: random.Random
    now: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Statistics:
    """How many quorum gets and puts ended how."""

    acknowledged: int = 0
    """They were answered."""
    unknown: int = 0
    """Writes that may have happened, or may still."""
    not_applied: int = 0
    """Writes that were refused, and gets without an answer."""
    degraded: int = 0
    """Those of the acknowledged that promise less (`Stored.degraded`, `Fetched.degraded`)."""

    @property
    def operations(self) -> int:
        """All of them."""
        return self.acknowledged + self.unknown + self.not_applied

    def __add__(self, other: Statistics) -> Statistics:
        """Both together."""
        return Statistics(
            self.acknowledged + other.acknowledged,
            self.unknown + other.unknown,
            self.not_applied + other.not_applied,
            self.degraded + other.degraded,
        )


class Workload(Protocol):
    """Operations of one kind, on keys of its own."""

    @property
    def name(self) -> str:
        """Also the name of its bucket."""
        ...

    async def step(self, client: Client) -> None:
        """One action of ``client``: a get, a put, a read-modify-write. No `DynamoError` leaves."""
        ...

    async def read_final(self, read: FinalReader) -> None:
        """Note the final state of each key; to be called once, when all clients have ended."""
        ...

    def violations(self, checkers: Iterable[Checker], *, is_lossless: bool) -> list[str]:
        """What is wrong, a line each, sorted; [] if nothing is. After `read_final`.

        ``checkers`` look at the history of workloads that write registers: pass those whose
        promise holds for the run. Counters, sets and carts are judged by rules of their own;
        without ``is_lossless`` acknowledged writes may be lost, or come back, and just what
        is true all the same is checked.
        """
        ...

    def statistics(self) -> Statistics:
        """What has been done up to now."""
        ...


class Tally:
    """Counts the operations of one workload."""

    def __init__(self) -> None:
        self._counts = dict.fromkeys(Outcome, 0)
        self._degraded = 0

    def count(self, outcome: Outcome, *, operations: int = 1, degraded: bool = False) -> None:
        """So many operations have ended so; ``degraded`` matters for acknowledged ones alone."""
        self._counts[outcome] += operations
        if degraded and outcome is Outcome.ACKNOWLEDGED:
            self._degraded += operations

    def statistics(self) -> Statistics:
        """The counts as they are now."""
        return Statistics(
            self._counts[Outcome.ACKNOWLEDGED],
            self._counts[Outcome.UNKNOWN],
            self._counts[Outcome.NOT_APPLIED],
            self._degraded,
        )


def outcome_of(error: DynamoError) -> Outcome:
    """What the error of a write says of it."""
    return Outcome.UNKNOWN if error.outcome == "unknown" else Outcome.NOT_APPLIED
