"""A read sees every put that was acknowledged before it began."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.freshness import check_reads_see_acknowledged_writes
from dynamo_py.testing.history import Outcome

ACKNOWLEDGED, UNKNOWN, NOT_APPLIED = Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.NOT_APPLIED


def test_a_read_that_finds_the_value_has_seen_it(put, read, history):
    assert check_reads_see_acknowledged_writes(history(put("w1"), read("w1"))) == []


def test_a_read_that_finds_nothing_has_missed_it(put, read, history):
    assert check_reads_see_acknowledged_writes(history(put("w1", at=2), read())) == [
        "k: the read of c9 from 10.000 to 10.500 s misses w1 (of c1, acknowledged at 2.500 s)"
    ]


def test_that_it_was_the_own_write_of_the_reader_is_said(put, read, history):
    told = put("w1", client="c9", at=2), read()
    assert check_reads_see_acknowledged_writes(history(*told)) == [
        "k: the read of c9 from 10.000 to 10.500 s misses w1 (its own, acknowledged at 2.500 s)"
    ]


def test_a_read_that_began_before_the_acknowledgement_may_miss_it(put, read, history):
    for until, lines in ((10.0, 1), (10.001, 0)):
        told = put("w1", at=2, until=until), read(at=10.0)
        assert len(check_reads_see_acknowledged_writes(history(*told))) == lines


@pytest.mark.parametrize("outcome", [UNKNOWN, NOT_APPLIED])
def test_a_put_that_was_not_acknowledged_may_be_missed(outcome, put, read, history):
    assert check_reads_see_acknowledged_writes(history(put("w1", outcome=outcome), read())) == []


def test_a_degraded_put_may_be_missed_and_by_a_degraded_read_any_put(put, read, history):
    for told in (
        (put("w1", degraded=True), read()),
        (put("w1"), read(degraded=True)),
    ):
        assert check_reads_see_acknowledged_writes(history(*told)) == []


def test_a_read_that_finds_what_superseded_the_value_has_seen_it(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN), put("w3", saw={"w2"}), read("w3")
    assert check_reads_see_acknowledged_writes(history(*told)) == []


def test_a_sibling_does_not_stand_for_another(put, read, history):
    told = put("w1"), put("w2"), read("w2")
    assert len(check_reads_see_acknowledged_writes(history(*told))) == 1


def test_a_put_that_superseded_the_value_and_is_not_found_does_not_excuse(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}, outcome=UNKNOWN), read()
    assert len(check_reads_see_acknowledged_writes(history(*told))) == 1


@pytest.mark.parametrize("outcome", [ACKNOWLEDGED, UNKNOWN])
def test_a_delete_begun_before_the_read_ended_excuses(outcome, put, delete, read, history):
    told = (
        put("w1"),
        put("w2", saw={"w1"}),
        delete("d3", saw={"w2"}, at=10.5, until=20, outcome=outcome, degraded=True),
        read(at=10, until=10.5),
    )
    assert check_reads_see_acknowledged_writes(history(*told)) == []


def test_a_delete_begun_after_the_read_had_ended_does_not_excuse(put, delete, read, history):
    told = put("w1"), delete("d2", saw={"w1"}, at=10.6), read(at=10, until=10.5)
    assert len(check_reads_see_acknowledged_writes(history(*told))) == 1


def test_a_delete_that_was_not_applied_does_not_excuse(put, delete, read, history):
    told = put("w1"), delete("d2", saw={"w1"}, outcome=NOT_APPLIED), read()
    assert len(check_reads_see_acknowledged_writes(history(*told))) == 1


def test_a_delete_that_did_not_see_the_value_does_not_excuse(put, delete, read, history):
    told = put("w1"), put("w2"), delete("d3", saw={"w2"}), read()
    assert len(check_reads_see_acknowledged_writes(history(*told))) == 1


def test_a_read_of_another_key_misses_nothing(put, read, history):
    assert check_reads_see_acknowledged_writes(history(put("w1"), read(key="other"))) == []
