from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossip import GossipConfig
from gossip.suspicion import LocalHealth, Suspicion, suspicion_timeout

CONFIG = GossipConfig()
SHORTEST = CONFIG.period_s * CONFIG.suspicion_periods


@given(st.integers(2, 1000), st.integers(0, 10), st.integers(0, 1000))
def test_each_confirmation_shortens_the_time_and_never_below_the_shortest(members, have, could):
    now, then = (
        suspicion_timeout(CONFIG, members=members, confirmations=count, confirmers=could)
        for count in (have, have + 1)
    )
    assert SHORTEST <= then <= now


def test_the_time_is_the_shortest_at_once_when_nobody_can_confirm():
    assert suspicion_timeout(CONFIG, members=2, confirmations=0, confirmers=0) == SHORTEST


def test_one_confirmation_is_enough_where_only_one_can_confirm():
    assert suspicion_timeout(CONFIG, members=3, confirmations=1, confirmers=1) == SHORTEST


def test_a_suspicion_that_nobody_shares_lasts_longest():
    longest = suspicion_timeout(CONFIG, members=10, confirmations=0, confirmers=8)
    assert longest == SHORTEST * CONFIG.suspicion_factor


def test_the_time_grows_with_the_logarithm_of_the_members():
    def at(members: int) -> float:
        return suspicion_timeout(CONFIG, members=members, confirmations=9, confirmers=9)

    assert at(1000) == pytest.approx(3 * SHORTEST)
    assert at(100) == pytest.approx(2 * SHORTEST)


def test_an_accuser_counts_once():
    suspicion = Suspicion(started_at=0.0)
    assert suspicion.confirm(b"a", 2)
    assert not suspicion.confirm(b"a", 2)
    assert suspicion.confirm(b"b", 2)
    assert not suspicion.confirm(b"c", 2)
    assert suspicion.accusers == [b"a", b"b"]


def test_the_first_accuser_is_no_confirmation():
    suspicion = Suspicion(started_at=100.0)
    suspicion.confirm(b"a", 4)
    assert suspicion.deadline(CONFIG, members=3, confirmers=1) == 100 + 3 * SHORTEST
    suspicion.confirm(b"b", 4)
    assert suspicion.deadline(CONFIG, members=3, confirmers=1) == 100 + SHORTEST


def test_local_health_stays_within_its_bounds():
    health = LocalHealth(2)
    health.better()
    assert health.multiplier == 1
    health.worse(5)
    assert health.multiplier == 3
    health.better()
    assert health.multiplier == 2
