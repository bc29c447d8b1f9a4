"""Reads that hide what a node held that answered them, or that promise more than was voted for."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.answers import (
    Answering,
    check_degraded_is_said,
    check_read_shows_what_is_held,
)


def node(held: str = "", *, may_vote: bool = True) -> Answering:
    """One letter a write."""
    return Answering(frozenset(held), may_vote)


# --- what is shown ------------------------------------------------------------------------------


@pytest.mark.parametrize("degraded", [False, True])
def test_a_read_that_misses_what_one_held_who_answered_is_wrong(read, degraded):
    told = read("b", at=1.0, degraded=degraded)
    nodes = {"n2": node("ab"), "n1": node("a"), "n3": node("b")}
    assert check_read_shows_what_is_held(told, "ab", nodes) == [
        "k: the read of c9 from 1.000 to 1.500 s misses a, which n1 n2 held"
    ]


def test_a_read_that_shows_all_that_is_held_is_right(read):
    assert check_read_shows_what_is_held(read("a", "b"), "ab", {"n1": node("ab")}) == []


def test_what_is_not_owed_need_not_be_shown(read):
    assert check_read_shows_what_is_held(read(), "b", {"n1": node("a")}) == []


def test_what_nobody_held_who_answered_need_not_be_shown(read):
    assert check_read_shows_what_is_held(read(), "a", {"n1": node()}) == []


# --- what is said -------------------------------------------------------------------------------


def said(told, replied: str, **may_vote: bool) -> list[str]:
    answering = {name: node(may_vote=may) for name, may in may_vote.items()}
    return check_degraded_is_said(told, replied.split(), answering, answers=2)


def test_a_read_that_too_few_voted_for_has_to_say_so(read):
    assert said(read(at=1.0), "n3 n1", n1=True, n3=False) == [
        "k: the read of c9 from 1.000 to 1.500 s is not called degraded,"
        " and n3 of n1 n3 might not vote"
    ]
    assert said(read(degraded=True), "n3 n1", n1=True, n3=False) == []


def test_enough_votes_are_enough_whoever_else_has_answered(read):
    assert said(read(), "n1 n2 n3", n1=True, n2=True, n3=False) == []


def test_of_whom_nothing_is_known_may_have_voted(read):
    assert said(read(), "n1 n3", n1=True) == []
