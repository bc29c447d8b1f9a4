"""What the simulator's clients do: workloads, each of which says what is wrong in the end.

They use the store as its users do, and know nothing of nodes, networks or faults.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from dynamo_py.testing.workloads.blind import Blind
from dynamo_py.testing.workloads.cart import Carts
from dynamo_py.testing.workloads.counters import Counters
from dynamo_py.testing.workloads.recreate import Recreate
from dynamo_py.testing.workloads.registers import Registers
from dynamo_py.testing.workloads.sets import Sets
from dynamo_py.testing.workloads.workload import (
    Client,
    FinalReader,
    Statistics,
    Workload,
)

__all__ = [
    "Client",
    "FinalReader",
    "Statistics",
    "Weighted",
    "Workload",
    "choose_workload",
    "standard_mix",
]


class Weighted(NamedTuple):
    """A workload, and its share of the steps in proportion to the others' weights."""

    weight: int
    workload: Workload


def standard_mix() -> list[Weighted]:
    """New workloads on 23 keys at a time; about half of the operations are on registers.

    A key that is used by few operations shows few races, so there are few keys.
    """
    return [
        Weighted(54, Registers(keys_count=8)),
        Weighted(14, Recreate(keys_count=6, left_alone_s_max=12.0)),
        Weighted(8, Blind(keys_count=2)),
        Weighted(7, Counters(keys_count=2)),
        Weighted(7, Sets(keys_count=2)),
        Weighted(10, Carts(customers_count=3)),
    ]


def choose_workload(mix: list[Weighted], random: random.Random) -> Workload:
    """The workload of a client's next step; takes one draw."""
    weights = [each.weight for each in mix]
    return random.choices(mix, weights)[0].workload
