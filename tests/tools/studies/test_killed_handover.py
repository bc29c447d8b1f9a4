"""What transfers with a kill are judged by."""

from __future__ import annotations

from studies.killed_handover import JOIN, LEAVE, Found, Transfer
from studies.stored_keys import Comparison


def transfer(direction: str, sent_bytes: int, *, least_bytes: int = 1000) -> Transfer:
    return Transfer(direction, 2.0, 3.0, sent_bytes, least_bytes)


def found(*disturbed: Transfer, comparison: Comparison | None = None) -> Found:
    undisturbed = (transfer(JOIN, 1100), transfer(LEAVE, 2000))
    return Found(undisturbed, disturbed, comparison or Comparison(2, 6))


def verdicts(run: Found) -> list[bool]:
    return [bar.is_met for bar in run.bars()]


def test_a_transfer_is_held_against_those_in_its_direction():
    assert verdicts(found(transfer(JOIN, 1430), transfer(LEAVE, 2600))) == [True] * 3
    assert verdicts(found(transfer(JOIN, 1431))) == [False, True, True]


def test_what_has_to_be_copied_makes_no_difference():
    assert (
        found(transfer(JOIN, 2200, least_bytes=2000)).extra(transfer(JOIN, 2200, least_bytes=2000))
        == 1.0
    )


def test_one_key_that_is_not_well_is_one_too_many():
    one = transfer(JOIN, 1100)
    differing = Comparison(2, 6, differing=["key-1"])
    wrong = Comparison(2, 6, wrong=["key-2"])
    assert verdicts(found(one, comparison=differing)) == [True, False, True]
    assert verdicts(found(one, comparison=wrong)) == [True, True, False]
