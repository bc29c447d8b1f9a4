"""Workloads: YCSB's mixes, drawn as often as they say."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from dyn_cli.bench.workloads import WORKLOADS, Choice, Kind, Mix

DRAWS = 10_000


@pytest.mark.parametrize("workload", WORKLOADS.values(), ids=str)
def test_kinds_are_drawn_as_often_as_the_workload_says(workload):
    mix = Mix(workload, random.Random(1))
    seen = Counter(mix.draw() for _ in range(DRAWS))
    shares = dict(workload.shares)
    assert sum(shares.values()) == pytest.approx(1)
    for kind in Kind:
        share = shares.get(kind, 0.0)
        deviation = math.sqrt(DRAWS * share * (1 - share))
        assert abs(seen[kind] - share * DRAWS) <= 5 * deviation
        assert workload.has(kind) == (kind in shares)


def test_the_core_workloads_are_those_of_ycsb():
    read_first = {name: dict(each.shares).get(Kind.READ, 0) for name, each in WORKLOADS.items()}
    wanted = {"a": 0.5, "b": 0.95, "c": 1.0, "d": 0.95, "e": 0, "f": 0.5, "put": 0, "get": 1.0}
    assert read_first == wanted
    assert WORKLOADS["d"].choice is Choice.LATEST
    assert all(WORKLOADS[name].choice is Choice.ZIPF for name in "abcef")
