"""What was acknowledged is there, or superseded by something that is kept."""

from __future__ import annotations

from dynamo_py.testing.checkers.lost_writes import check_nothing_lost
from dynamo_py.testing.history import History, Outcome

UNKNOWN, NOT_APPLIED = Outcome.UNKNOWN, Outcome.NOT_APPLIED


def test_a_value_that_is_there_is_kept(put, history):
    assert check_nothing_lost(history(put("w1"), final={"w1"})) == []


def test_an_acknowledged_value_that_is_gone_is_lost(put, history):
    found = check_nothing_lost(history(put("w1", at=2)))
    assert found == ["k: w1 of c1 was acknowledged at 2.500 s, and is lost"]


def test_a_key_that_the_final_state_does_not_mention_has_lost_its_value(put):
    assert len(check_nothing_lost(History([put("w1")]))) == 1


def test_a_value_superseded_by_one_that_saw_it_is_kept(put, history):
    writes = put("w1"), put("w2", saw={"w1"})
    assert check_nothing_lost(history(*writes, final={"w2"})) == []


def test_a_value_replaced_by_one_that_did_not_see_it_is_lost(put, history):
    assert len(check_nothing_lost(history(put("w1"), put("w2"), final={"w2"}))) == 1


def test_supersession_goes_through_writes_of_unknown_outcome(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN), put("w3", saw={"w2"})
    assert check_nothing_lost(history(*writes, final={"w3"})) == []


def test_a_superseding_write_that_is_itself_gone_keeps_nothing(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN)
    assert len(check_nothing_lost(history(*writes))) == 1


def test_a_chain_of_which_the_last_is_lost_is_lost_altogether(put, history):
    writes = put("w1"), put("w2", saw={"w1"}), put("w3", saw={"w2"})
    assert len(check_nothing_lost(history(*writes))) == 3


def test_a_write_that_was_not_applied_supersedes_nothing(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, outcome=NOT_APPLIED)
    assert len(check_nothing_lost(history(*writes, final={"w2"}))) == 1


def test_an_unknown_write_may_be_gone(put, history):
    assert check_nothing_lost(history(put("w1", outcome=UNKNOWN))) == []


def test_what_a_delete_saw_may_be_gone_even_if_nobody_knows_of_the_delete(put, delete, history):
    for outcome in (Outcome.ACKNOWLEDGED, UNKNOWN):
        writes = put("w1"), put("w2", saw={"w1"}), delete("d3", saw={"w2"}, outcome=outcome)
        assert check_nothing_lost(history(*writes)) == []


def test_a_delete_that_was_not_applied_leaves_the_value(put, delete, history):
    writes = put("w1"), delete("d2", saw={"w1"}, outcome=NOT_APPLIED)
    assert len(check_nothing_lost(history(*writes))) == 1


def test_a_delete_takes_nothing_that_it_did_not_see(put, delete, history):
    writes = put("w1"), put("w2"), delete("d3", saw={"w1"})
    found = check_nothing_lost(history(*writes))
    assert [line.split()[1] for line in found] == ["w2"]


def test_an_acknowledged_delete_leaves_no_value(delete, history):
    assert check_nothing_lost(history(delete("d1"))) == []


def test_a_write_of_another_key_keeps_nothing(put, history):
    writes = put("w1"), put("w2", saw={"w1"}, key="other", outcome=UNKNOWN)
    told = history(*writes)
    told.final["other"] = frozenset({"w2"})
    assert len(check_nothing_lost(told)) == 1
