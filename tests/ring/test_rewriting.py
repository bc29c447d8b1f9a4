"""Rewriting short runs, against trying every permutation."""

from __future__ import annotations

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from ring.rewriting import rewrite


def is_clear(run: list[int], before: list[int], after: list[int], labels: list[int]) -> bool:
    """Whether no token of the run clashes, by the definition."""
    written = [labels[node] for node in [*before, *run, *after]]
    spacing = len(before) + 1
    inside = range(len(before), len(before) + len(run))
    return not any(
        written[place] == written[other]
        for place in inside
        for other in range(place - spacing + 1, place + spacing)
        if other != place
    )


@st.composite
def runs(draw: st.DrawFn) -> tuple[list[int], list[int], list[int], list[int]]:
    node = st.integers(0, 4)
    reach = draw(st.integers(0, 2))
    sides = st.lists(node, min_size=reach, max_size=reach)
    labels = draw(st.sampled_from([[0, 1, 2, 3, 4], [0, 0, 1, 2, 3]]))
    return draw(st.lists(node, min_size=2, max_size=5)), draw(sides), draw(sides), labels


@given(runs())
def test_a_run_is_rewritten_exactly_when_some_order_of_it_is_clear(
    drawn: tuple[list[int], list[int], list[int], list[int]],
) -> None:
    run, before, after, labels = drawn
    written = rewrite(run, before, after, labels, changes_max=len(run))
    clear = [
        list(order) for order in permutations(run) if is_clear(list(order), before, after, labels)
    ]
    if written is None:
        assert not clear
        return
    assert written in clear
    fewest = min(sum(map(int.__ne__, run, order)) for order in clear)
    assert sum(map(int.__ne__, run, written)) <= max(2, fewest)


def test_no_more_changes_are_made_than_allowed() -> None:
    labels = [0, 1, 2]
    assert rewrite([2, 1, 0, 2], [0, 1], [0, 1], labels, changes_max=1) is None
    assert rewrite([2, 1, 0, 2], [0, 1], [0, 1], labels, changes_max=2) == [2, 0, 1, 2]
