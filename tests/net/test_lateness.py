"""Which frames were held up, told by two clocks that never agreed: pure."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.net.lateness import DRIFT, UNNOTICED_MS, WINDOW_S, Lateness

CYCLE_MS = 1 << 32


def moments(*, ahead_ms: float = 0.0, rate: float = 1.0):
    """The sender's clock at a moment of the receiver's, modulo 2^32."""
    return lambda at_s: int(at_s * 1000 * rate + ahead_ms) % CYCLE_MS


@pytest.mark.parametrize("ahead_ms", [0, 5e9, -5e9, CYCLE_MS - 3000])
def test_a_frame_that_was_held_up_is_late_by_that_whatever_the_clocks_say(ahead_ms):
    lateness, sent = Lateness(), moments(ahead_ms=ahead_ms)
    for number in range(50):
        assert lateness.held_ms(sent(number / 10), number / 10 + 0.001) < 2
    held = lateness.held_ms(sent(5.0), 19.0)
    assert 14_000 * 0.9 - 1000 < held <= 14_000
    assert lateness.held_ms(sent(19.1), 19.101) < 2, "it was the exception"


def test_a_frame_is_never_late_by_less_than_a_busy_loop_takes():
    lateness, sent = Lateness(), moments()
    assert lateness.held_ms(sent(0.0), 0.001) == 0.0
    assert lateness.held_ms(sent(1.0), 1.0 + (UNNOTICED_MS - 1) / 1000) == 0.0
    assert lateness.held_ms(sent(1.0), 1.5) > 0.0


def test_what_was_met_in_the_window_before_still_counts():
    lateness, sent = Lateness(), moments()
    lateness.held_ms(sent(0.0), 0.0)
    slow_s = 0.9
    for tenths in range(1, 2 * int(WINDOW_S * 10)):
        at_s = tenths / 10
        held = lateness.held_ms(sent(at_s), at_s + slow_s)
        assert held <= slow_s * 1000
        if at_s + slow_s < 5.0:
            assert held >= slow_s * 1000 - (at_s + slow_s) * 1000 * DRIFT - 1


def test_the_first_frame_of_a_connection_is_believed():
    assert Lateness().held_ms(1, 1e6) == 0.0


@pytest.mark.parametrize("rate", [0.95, 1.05])
@given(seed=st.integers(0, 2**32))
def test_clocks_that_drift_apart_make_nobody_late(rate, seed):
    generator = random.Random(seed)
    lateness, sent = Lateness(), moments(rate=rate, ahead_ms=generator.uniform(-1e10, 1e10))
    at_s = 0.0
    for _ in range(300):
        at_s += generator.choice([0.001, 0.1, 3.0, 60.0])
        assert lateness.held_ms(sent(at_s), at_s + generator.uniform(0, 0.05)) < 1100


def test_a_network_that_has_become_slower_is_got_used_to():
    lateness, sent = Lateness(), moments()
    lateness.held_ms(sent(0.0), 0.0)
    held = [lateness.held_ms(sent(second), second + 3.0) for second in range(1, 60)]
    assert held[0] > 2000
    assert max(held[30:]) == 0
