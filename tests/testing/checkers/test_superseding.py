"""What supersedes what, against a dumb model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamo_py.testing.checkers.superseding import KeyHistory, by_key
from dynamo_py.testing.history import History, Outcome, Write

NAMES = "abcdefgh"
WRITES = st.fixed_dictionaries(
    {
        name: st.tuples(st.frozensets(st.sampled_from(NAMES)), st.sampled_from(Outcome))
        for name in NAMES
    }
)


def reachable(edges: set[tuple[str, str]], start: str) -> set[str]:
    """All that ``edges`` lead to from ``start``, found by looking again until nothing is new."""
    reached: set[str] = set()
    while True:
        more = {to for here, to in edges if here in {start, *reached}} - reached
        if not more:
            return reached
        reached |= more


@given(WRITES, st.lists(st.sampled_from(NAMES)))
def test_supersession_is_what_can_be_reached_even_in_circles(told, sources):
    writes = {
        name: Write("k", name, False, saw, "c", 0.0, 0.0, outcome, False)
        for name, (saw, outcome) in told.items()
    }
    edges = {
        (name, older)
        for name, (saw, outcome) in told.items()
        if outcome is not Outcome.NOT_APPLIED
        for older in saw
    }
    expected: dict[str, str] = {}
    for source in sources:
        for name in reachable(edges, source):
            expected.setdefault(name, source)
    assert KeyHistory("k", writes, [], frozenset()).superseded_by(sources) == expected


def test_each_key_has_its_own_history_in_the_order_of_the_keys(put, read):
    told = History(
        [put("w1", key="b"), put("w2", key="a")], [read("w3", key="c")], {"d": frozenset({"w4"})}
    )
    histories = by_key(told)
    assert [each.key for each in histories] == ["a", "b", "c", "d"]
    assert [list(each.writes) for each in histories] == [["w2"], ["w1"], [], []]
    assert [len(each.reads) for each in histories] == [0, 0, 1, 0]
    assert [each.final for each in histories][2:] == [frozenset(), frozenset({"w4"})]


def test_two_writes_of_one_name_are_refused(put, history):
    with pytest.raises(ValueError, match="k: two writes are named w1"):
        by_key(history(put("w1"), put("w1")))
