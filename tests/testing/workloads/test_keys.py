"""Choosers of keys: within their keys, in the proportions that they promise."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.workloads.keys import numbered, uniform, zipf


class Drawn(random.Random):
    """A generator whose next number is known."""

    def __init__(self, number: float) -> None:
        super().__init__(0)
        self._number = number

    def random(self) -> float:
        return self._number


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.sampled_from([uniform, zipf]))
def test_a_chosen_key_is_one_of_the_keys(count, number, chooser):
    keys = numbered("k", count)
    assert chooser(keys)(Drawn(number)) in keys


@pytest.mark.parametrize("chooser", [uniform, zipf])
def test_the_least_and_the_greatest_draw_give_the_first_and_the_last_key(chooser):
    choose = chooser(numbered("k", 5))
    assert (choose(Drawn(0.0)), choose(Drawn(1 - 2**-53))) == ("k-0", "k-4")


def counted(choose, draws=20_000):
    generator = random.Random(1)
    return Counter(choose(generator) for _ in range(draws))


def test_uniform_chooses_each_key_as_often_as_any_other():
    counts = counted(uniform(numbered("k", 8)))
    assert len(counts) == 8
    assert max(counts.values()) < 1.15 * min(counts.values())


def test_zipf_chooses_the_kth_key_in_proportion_to_a_power_of_k():
    counts = counted(zipf(numbered("k", 8)))
    for rank in range(1, 9):
        assert counts["k-0"] / counts[f"k-{rank - 1}"] == pytest.approx(rank**0.99, rel=0.15)


def test_an_exponent_of_nothing_is_uniform():
    draws = [number / 100 for number in range(100)]
    flat, even = zipf(numbered("k", 7), exponent=0), uniform(numbered("k", 7))
    assert [flat(Drawn(d)) for d in draws] == [even(Drawn(d)) for d in draws]
