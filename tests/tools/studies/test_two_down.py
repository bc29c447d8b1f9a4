"""What a run with two nodes down is judged by."""

from __future__ import annotations

from bench.load import Phase
from studies.at_rest import Rest
from studies.stored_keys import Comparison, Filled
from studies.two_down import Found


def found(
    *,
    refused: dict[int, str] | None = None,
    rest: Rest | None = None,
    comparison: Comparison | None = None,
) -> Found:
    filled = Filled(Phase("put", 2, 1.0, (0.1, 0.2)), refused or {}, 1)
    return Found(filled, 1.5, rest or Rest(12.0), comparison or Comparison(2, 6))


def verdicts(run: Found) -> list[bool]:
    return [bar.is_met for bar in run.bars()]


def test_a_run_in_which_all_went_well_has_no_troubles():
    assert verdicts(found()) == [True] * 4
    assert found().troubles() == []


def test_one_refused_put_is_one_too_many():
    run = found(refused={7: "QuorumNotMet: 1 of 2"})
    assert verdicts(run) == [False, True, True, True]
    assert run.troubles() == ["put 7: QuorumNotMet: 1 of 2"]


def test_rest_comes_in_time_too_late_or_not_at_all():
    assert verdicts(found(rest=Rest(30.1))) == [True, False, True, True]
    given_up = found(rest=Rest(20.0, "waiting for: 3 hints"))
    assert verdicts(given_up) == [True, False, True, True]
    assert given_up.troubles() == ["waiting for: 3 hints"]


def test_one_key_that_is_not_well_is_one_too_many():
    differing = found(comparison=Comparison(2, 6, differing=["key-1"]))
    wrong = found(comparison=Comparison(2, 6, wrong=["key-2"]))
    assert verdicts(differing) == [True, True, False, True]
    assert verdicts(wrong) == [True, True, True, False]
    assert differing.troubles() + wrong.troubles() == ["key-1", "key-2"]
