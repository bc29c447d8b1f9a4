"""What was added is there until it is removed, and nothing else is."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.sets import Element, check_sets
from dynamo_py.testing.history import Outcome

ACKNOWLEDGED, UNKNOWN, NOT_APPLIED = Outcome.ACKNOWLEDGED, Outcome.UNKNOWN, Outcome.NOT_APPLIED
THERE, GONE = {"k": frozenset({"e"})}, {"k": frozenset()}

LOST = ["k: e was added, acknowledged so, and is lost"]
BACK = ["k: e was removed, acknowledged so, and is back"]
NEVER_ADDED = ["k: e is there in the end, and adding it was not applied"]


@pytest.mark.parametrize(
    ("added", "removed", "if_there", "if_gone"),
    [
        (ACKNOWLEDGED, None, [], LOST),
        (ACKNOWLEDGED, NOT_APPLIED, [], LOST),
        (ACKNOWLEDGED, UNKNOWN, [], []),
        (ACKNOWLEDGED, ACKNOWLEDGED, BACK, []),
        (UNKNOWN, None, [], []),
        (UNKNOWN, NOT_APPLIED, [], []),
        (UNKNOWN, UNKNOWN, [], []),
        (UNKNOWN, ACKNOWLEDGED, BACK, []),
        (NOT_APPLIED, None, NEVER_ADDED, []),
    ],
)
def test_whether_an_element_may_be_there_follows_from_what_was_done(
    added, removed, if_there, if_gone
):
    element = Element("k", "e", added, removed)
    assert check_sets([element], THERE) == if_there
    assert check_sets([element], GONE) == if_gone


def test_an_element_that_nobody_added_is_found():
    assert check_sets([], THERE) == ["k: e is there in the end, and nobody added it"]


def test_an_element_of_another_set_counts_as_added_by_nobody():
    found = check_sets([Element("other", "e", ACKNOWLEDGED, None)], THERE)
    assert found == [
        "k: e is there in the end, and nobody added it",
        "other: e was added, acknowledged so, and is lost",
    ]


def test_an_element_told_twice_is_refused():
    element = Element("k", "e", ACKNOWLEDGED, None)
    with pytest.raises(ValueError, match="k: e is told twice"):
        check_sets([element, element], THERE)
