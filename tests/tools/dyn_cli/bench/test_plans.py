"""Plans: the matrix of what is asked for, and how each chooses its records."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dyn_cli.bench.choosers import Latest, ScrambledZipfian, Spread, Uniform
from dyn_cli.bench.plans import Plan, chooser_of, matrix
from dyn_cli.bench.records import Inserted
from dyn_cli.bench.workloads import WORKLOADS, Choice


@pytest.fixture
def plan() -> Plan:
    return Plan(
        workload=WORKLOADS["put"],
        choice=Choice.UNIFORM,
        records=1_000,
        chosen=1_000,
        value_bytes=100,
        in_flight=64,
        is_separate=False,
        rate_per_s=None,
        overlaps=False,
        warm_up_s=1,
        seconds=5,
        operations=None,
        bucket="bench",
        seed=1,
        turn=1,
        timeout_s=5,
    )


def all_of(plan: Plan, **changes) -> list[Plan]:
    asked = {
        "workloads": [WORKLOADS["put"], WORKLOADS["a"]],
        "choice": None,
        "overlaps": None,
        "value_sizes": [100, 1024],
        "in_flights": [1, 64],
        "turns": 3,
    }
    return matrix(plan, **{**asked, **changes})


def test_a_matrix_has_each_combination_once_and_turns_outermost(plan):
    plans = all_of(plan)
    cells = [(p.turn, p.value_bytes, p.in_flight, p.workload.name) for p in plans]
    assert len(set(cells)) == len(cells) == 3 * 2 * 2 * 2
    assert [cell[0] for cell in cells] == sorted(cell[0] for cell in cells)


def test_each_workload_chooses_in_its_own_way_unless_told_otherwise(plan):
    by_name = {p.workload.name: p for p in all_of(plan)}
    assert (by_name["put"].choice, by_name["put"].overlaps) == (Choice.UNIFORM, False)
    assert (by_name["a"].choice, by_name["a"].overlaps) == (Choice.ZIPF, True)
    told = all_of(plan, choice=Choice.ZIPF, overlaps=False)
    assert {(p.choice, p.overlaps) for p in told} == {(Choice.ZIPF, False)}


def test_turns_draw_other_records_and_the_same_turn_the_same(plan):
    seeds = {(p.turn, p.seed) for p in all_of(plan)}
    assert sorted(seeds) == [(1, 1), (2, 2), (3, 3)]


def test_values_of_one_size_share_a_bucket(plan):
    assert {p.bucket_name for p in all_of(plan)} == {"bench-100", "bench-1024"}


def test_separate_clients_are_as_many_as_requests_in_flight(plan):
    assert plan.clients == 1
    assert replace(plan, is_separate=True).clients == 64


@pytest.mark.parametrize(
    ("choice", "chosen", "kind"),
    [
        (Choice.UNIFORM, 1_000, Uniform),
        (Choice.ZIPF, 1_000, ScrambledZipfian),
        (Choice.LATEST, 1_000, Latest),
        (Choice.UNIFORM, 30, Spread),
    ],
)
def test_what_is_chosen_was_prepared(plan, choice, chosen, kind):
    sampled = replace(plan, choice=choice, chosen=chosen)
    prepared = sampled.prepared_numbers()
    assert len(prepared) == chosen
    chooser = chooser_of(sampled, Inserted(1_000), random.Random(1))
    assert isinstance(chooser, kind)
    assert all(chooser.choose() in prepared for _ in range(500))
