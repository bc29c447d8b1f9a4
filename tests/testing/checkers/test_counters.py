"""Every acknowledged increment counts, and none that nobody made."""

from __future__ import annotations

import pytest

from dynamo_py.testing.checkers.counters import Counted, check_counters


@pytest.mark.parametrize("final", [5, 6, 7])
def test_anything_between_acknowledged_and_attempted_is_right(final):
    assert check_counters([Counted("k", "c1", acknowledged=5, attempted=7, final=final)]) == []


def test_fewer_than_acknowledged_are_too_few():
    found = check_counters([Counted("k", "c1", acknowledged=5, attempted=7, final=4)])
    assert found == ["k: c1 has 4 in the end, and 5 were acknowledged"]


def test_more_than_attempted_are_too_many():
    found = check_counters([Counted("k", "c1", acknowledged=5, attempted=7, final=8)])
    assert found == ["k: c1 has 8 in the end, and only 7 were attempted"]


def test_clients_and_keys_are_told_apart_and_sorted():
    cells = [
        Counted("k2", "c1", acknowledged=1, attempted=1, final=0),
        Counted("k1", "c2", acknowledged=1, attempted=1, final=2),
        Counted("k1", "c1", acknowledged=1, attempted=1, final=1),
    ]
    assert [line.split(" has ")[0] for line in check_counters(cells)] == ["k1: c2", "k2: c1"]
