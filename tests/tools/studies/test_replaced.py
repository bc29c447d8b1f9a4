"""What a replacement is judged by."""

from __future__ import annotations

import math

from studies.replaced import Found
from studies.stored_keys import Comparison


def verdicts(checked_s: float, comparison: Comparison) -> list[bool]:
    return [bar.is_met for bar in Found(1.0, checked_s, "", 1000, comparison).bars()]


def test_a_check_is_passed_in_time_too_late_or_not_at_all():
    well = Comparison(2, 6)
    assert verdicts(120.0, well) == [True, True, True]
    assert verdicts(120.1, well) == [False, True, True]
    assert verdicts(math.inf, well) == [False, True, True]


def test_one_key_that_is_not_well_is_one_too_many():
    assert verdicts(2.0, Comparison(2, 6, differing=["key-1"])) == [True, False, True]
    assert verdicts(2.0, Comparison(2, 6, wrong=["key-2"])) == [True, True, False]
