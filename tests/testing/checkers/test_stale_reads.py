"""A read shows nothing that had been superseded, and acknowledged so, before it began."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.stale_reads import check_reads_show_nothing_superseded
from dynamo_py.testing.history import Outcome


def test_a_value_that_nothing_had_superseded_is_right(put, delete, read, history):
    told = put("w1"), put("w2"), delete("d3", saw={"w1"}), read("w2")
    assert check_reads_show_nothing_superseded(history(*told)) == []


def test_a_value_that_had_been_superseded_is_stale(put, read, history):
    told = put("w1"), put("w2", saw={"w1"}, at=2), read("w1")
    assert check_reads_show_nothing_superseded(history(*told)) == [
        "k: the read of c9 from 10.000 to 10.500 s found w1,"
        " which w2 of c1 (acknowledged at 2.500 s) had superseded"
    ]


def test_a_value_that_had_been_deleted_is_stale(put, delete, read, history):
    told = put("w1"), delete("d2", saw={"w1"}, at=2), read("w1")
    assert check_reads_show_nothing_superseded(history(*told)) == [
        "k: the read of c9 from 10.000 to 10.500 s found w1,"
        " which d2 of c1 (acknowledged at 2.500 s) had deleted"
    ]


def test_what_a_put_of_unknown_outcome_had_seen_is_stale_once_that_is_superseded(
    put, read, history
):
    told = put("w1"), put("w2", saw={"w1"}, outcome=Outcome.UNKNOWN), put("w3", saw={"w2"})
    assert len(check_reads_show_nothing_superseded(history(*told, read("w1")))) == 1


def test_a_write_acknowledged_only_after_the_read_began_may_be_missed(put, read, history):
    for until, lines in ((10.0, 1), (10.001, 0)):
        told = put("w1"), put("w2", saw={"w1"}, at=2, until=until), read("w1", at=10)
        assert len(check_reads_show_nothing_superseded(history(*told))) == lines


def test_the_first_acknowledged_counts_in_whatever_order_the_writes_are_told(put, read, history):
    late = put("w2", saw={"w1"}, at=2, until=20)
    early = put("w3", saw={"w1"}, at=2, until=3)
    for writes in ((late, early), (early, late)):
        found = check_reads_show_nothing_superseded(history(put("w1"), *writes, read("w1")))
        assert [line.split("which ")[1].split()[0] for line in found] == ["w3"]


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NOT_APPLIED])
def test_a_write_that_was_not_acknowledged_may_be_missed(outcome, put, read, history):
    told = put("w1"), put("w2", saw={"w1"}, outcome=outcome), read("w1")
    assert check_reads_show_nothing_superseded(history(*told)) == []


def test_a_degraded_write_may_be_missed_and_by_a_degraded_read_any(put, read, history):
    for told in (
        (put("w1"), put("w2", saw={"w1"}, degraded=True), read("w1")),
        (put("w1"), put("w2", saw={"w1"}), read("w1", degraded=True)),
    ):
        assert check_reads_show_nothing_superseded(history(*told)) == []
