"""What is to be measured: one plan for each cell of a matrix.

Pure.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from dyn_cli.bench.choosers import Chooser, Latest, ScrambledZipfian, Spread, Uniform
from dyn_cli.bench.records import Inserted
from dyn_cli.bench.workloads import Choice, Workload

BUCKET = "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One measurement."""

    workload: Workload
    choice: Choice
    records: int
    """How many there are: those numbered from 0."""
    chosen: int
    """Among how many of them operations choose; they lie evenly over all."""
    value_bytes: int
    in_flight: int
    is_separate: bool
    """A client, with connections of its own, for each request in flight; else one for all."""
    rate_per_s: float | None
    """An open loop's; None: a closed loop."""
    overlaps: bool
    """Whether several writes of one record may be under way at once."""
    warm_up_s: float
    seconds: float
    operations: int | None
    """How many end it, in place of ``seconds``."""
    bucket: str
    seed: int
    turn: int
    timeout_s: float

    @property
    def bucket_name(self) -> str:
        """Values of one size share a bucket, so that a record's value is of the size asked for."""
        return bucket_named(self.bucket, self.value_bytes)

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return self.in_flight if self.is_separate else 1

    def prepared_numbers(self) -> range:
        """The records that operations choose among: those that must be there."""
        step = self.records // self.chosen
        return range(0, step * self.chosen, step)


def bucket_named(bucket: str, value_bytes: int) -> str:
    """The bucket of all records with values of that size."""
    return f"{bucket}-{value_bytes}"


def overlaps_by_default(choice: Choice) -> bool:
    """Writes of one record overlap where a few are chosen most of the time.

    To choose others then would take the skew away. Where all are alike it changes nothing.
    """
    return choice is not Choice.UNIFORM


def matrix(
    plan: Plan,
    *,
    workloads: Sequence[Workload],
    choice: Choice | None,
    overlaps: bool | None,
    value_sizes: Sequence[int],
    in_flights: Sequence[int],
    turns: int,
) -> list[Plan]:
    """A plan for each combination, ``plan`` saying the rest. Turns are outermost.

    So what changes on the machine meanwhile meets all of them. ``choice`` and ``overlaps`` are
    the workload's own where they are None.
    """
    plans = []
    for turn, size, in_flight, workload in product(
        range(1, turns + 1), value_sizes, in_flights, workloads
    ):
        chosen_by = choice or workload.choice
        plans.append(
            replace(
                plan,
                workload=workload,
                choice=chosen_by,
                overlaps=overlaps_by_default(chosen_by) if overlaps is None else overlaps,
                value_bytes=size,
                in_flight=in_flight,
                turn=turn,
                seed=plan.seed + turn - 1,
            )
        )
    return plans


def chooser_of(plan: Plan, inserted: Inserted, generator: random.Random) -> Chooser:
    """How a plan's operations choose their records."""
    match plan.choice:
        case Choice.LATEST:
            return Latest(lambda: inserted.count, generator)
        case Choice.ZIPF:
            chooser: Chooser = ScrambledZipfian(plan.chosen, generator)
        case Choice.UNIFORM:
            chooser = Uniform(plan.chosen, generator)
    if plan.chosen == plan.records:
        return chooser
    return Spread(chooser, chosen=plan.chosen, count=plan.records)
