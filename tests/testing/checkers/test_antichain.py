"""No value is found beside one that superseded it."""

from __future__ import annotations

from dynamo_py.testing.checkers.antichain import check_siblings_are_concurrent
from dynamo_py.testing.history import Outcome


def test_siblings_that_did_not_see_each_other_are_right(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}), put("w3", saw={"w1"}), read("w2", "w3")
    assert check_siblings_are_concurrent(history(*told, final={"w2", "w3"})) == []


def test_an_old_value_alone_is_not_a_false_conflict(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}), read("w1"), read("w2")
    assert check_siblings_are_concurrent(history(*told, final={"w1"})) == []


def test_a_value_beside_the_one_that_superseded_it_is_a_false_conflict(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}), read("w1", "w2", degraded=True)
    assert check_siblings_are_concurrent(history(*told, final={"w1", "w2"})) == [
        "k: in the end there is w1 beside w2, which superseded it",
        "k: the read of c9 from 10.000 to 10.500 s found w1 beside w2, which superseded it",
    ]


def test_supersession_goes_through_what_nobody_found(put, delete, read, history):
    told = (
        put("w1"),
        put("w2", saw={"w1"}, outcome=Outcome.UNKNOWN),
        delete("d3", saw={"w2"}),
        put("w4", saw={"d3"}),
        read("w1", "w4"),
    )
    assert len(check_siblings_are_concurrent(history(*told))) == 1


def test_an_unknown_write_that_is_found_has_superseded_what_it_saw(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}, outcome=Outcome.UNKNOWN), read("w1", "w2")
    assert len(check_siblings_are_concurrent(history(*told))) == 1


def test_each_of_several_superseded_values_has_its_line(put, read, history):
    told = put("w1"), put("w2"), put("w3", saw={"w1", "w2"}), read("w1", "w2", "w3")
    assert len(check_siblings_are_concurrent(history(*told))) == 2
