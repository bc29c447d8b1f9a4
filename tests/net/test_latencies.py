"""Latencies of peers: who is slow beside the others, from answers and from silence."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.net.latencies import (
    LATENCY_S_MAX,
    PEERS_MAX,
    PROBE_S,
    SLOW_FACTOR,
    SLOW_S,
    STALE_S,
    Latencies,
)

FAST_S, LATE_S = 0.002, 0.1
NAMES = ("a", "b", "c")


def answer(latencies: Latencies[str], name: str, took_s: float, at: float) -> None:
    """``name`` gives an answer at this moment that took so long."""
    latencies.begin(name, at - took_s)
    latencies.end(name, at - took_s, at, is_answered=True)


def busy(took_s: dict[str, float], *, until: float = 2.0, each_s: float = 0.01) -> Latencies[str]:
    """Peers that have answered so fast, again and again, until that moment."""
    latencies: Latencies[str] = Latencies()
    for i in range(int(until / each_s)):
        for name, its_s in took_s.items():
            answer(latencies, name, its_s, (i + 1) * each_s)
    return latencies


@pytest.fixture
def healthy() -> Latencies[str]:
    return busy(dict.fromkeys(NAMES, FAST_S))


def test_nobody_is_slow_of_whom_nothing_is_known():
    latencies: Latencies[str] = Latencies()
    assert not latencies.slow(NAMES, 0.0)
    assert not latencies.is_suspect("a", 0.0)
    assert latencies.p95_s(NAMES) == 0


def test_nobody_is_slow_among_equals(healthy):
    assert not healthy.slow(NAMES, 2.0)
    far = busy(dict.fromkeys(NAMES, LATE_S))
    assert not far.slow(NAMES, 2.0), "slow is who is slower than others"


def test_one_late_answer_after_a_pause_makes_a_peer_slow(healthy):
    answer(healthy, "a", LATE_S, 2.0 + LATE_S)
    assert healthy.slow(NAMES, 2.0 + LATE_S) == ["a"]


def test_one_late_answer_among_many_does_not(healthy):
    now = 2.0
    for i in range(1000):
        now += 0.0005
        answer(healthy, "a", LATE_S if i == 500 else FAST_S, now)
        assert not healthy.slow(NAMES, now)


def test_a_peer_that_stops_answering_is_slow_while_requests_wait_for_it(healthy):
    healthy.begin("a", 2.0)
    healthy.begin("b", 2.0)
    healthy.end("b", 2.0, 2.0 + FAST_S, is_answered=True)
    assert not healthy.slow(NAMES, 2.0 + SLOW_S)
    assert healthy.slow(NAMES, 2.0 + 2 * SLOW_S) == ["a"]
    healthy.end("a", 2.0, 2.03, is_answered=True)
    assert not healthy.slow(NAMES, 2.03), "one stop of 30 ms is forgotten at once"


def test_a_peer_that_answers_others_meanwhile_is_not_silent(healthy):
    healthy.begin("a", 2.0)
    for i in range(100):
        answer(healthy, "a", FAST_S, 2.0 + i * 0.01)
    assert not healthy.slow(NAMES, 3.0)


def test_when_all_are_silent_nobody_is_slow(healthy):
    for name in NAMES:
        healthy.begin(name, 2.0)
    assert not healthy.slow(NAMES, 5.0)


def test_a_failure_makes_nobody_fast_and_a_late_one_slow(healthy):
    answer(healthy, "a", LATE_S, 2.2)
    expected_s = healthy.expected_s("a", 2.2)
    healthy.begin("a", 3.0)
    healthy.end("a", 3.0, 3.0, is_answered=False)
    assert healthy.expected_s("a", 3.0) == expected_s
    healthy.begin("b", 3.0)
    healthy.end("b", 3.0, 5.0, is_answered=False)
    assert healthy.slow(["b", "c"], 5.0) == ["b"]


def test_a_slow_peer_is_probed_now_and_then_and_is_used_again_after_some_good_answers(healthy):
    answer(healthy, "a", 10.0, 12.0)
    assert healthy.expected_s("a", 12.0) == LATENCY_S_MAX
    now, probes = 12.0, 0
    while healthy.slow(NAMES, now):
        assert now < 15.0
        now += 0.001
        if healthy.probe("a", now):
            probes += 1
            answer(healthy, "a", FAST_S, now + FAST_S)
    assert 2 <= probes <= 6, "one good answer is not enough"
    assert now - 12.0 == pytest.approx(probes * PROBE_S, abs=PROBE_S)


def test_nobody_is_probed_who_is_asked_anyway(healthy):
    assert healthy.probe("a", 2.0)
    healthy.begin("a", 2.0)
    assert not healthy.probe("a", 2.0 + PROBE_S)
    healthy.end("a", 2.0, 4.0, is_answered=False)
    assert healthy.probe("a", 4.0)
    assert not healthy.probe("a", 4.0 + PROBE_S / 2)


def test_what_was_measured_long_ago_says_nothing(healthy):
    answer(healthy, "a", LATE_S, 2.2)
    assert healthy.slow(NAMES, 2.2) == ["a"]
    assert not healthy.slow(NAMES, 2.3 + STALE_S)
    answer(healthy, "a", FAST_S, 2.3 + STALE_S)
    assert healthy.expected_s("a", 2.3 + STALE_S) == pytest.approx(FAST_S)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.floats(0, 3), st.floats(0, 1), st.booleans())))
def test_the_best_is_never_slow_and_who_is_slow_is_suspect(events):
    latencies: Latencies[str] = Latencies()
    now = 0.0
    for name, took_s, gap_s, is_left_open in events:
        now += gap_s
        latencies.begin(name, now)
        if not is_left_open:
            now += took_s
            latencies.end(name, now - took_s, now, is_answered=True)
        latencies._check()
        expected = {each: latencies.expected_s(each, now) for each in NAMES}
        best_s = min(expected.values())
        slow = latencies.slow(NAMES, now)
        for each, expected_s in expected.items():
            is_slow = expected_s > best_s * SLOW_FACTOR and expected_s > best_s + SLOW_S
            assert (each in slow) == is_slow
            assert latencies.is_suspect(each, now) or not is_slow


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200))
def test_the_latency_lies_between_those_measured(took):
    latencies: Latencies[str] = Latencies()
    for i, took_s in enumerate(took):
        answer(latencies, "a", took_s, i * 0.07 + 1)
    capped = [min(took_s, LATENCY_S_MAX) for took_s in took]
    now = (len(took) - 1) * 0.07 + 1
    assert min(capped) - 1e-9 <= latencies.expected_s("a", now) <= max(capped) + 1e-9


@given(st.integers(0, 1000), st.floats(0.001, 0.5))
def test_about_one_answer_in_twenty_takes_longer_than_the_p95(seed, mean_s):
    random = Random(seed)
    latencies: Latencies[str] = Latencies()
    above = 0
    for i in range(6000):
        took_s = random.expovariate(1 / mean_s)
        above += i >= 3000 and took_s > latencies.p95_s(["a"])
        answer(latencies, "a", took_s, i * 0.001)
    assert 0.03 < above / 3000 < 0.08


@given(st.lists(st.floats(0, 20), max_size=50))
def test_a_probe_is_at_most_every_quarter_of_a_second(moments):
    latencies: Latencies[str] = Latencies()
    answer(latencies, "a", LATE_S, 0.0)
    probes = [now for now in sorted(moments) if latencies.probe("a", now)]
    assert all(b - a >= PROBE_S - 1e-9 for a, b in pairwise(probes))


def test_peers_are_kept_in_bounds_and_those_with_open_requests_stay():
    latencies: Latencies[int] = Latencies()
    latencies.begin(0, 0.0)
    for name in range(1, PEERS_MAX + 10):
        latencies.begin(name, 0.0)
        latencies.end(name, 0.0, 0.001, is_answered=True)
    assert len(latencies.statistics()) == PEERS_MAX
    latencies.end(0, 0.0, 0.001, is_answered=True)
