"""The histogram: nothing is lost, and a percentile is off by at most 1/1024."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dyn_cli.bench.histogram import LONGEST_NS, Histogram, bucket_of, highest_of

VALUES = st.one_of(st.integers(0, 5_000), st.integers(0, LONGEST_NS))
MANY = st.lists(VALUES, min_size=1, max_size=200)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    histogram._check()
    return histogram


def lowest_that_covers(values: list[int], percent: float) -> int:
    """The model: a sorted list, looked at from below."""
    ordered = sorted(values)
    return next(
        value
        for place, value in enumerate(ordered, start=1)
        if place >= len(ordered) * percent / 100
    )


@given(VALUES)
def test_a_value_lies_in_its_bucket(value):
    bucket = bucket_of(value)
    assert value <= highest_of(bucket) <= value + value / 1024
    assert bucket_of(highest_of(bucket)) == bucket
    assert bucket_of(highest_of(bucket) + 1) == bucket + 1


@given(MANY, st.floats(0, 100))
def test_a_percentile_is_off_by_at_most_a_thousandth(values, percent):
    exact = lowest_that_covers(values, percent)
    assert exact <= histogram_of(values).percentile(percent) <= exact + exact / 1024


@given(MANY)
def test_count_mean_and_maximum_are_exact(values):
    histogram = histogram_of(values)
    assert histogram.count == len(values)
    assert histogram.mean_ns == sum(values) / len(values)
    assert histogram.highest_ns == histogram.percentile(100) == max(values)


@given(MANY, MANY)
def test_histograms_added_are_the_histogram_of_all(some, others):
    together = histogram_of(some)
    together.add(histogram_of(others))
    together._check()
    whole = histogram_of(some + others)
    percents = range(0, 101, 5)
    assert [together.percentile(p) for p in percents] == [whole.percentile(p) for p in percents]
    assert (together.count, together.mean_ns) == (whole.count, whole.mean_ns)


def test_what_cannot_be_a_latency_counts_as_the_nearest_that_can():
    histogram = histogram_of([-5, LONGEST_NS * 2])
    assert histogram.percentile(50) == 0
    assert histogram.highest_ns == LONGEST_NS


def test_a_histogram_of_nothing_says_zero():
    empty = Histogram()
    assert (empty.count, empty.mean_ns, empty.percentile(99), empty.highest_ns) == (0, 0, 0, 0)
