"""What is found was put there, before it was found."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.phantoms import check_no_phantoms
from dynamo_py.testing.history import Outcome


def test_a_value_that_was_put_before_is_right(put, read, history):
    assert check_no_phantoms(history(put("w1"), read("w1"), final={"w1"})) == []


@pytest.mark.parametrize("outcome", [Outcome.ACKNOWLEDGED, Outcome.UNKNOWN])
def test_a_put_may_be_found_while_it_is_under_way(outcome, put, read, history):
    told = put("w1", at=2, until=9, outcome=outcome), read("w1", at=1, until=2)
    assert check_no_phantoms(history(*told, final={"w1"})) == []


def test_an_unknown_put_may_be_found_long_after_its_client_gave_up(put, read, history):
    told = put("w1", at=1, until=2, outcome=Outcome.UNKNOWN), read("w1", at=90)
    assert check_no_phantoms(history(*told)) == []


def test_a_value_that_nobody_wrote_is_a_phantom(read, history):
    assert check_no_phantoms(history(read("w1"), final={"w2"})) == [
        "k: the read of c9 from 10.000 to 10.500 s found w1, which nobody wrote",
        "k: w2 is there in the end, which nobody wrote",
    ]


def test_a_value_of_another_key_is_a_phantom(put, read, history):
    found = check_no_phantoms(history(put("w1", key="other"), read("w1")))
    assert found == ["k: the read of c9 from 10.000 to 10.500 s found w1, which nobody wrote"]


def test_a_put_that_was_not_applied_is_a_phantom(put, read, history):
    write = put("w1", outcome=Outcome.NOT_APPLIED)
    assert check_no_phantoms(history(write, read("w1"), final={"w1"})) == [
        "k: the read of c9 from 10.000 to 10.500 s found w1, whose put by c1 was not applied",
        "k: w1 is there in the end, whose put by c1 was not applied",
    ]


def test_a_value_found_before_its_put_began_is_a_phantom(put, read, history):
    told = put("w1", at=2.5), read("w1", at=1, until=2)
    assert check_no_phantoms(history(*told, final={"w1"})) == [
        "k: the read of c9 from 1.000 to 2.000 s found w1, whose put by c1 began only at 2.500 s"
    ]


def test_a_delete_found_as_a_value_is_a_phantom(delete, read, history):
    found = check_no_phantoms(history(delete("d1"), read("d1"), final={"d1"}))
    assert len(found) == 2
    assert all("which is a delete" in line for line in found)


def test_even_a_degraded_read_finds_no_phantom(read, history):
    assert len(check_no_phantoms(history(read("w1", degraded=True)))) == 1
