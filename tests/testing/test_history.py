"""A history is plain values, and an empty one has nothing in it."""

from __future__ import annotations

import dataclasses

import pytest

from dynamo_py.testing.history import History, Outcome, Read, Write


def test_two_histories_do_not_share_what_they_hold():
    one, other = History(), History()
    one.reads.append(Read("k", "c1", frozenset(), 1.0, 1.5, False))
    one.final["k"] = frozenset()
    assert other == History([], [], {})


def test_a_write_cannot_be_changed_once_it_is_told():
    write = Write("k", "w1", False, frozenset(), "c1", 1.0, 1.5, Outcome.UNKNOWN, False)
    with pytest.raises(dataclasses.FrozenInstanceError):
        write.outcome = Outcome.ACKNOWLEDGED  # type: ignore[misc]  # what is tested
