"""Windows, and how long clients waited in them."""

from __future__ import annotations

import math

import pytest

from bench.load import Sample
from studies.bars import StudyFailed
from studies.windows import Window, p99_bound_ms, p99_ms


def test_a_window_is_cut_into_equal_parts_and_the_rest_is_left_out():
    assert Window(5.0, 16.0).parts(5.0) == (Window(5.0, 10.0), Window(10.0, 15.0))


def test_a_window_shorter_than_a_part_stays_as_it_is():
    assert Window(5.0, 8.0).parts(5.0) == (Window(5.0, 8.0),)


def test_the_p99_is_of_the_requests_that_were_due_in_the_window():
    samples = [Sample(0.9, 9.0), Sample(1.0, 0.002), Sample(1.9, 0.004), Sample(2.0, 9.0)]
    assert p99_ms(samples, Window(1.0, 2.0)) == pytest.approx(4.0)


def test_a_failure_is_a_wait_without_end():
    assert p99_ms([Sample(1.0, math.inf)], Window(1.0, 2.0)) == math.inf


def test_a_window_without_a_request_is_no_measurement():
    with pytest.raises(StudyFailed, match=r"a window of 1\.0 s"):
        p99_ms([Sample(3.0, 0.1)], Window(1.0, 2.0))


def test_clients_may_wait_half_as_long_again_or_5_ms_longer():
    assert p99_bound_ms(20.0) == 30.0
    assert p99_bound_ms(2.0) == 7.0
