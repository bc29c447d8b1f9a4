"""Quotas: shares by weight, rounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ring.quotas import quotas_of

A, B, C = (bytes([number]) * 16 for number in range(3))


@given(
    st.lists(st.sampled_from([A, B, C]), min_size=1, max_size=40),
    st.fixed_dictionaries({A: st.integers(1, 9), B: st.integers(0, 9), C: st.integers(0, 9)}),
)
def test_quotas_add_up_and_are_shares_rounded(
    present: list[bytes], weights: dict[bytes, int]
) -> None:
    quotas = quotas_of(present, weights)
    assert sum(quotas.values()) == len(present)
    for node, weight in weights.items():
        exact = len(present) * weight / sum(weights.values())
        assert abs(quotas.get(node, 0) - exact) < 1
    settled = [node for node, quota in quotas.items() for _ in range(quota)]
    assert quotas_of(settled, weights) == quotas


def test_a_share_is_rounded_up_for_who_holds_more_already() -> None:
    weights = {A: 1, B: 1, C: 1}
    assert quotas_of([C, C, A, B], weights) == {A: 1, B: 1, C: 2}
    assert quotas_of([A, A, A, A], weights) == {A: 2, B: 1, C: 1}


def test_otherwise_the_largest_remainder_is_rounded_up_then_the_smallest_id() -> None:
    assert quotas_of([C] * 4, {A: 1, B: 2, C: 0}) == {A: 1, B: 3}
    assert quotas_of([C] * 3, {A: 1, B: 1, C: 0}) == {A: 2, B: 1}
    assert quotas_of([C], {A: 1, B: 1}) == {A: 1}
