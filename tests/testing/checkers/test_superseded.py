"""What was superseded is not there again in the end."""

from __future__ import annotations

from dynamo_py.testing.checkers.superseded import check_superseded_stays_superseded
from dynamo_py.testing.history import Outcome

UNKNOWN = Outcome.UNKNOWN


def test_siblings_that_did_not_see_each_other_are_right(put, history):
    writes = put("w1"), put("w2"), put("w3", saw={"w1"})
    assert check_superseded_stays_superseded(history(*writes, final={"w2", "w3"})) == []


def test_a_value_that_an_acknowledged_put_superseded_is_back(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, at=2)
    for final in ({"w1"}, {"w1", "w2"}):
        assert check_superseded_stays_superseded(history(*writes, final=final)) == [
            "k: w1 was superseded by w2 (acknowledged at 2.500 s), and is back"
        ]


def test_a_put_of_unknown_outcome_may_have_superseded_nothing(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN)
    assert check_superseded_stays_superseded(history(*writes, final={"w1"})) == []


def test_a_put_of_unknown_outcome_that_is_there_has_superseded_what_it_saw(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN)
    assert check_superseded_stays_superseded(history(*writes, final={"w1", "w2"})) == [
        "k: w1 was superseded by w2 (its outcome unknown), and is back"
    ]


def test_a_put_of_unknown_outcome_that_an_acknowledged_one_saw_took_effect(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN), put("w3", saw={"w2"}, at=3)
    assert check_superseded_stays_superseded(history(*writes, final={"w1", "w3"})) == [
        "k: w1 was superseded by w3 (acknowledged at 3.500 s), and is back"
    ]


def test_a_put_that_was_not_applied_has_superseded_nothing(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=Outcome.NOT_APPLIED)
    assert check_superseded_stays_superseded(history(*writes, final={"w1", "w2"})) == []


def test_a_deleted_value_is_left_to_the_checker_of_deletes(put, delete, history):
    writes = put("w1"), delete("d2", saw={"w1"})
    assert check_superseded_stays_superseded(history(*writes, final={"w1"})) == []


def test_what_a_delete_covered_is_covered_by_a_put_after_it(put, delete, history):
    writes = put("w1"), delete("d2", saw={"w1"}, outcome=UNKNOWN), put("w3", saw={"d2"})
    assert len(check_superseded_stays_superseded(history(*writes, final={"w1", "w3"}))) == 1
