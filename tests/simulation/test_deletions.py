"""Cycles of delete and re-creation, while a node is away for longer than deletes are kept."""

from __future__ import annotations

from studies.deletions import CLIENTS, measure


def test_no_delete_comes_undone_by_a_node_that_was_long_away_and_nothing_put_after_is_lost():
    figures = measure(cycles=150)
    assert figures.violations == ()
    assert figures.cycles >= 150
    assert figures.keys == CLIENTS * figures.rounds
    assert figures.forgotten > 20
    assert figures.degraded > 20
    assert figures.acknowledged > 0.9 * figures.operations
