"""The checker finds what it is to find, and nothing else."""

from __future__ import annotations

from dynamo_py.testing.checkers.lost_writes import check_nothing_lost
from dynamo_py.testing.history import History, Outcome

ACKED, UNKNOWN, NOT_APPLIED = Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.NOT_APPLIED


def history(*writes: tuple[bytes, set[bytes], Outcome], final: set[bytes]) -> History:
    made = History()
    for value, saw, outcome in writes:
        made.note("k", value, saw, outcome)
    made.note_final("k", final)
    return made


def test_a_value_that_is_there_is_kept():
    assert check_nothing_lost(history((b"a", set(), ACKED), final={b"a"})) == []


def test_an_acknowledged_value_that_is_gone_is_lost():
    found = check_nothing_lost(history((b"a", set(), ACKED), final=set()))
    assert found == ["k: b'a' was acknowledged, and is lost"]


def test_a_value_superseded_by_one_that_saw_it_is_kept():
    writes = (b"a", set(), ACKED), (b"b", {b"a"}, ACKED)
    assert check_nothing_lost(history(*writes, final={b"b"})) == []


def test_a_value_replaced_by_one_that_did_not_see_it_is_lost():
    writes = (b"a", set(), ACKED), (b"b", set(), ACKED)
    assert len(check_nothing_lost(history(*writes, final={b"b"}))) == 1


def test_supersession_goes_through_writes_of_unknown_outcome():
    writes = (b"a", set(), ACKED), (b"b", {b"a"}, UNKNOWN), (b"c", {b"b"}, ACKED)
    assert check_nothing_lost(history(*writes, final={b"c"})) == []


def test_a_write_that_was_not_applied_supersedes_nothing():
    writes = (b"a", set(), ACKED), (b"b", {b"a"}, NOT_APPLIED)
    assert len(check_nothing_lost(history(*writes, final=set()))) == 1


def test_a_write_that_was_not_applied_must_not_be_there():
    found = check_nothing_lost(history((b"a", set(), NOT_APPLIED), final={b"a"}))
    assert found == ["k: b'a' is there, and nobody wrote it"]


def test_a_value_that_nobody_wrote_is_found():
    assert len(check_nothing_lost(history(final={b"ghost"}))) == 1


def test_an_unknown_write_may_be_lost():
    assert check_nothing_lost(history((b"a", set(), UNKNOWN), final=set())) == []
