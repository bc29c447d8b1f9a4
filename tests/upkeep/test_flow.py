"""Windows that find out what the other side can take, and rates that forget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.upkeep.flow import (
    ACK_S_GOOD,
    BYTES_MAX,
    RATE_S,
    WINDOW_FIRST,
    WINDOW_MAX,
    Rate,
    Window,
)


def round_of(window: Window, latency_s: float) -> None:
    """As much as there is room for, all of it answered."""
    count = 0
    while window.has_room(1):
        window.sent(1)
        count += 1
    for _ in range(count):
        window.acked(1, latency_s)


def test_the_window_grows_by_about_one_a_round_up_to_its_bound():
    window = Window()
    round_of(window, 0.001)
    assert window.size == pytest.approx(WINDOW_FIRST + 1, abs=0.2)
    for _ in range(1000):
        round_of(window, 0.001)
    assert window.size == WINDOW_MAX
    window._check()


def test_answers_that_take_long_do_not_let_it_grow():
    window = Window()
    round_of(window, ACK_S_GOOD * 1.1)
    assert window.size == WINDOW_FIRST


def test_a_failure_halves_it_and_one_request_may_always_be_under_way():
    window = Window()
    for expected in (2.0, 1.0, 1.0):
        window.sent(1)
        window.failed(1)
        assert window.size == expected
    assert window.has_room(1)
    window.sent(1)
    assert not window.has_room(1)


def test_an_answer_that_says_nothing_only_makes_room():
    window = Window()
    window.sent(1)
    window.unsaid(1)
    assert (window.size, window.under_way) == (WINDOW_FIRST, 0)


def test_bytes_are_bounded_and_a_large_record_goes_alone():
    window = Window()
    window.sent(BYTES_MAX)
    assert not window.has_room(1)
    window.acked(BYTES_MAX, 0)
    assert window.has_room(BYTES_MAX * 4)


@given(st.lists(st.tuples(st.sampled_from(["sent", "acked", "failed", "unsaid"]), st.floats(0, 1))))
def test_whatever_happens_the_window_stays_within_its_bounds(steps):
    window = Window()
    for what, latency_s in steps:
        if what == "sent":
            window.sent(10)
        elif window.under_way:
            match what:
                case "acked":
                    window.acked(10, latency_s)
                case "failed":
                    window.failed(10)
                case "unsaid":
                    window.unsaid(10)
        window._check()


def test_a_rate_is_told_rightly_from_its_beginning_and_after_a_pause():
    rate = Rate()
    for began_s in (0, 1000):
        for step in range(200):
            rate.note(began_s + step * 0.01)
        assert rate.per_second(began_s + 1.99) == pytest.approx(100, rel=0.05)


def test_a_steady_rate_is_told_as_it_is_and_forgotten_when_it_ends():
    rate = Rate()
    assert rate.per_second(0) == 0
    for step in range(1000):
        rate.note(step * 0.1)
    assert rate.per_second(99.9) == pytest.approx(10, rel=0.05)
    assert rate.per_second(99.9 + RATE_S * 10) < 0.01
