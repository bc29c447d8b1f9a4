"""Quorums in numbers, against the sets that they stand for."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.coordinator.plan import (
    Needs,
    majority,
    needs_of_read,
    needs_of_write,
    read_before_repeating,
)
from dynamo_py.errors import InvalidRequest
from dynamo_py.wire.messages import ALL, MAJORITY, Quorum

N = st.integers(1, 16)


@pytest.mark.parametrize("n", range(1, 8))
def test_a_majority_is_the_smallest_number_of_which_any_two_overlap(n):
    def overlap(size: int) -> bool:
        quorums = [set(q) for q in combinations(range(n), size)]
        return all(a & b for a in quorums for b in quorums)

    assert majority(n) == next(size for size in range(1, n + 1) if overlap(size))


@given(N)
def test_what_is_not_said_is_a_majority_and_of_nothing_else_any(n):
    assert needs_of_write(Quorum(), n, is_durable=True) == Needs(majority(n), 0)
    assert needs_of_read(Quorum(), n) == Needs(majority(n), 0)


@given(N, st.data())
def test_a_number_means_itself_and_names_mean_theirs(n, data):
    asked = data.draw(st.integers(1, n))
    for quorum, count in ((asked, asked), (ALL, n), (MAJORITY, majority(n))):
        assert needs_of_write(Quorum(quorum), n, is_durable=False).answers == count
        assert needs_of_read(Quorum(quorum), n).answers == count
        assert needs_of_write(Quorum(0, 0, quorum), n, is_durable=True).primaries == count
        assert needs_of_read(Quorum(0, 0, quorum), n).primaries == count


@given(N, st.sampled_from(["answers", "durable", "primaries"]), st.integers(1, 100))
def test_more_than_there_are_replicas_is_refused(n, field, beyond):
    quorum = Quorum()._replace(**{field: n + beyond})
    with pytest.raises(InvalidRequest, match="the replicas in force"):
        needs_of_write(quorum, n, is_durable=True)


@pytest.mark.parametrize("number", [-3, -1000])
def test_a_number_that_means_nothing_is_refused(number):
    with pytest.raises(InvalidRequest):
        needs_of_read(Quorum(number), 3)


@given(N, st.data())
def test_dw_above_w_asks_for_so_many_acknowledgements(n, data):
    w, dw = data.draw(st.integers(1, n)), data.draw(st.integers(1, n))
    assert needs_of_write(Quorum(w, dw), n, is_durable=True).answers == max(w, dw)


@given(N)
def test_an_explicit_dw_is_refused_where_nothing_is_durable_when_acknowledged(n):
    with pytest.raises(InvalidRequest, match="dw"):
        needs_of_write(Quorum(0, 1), n, is_durable=False)


@given(N, st.data())
def test_a_put_is_repeated_after_a_majority_said_what_it_knows_or_as_many_as_it_needs(n, data):
    w, dw = data.draw(st.integers(0, n)), data.draw(st.integers(0, n))
    write = Quorum(w, dw, data.draw(st.integers(0, n)))
    needs = needs_of_read(read_before_repeating(write, n), n)
    assert needs.primaries == 0
    assert needs.answers == min(majority(n), needs_of_write(write, n, is_durable=True).answers)
