"""Choices of records: within their bounds, and as often as they should be."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench.choosers import (
    THETA,
    Latest,
    ScrambledZipfian,
    Spread,
    Uniform,
    Zipfian,
    fnv_64,
    zeta,
)

DRAWS = 20_000
COUNTS = st.integers(1, 5_000)
SEEDS = st.integers(0, 1_000)


def frequencies(chooser, draws: int = DRAWS) -> Counter[int]:
    return Counter(chooser.choose() for _ in range(draws))


def is_near(seen: int, share: float, draws: int = DRAWS) -> bool:
    """Whether so many of the draws are what that share makes likely: within five deviations."""
    return abs(seen - share * draws) <= 5 * math.sqrt(draws * share * (1 - share)) + 1


@given(COUNTS, SEEDS)
def test_each_choice_is_a_record_that_is_there(count, seed):
    generator = random.Random(seed)
    choosers = (
        Uniform(count, generator),
        Zipfian(count, generator),
        ScrambledZipfian(count, generator),
        Latest(lambda: count, generator),
        Spread(Uniform(1 + count // 3, generator), chosen=1 + count // 3, count=count),
    )
    for chooser in choosers:
        assert all(0 <= chooser.choose() < count for _ in range(50))


def test_uniform_chooses_all_alike():
    seen = frequencies(Uniform(10, random.Random(1)))
    assert all(is_near(seen[number], 0.1) for number in range(10))


@pytest.mark.parametrize("count", [1, 2, 3, 100, 10_000])
def test_zipfian_chooses_the_first_ones_as_often_as_its_law_says(count):
    seen = frequencies(Zipfian(count, random.Random(2)))
    whole = sum(rank**-THETA for rank in range(1, count + 1))
    # Beyond the first two Gray's formula is an approximation.
    for rank in range(min(2, count)):
        assert is_near(seen[rank], (rank + 1) ** -THETA / whole)
    half = count // 2
    if half:
        share = sum(rank**-THETA for rank in range(1, half + 1)) / whole
        assert abs(sum(seen[rank] for rank in range(half)) / DRAWS - share) < 0.05


def test_scrambled_zipfian_has_a_favourite_that_is_not_the_first():
    seen = frequencies(ScrambledZipfian(1_000, random.Random(3)))
    favourite, often = seen.most_common(1)[0]
    assert favourite == fnv_64(0) % 1_000 != 0
    # The items that share its place by chance add to it.
    assert often >= DRAWS / 26.469 * 0.9


@given(st.integers(1, 500), st.lists(st.integers(0, 2_000), max_size=4), SEEDS)
def test_a_zipfian_that_has_grown_is_like_one_made_so_large(count, steps, seed):
    grown = Zipfian(count, random.Random(seed))
    for step in steps:
        count += step
        grown.grow(count)
    fresh = Zipfian(count, random.Random(seed))
    assert [grown.choose() for _ in range(20)] == [fresh.choose() for _ in range(20)]


def test_latest_follows_what_is_inserted():
    count = 100
    chooser = Latest(lambda: count, random.Random(4))
    assert frequencies(chooser, 2_000).most_common(1)[0][0] == 99
    count = 5_000
    assert frequencies(chooser, 2_000).most_common(1)[0][0] == 4_999


def test_a_sample_lies_over_all_records():
    chooser = Spread(Uniform(10, random.Random(5)), chosen=10, count=1_000)
    assert set(frequencies(chooser, 1_000)) == set(range(0, 1_000, 100))


@pytest.mark.parametrize("count", [1, 2, 999, 1_000, 1_001, 5_000, 100_000])
def test_zeta_is_the_sum(count):
    assert zeta(count) == pytest.approx(sum(k**-THETA for k in range(1, count + 1)), rel=1e-10)


def test_zeta_and_hash_are_those_of_ycsb():
    assert zeta(10_000_000_000) == pytest.approx(26.46902820178302, rel=1e-9)
    # FNV-1a of eight zero bytes, which is above 2**63 and so is told as its absolute value.
    assert fnv_64(0) == (1 << 64) - 0xA8C7F832281A39C5
