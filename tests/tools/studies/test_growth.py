"""What a run that grows and shrinks is judged by."""

from __future__ import annotations

import pytest
import trio

from bench.load import OpenLoop, Sample
from studies.growth import GROW, SHRINK, Felt, Found, Step, bars, felt
from studies.windows import Window


def step(name: str, *, sent_bytes: int = 1100, uneven: float = 0.8) -> Step:
    return Step(name, Window(0, 10), Window(10, 25), 1.0, 75, sent_bytes, 1000, 10, uneven)


async def ask_nothing(number: int) -> None:
    await trio.lowlevel.checkpoint()


def load(*samples: Sample, errors: int = 0) -> OpenLoop:
    loop = OpenLoop(ask_nothing, per_second=200)
    loop.samples = list(samples)
    loop.errors = {"QuorumNotMet": errors} if errors else {}
    return loop


def verdicts(
    *,
    errors: int = 0,
    failed: int = 0,
    violations: tuple[str, ...] = (),
    missing: tuple[str, ...] = (),
    steps: tuple[Step, ...] = (step(GROW), step(SHRINK)),
    by_step: tuple[Felt, ...] = (Felt(2.0, 6.0), Felt(20.0, 29.0)),
) -> list[bool]:
    found = Found(
        list(steps), load(errors=errors), failed=failed, violations=violations, missing=missing
    )
    return [bar.is_met for bar in bars(found, by_step)]


def test_a_run_in_which_all_went_well():
    assert verdicts() == [True] * 6


@pytest.mark.parametrize("problem", [{"errors": 1}, {"failed": 1}])
def test_one_operation_that_failed_is_one_too_many(problem):
    assert verdicts(**problem) == [False, *[True] * 5]


@pytest.mark.parametrize("problem", [{"violations": ("lost",)}, {"missing": ("key-1",)}])
def test_one_write_that_is_lost_or_missed_is_one_too_many(problem):
    assert verdicts(**problem) == [True, False, *[True] * 4]


def test_the_worst_change_counts_for_balance_and_bytes():
    uneven = (step(GROW), step(SHRINK, uneven=1.2))
    assert verdicts(steps=uneven) == [True, True, False, True, True, True]
    wasteful = (step(GROW, sent_bytes=1201), step(SHRINK))
    assert verdicts(steps=wasteful) == [True, True, True, False, True, True]


def test_each_direction_is_held_against_its_own_quiet_windows():
    slow = (Felt(2.0, 7.1), Felt(20.0, 29.0))
    assert verdicts(by_step=slow) == [True] * 4 + [False, True]
    slow = (Felt(2.0, 6.0), Felt(20.0, 30.1))
    assert verdicts(by_step=slow) == [True] * 5 + [False]


def test_clients_felt_the_median_of_the_windows():
    samples = [Sample(1.0, 0.002), Sample(6.0, 0.004)]
    samples += [Sample(11.0, 0.9), Sample(16.0, 0.005), Sample(21.0, 0.003)]
    found = felt(step(GROW), load(*samples), 5.0)
    assert (found.quiet_ms, found.moving_ms) == pytest.approx((3.0, 5.0))
