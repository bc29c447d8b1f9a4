"""The ledger of elements, and the keys that follow each other."""

from __future__ import annotations

import pytest

from dynamo_py.testing.history import Outcome
from dynamo_py.testing.workloads.elements import ELEMENTS_MAX, Elements

ACKNOWLEDGED, UNKNOWN, NOT_APPLIED = Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.NOT_APPLIED
KEY = "set/0"


@pytest.fixture
def elements():
    return Elements(["set"])


def test_a_key_takes_a_bounded_number_of_elements_and_another_takes_its_place(elements):
    used = [elements.use("set") for _ in range(ELEMENTS_MAX)]
    assert used == [("set/0", number) for number in range(ELEMENTS_MAX)]
    assert elements.key("set") == "set/1"
    assert elements.use("set") == ("set/1", ELEMENTS_MAX), "a number is not used again"
    assert elements.keys == ["set/0", "set/1"]


@pytest.mark.parametrize(
    ("added", "removed", "is_there", "is_wrong", "is_wrong_if_lossy"),
    [
        (ACKNOWLEDGED, [], True, False, False),
        (ACKNOWLEDGED, [], False, True, False),
        (ACKNOWLEDGED, [NOT_APPLIED], False, True, False),
        (ACKNOWLEDGED, [UNKNOWN], False, False, False),
        (ACKNOWLEDGED, [UNKNOWN], True, False, False),
        (ACKNOWLEDGED, [ACKNOWLEDGED], True, True, False),
        (ACKNOWLEDGED, [UNKNOWN, ACKNOWLEDGED, NOT_APPLIED], True, True, False),
        (ACKNOWLEDGED, [NOT_APPLIED, UNKNOWN], False, False, False),
        (UNKNOWN, [], True, False, False),
        (UNKNOWN, [], False, False, False),
        (UNKNOWN, [ACKNOWLEDGED], True, True, False),
        (NOT_APPLIED, [], True, True, True),
        (NOT_APPLIED, [], False, False, False),
    ],
)
def test_what_may_be_there(elements, added, removed, is_there, is_wrong, is_wrong_if_lossy):
    elements.note_added(KEY, "e", added)
    for outcome in removed:
        elements.note_removed(KEY, ["e"], outcome)
    final = {KEY: ["e"] if is_there else []}
    assert bool(elements.violations(final, is_lossless=True)) is is_wrong
    assert bool(elements.violations(final, is_lossless=False)) is is_wrong_if_lossy


def test_a_key_that_is_missing_in_the_end_was_empty(elements):
    elements.note_added(KEY, "e", ACKNOWLEDGED)
    assert len(elements.violations({}, is_lossless=True)) == 1
