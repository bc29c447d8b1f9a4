"""What is owed: acknowledged puts, until somebody begins a write that covers them."""

from __future__ import annotations

import pytest

from dynamo_py.testing.owed import Owed

KEY = "k"


@pytest.fixture
def owed():
    return Owed()


def put(owed: Owed, name: str, *saw: str, degraded: bool = False) -> None:
    """An acknowledged put."""
    owed.begun(KEY, saw)
    owed.acknowledged(KEY, name, degraded=degraded)


def test_of_a_key_that_nobody_wrote_nothing_is_owed(owed):
    assert owed.of(KEY) == {}


def test_a_put_is_owed_once_it_is_acknowledged_and_not_before(owed):
    owed.begun(KEY, [])
    assert owed.of(KEY) == {}
    owed.acknowledged(KEY, "a", degraded=True)
    assert owed.of(KEY) == {"a": True}


def test_puts_that_know_nothing_of_each_other_are_owed_both(owed):
    put(owed, "a")
    put(owed, "b", degraded=True)
    assert owed.of(KEY) == {"a": False, "b": True}


def test_what_a_write_covers_is_owed_no_more_from_its_beginning_on(owed):
    put(owed, "a")
    put(owed, "b")
    owed.begun(KEY, ["a"])
    assert owed.of(KEY) == {"b": False}


def test_what_a_covered_write_covers_is_covered_too(owed):
    put(owed, "a")
    owed.begun(KEY, ["a"])
    owed.begun(KEY, ["b"])
    owed.acknowledged(KEY, "c", degraded=False)
    assert owed.of(KEY) == {"c": False}


def test_what_was_covered_before_it_was_acknowledged_is_never_owed(owed):
    """A client may find what another one's put, still under way, has stored already."""
    owed.begun(KEY, [])
    owed.begun(KEY, ["a"])
    owed.acknowledged(KEY, "a", degraded=False)
    assert owed.of(KEY) == {}


def test_keys_have_nothing_to_do_with_each_other(owed):
    put(owed, "a")
    owed.begun("other", ["a"])
    assert owed.of(KEY) == {"a": False}
