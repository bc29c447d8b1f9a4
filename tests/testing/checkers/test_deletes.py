"""What an acknowledged delete had seen is not there again in the end."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.deletes import check_deletes_stay_deleted
from dynamo_py.testing.history import Outcome


def test_a_deleted_value_that_is_gone_is_right(put, delete, history):
    assert check_deletes_stay_deleted(history(put("w1"), delete("d2", saw={"w1"}))) == []


def test_a_deleted_value_that_is_there_is_a_resurrection(put, delete, history):
    writes = put("w1"), delete("d2", saw={"w1"}, at=11.8)
    assert check_deletes_stay_deleted(history(*writes, final={"w1"})) == [
        "k: w1 was deleted by d2 (acknowledged at 12.300 s), and is back"
    ]


def test_what_the_deleted_value_had_superseded_is_deleted_as_well(put, delete, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=Outcome.UNKNOWN), delete("d3", saw={"w2"})
    assert len(check_deletes_stay_deleted(history(*writes, final={"w1"}))) == 1


def test_a_value_that_the_delete_did_not_see_survives_it(put, delete, history):
    writes = put("w1"), put("w2"), delete("d3", saw={"w1"})
    assert check_deletes_stay_deleted(history(*writes, final={"w2"})) == []


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NOT_APPLIED])
def test_a_delete_that_was_not_acknowledged_promises_nothing(outcome, put, delete, history):
    writes = put("w1"), delete("d2", saw={"w1"}, outcome=outcome)
    assert check_deletes_stay_deleted(history(*writes, final={"w1"})) == []


def test_a_superseded_value_is_left_to_the_checker_of_puts(put, history):
    writes = put("w1"), put("w2", saw={"w1"})
    assert check_deletes_stay_deleted(history(*writes, final={"w1"})) == []
