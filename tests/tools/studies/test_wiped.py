"""Windows, their percentiles, and what they are judged by."""

from __future__ import annotations

import pytest
import trio

from bench.load import OpenLoop, Sample
from studies.bars import StudyFailed
from studies.windows import Window
from studies.wiped import Felt, Turn, bars, felt, repair_window


def turn(in_sync_s: float = 16.0) -> Turn:
    return Turn("n3", in_sync_s, Window(0, 1), Window(1, 11), Window(20, 30))


async def ask_nothing(number: int) -> None:
    await trio.lowlevel.checkpoint()


def load(*samples: Sample) -> OpenLoop:
    loop = OpenLoop(ask_nothing, per_second=500)
    loop.samples = list(samples)
    return loop


def p99s(repair_ms: float, quiet_ms: float) -> Felt:
    return Felt(0.0, repair_ms, quiet_ms)


def verdicts(*by_turn: Felt, in_sync_s: float = 16.0, missing: int = 0) -> list[bool]:
    turns = [turn(), turn(in_sync_s)]
    return [bar.is_met for bar in bars(turns, by_turn, missing)]


def test_each_request_counts_in_the_window_in_which_it_was_due():
    found = felt(
        turn(),
        load(
            Sample(0.5, 0.9),
            Sample(1.0, 0.002),
            Sample(10.9, 0.004),  # Answered when the window was over, and counted all the same.
            Sample(11.0, 0.9),
            Sample(20.0, 0.003),
        ),
    )
    assert (found.start_ms, found.repair_ms, found.quiet_ms) == pytest.approx((900, 4, 3))


def test_a_window_without_a_request_is_no_measurement():
    with pytest.raises(StudyFailed, match=r"a window of 10\.0 s"):
        felt(turn(), load(Sample(0.5, 0.1), Sample(2.0, 0.1)))


def test_a_repair_that_is_over_early_ends_its_window():
    assert repair_window(5.0, 100.0, 10.0) == Window(5.0, 15.0)
    assert repair_window(5.0, 9.0, 10.0) == Window(5.0, 9.0)


def test_clients_may_wait_half_as_long_again_or_5_ms_longer():
    assert verdicts(p99s(30.0, 20.0)) == [True, True, True]
    assert verdicts(p99s(30.1, 20.0)) == [True, False, True]
    assert verdicts(p99s(7.0, 2.0)) == [True, True, True]
    assert verdicts(p99s(7.1, 2.0)) == [True, False, True]


def test_the_median_turn_counts_for_clients():
    assert verdicts(p99s(900.0, 2.0), p99s(3.0, 2.0), p99s(4.0, 900.0)) == [True, True, True]
    assert verdicts(p99s(900.0, 2.0), p99s(900.0, 2.0), p99s(4.0, 2.0)) == [True, False, True]


def test_the_slowest_turn_counts_for_the_time_until_in_sync():
    assert verdicts(p99s(3.0, 2.0), in_sync_s=121.0) == [False, True, True]


def test_a_key_that_was_not_found_is_a_promise_broken():
    assert verdicts(p99s(3.0, 2.0), missing=1) == [True, True, False]
