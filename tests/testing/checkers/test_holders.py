"""What is owed and is on too few disks, or could be missed by a read, is named with the holders."""

from __future__ import annotations

from dynamo_py.testing.checkers.holders import (
    check_every_quorum_finds,
    check_on_enough_disks,
)


def held(**writes: str) -> dict[str, frozenset[str]]:
    """By name, what is held: one letter a write."""
    return {name: frozenset(letters) for name, letters in writes.items()}


# --- disks --------------------------------------------------------------------------------------


def test_what_is_on_enough_disks_is_right():
    assert check_on_enough_disks("ab", held(n1="ab", n2="a", n3="b"), required=2) == []


def test_a_write_on_one_disk_is_on_too_few_for_two():
    assert check_on_enough_disks("ab", held(n1="ab", n2="a", n3=""), required=2) == [
        ("b", "is only on n1, and was promised to be on 2")
    ]


def test_a_write_on_no_disk_is_lost():
    assert check_on_enough_disks("a", held(n1="", n2=""), required=1) == [
        ("a", "is on no disk, and was promised to be on 1")
    ]


def test_those_that_are_destroyed_are_not_asked_for():
    assert check_on_enough_disks("a", held(n1="a", n2=""), required=1) == []
    assert check_on_enough_disks("a", {}, required=0) == []


def test_what_is_owed_to_nobody_may_be_anywhere():
    assert check_on_enough_disks([], held(n1="a"), required=2) == []


# --- quorums ------------------------------------------------------------------------------------


def test_two_of_three_that_have_a_write_are_met_by_every_two():
    assert check_every_quorum_finds("a", held(n1="a", n2="a", n3=""), answers=2) == []


def test_two_of_three_that_lack_a_write_are_a_quorum_that_misses_it():
    assert check_every_quorum_finds("ab", held(n3="", n1="ab", n2="b"), answers=2) == [
        ("a", "would be missed by a read of n2 n3")
    ]


def test_who_may_not_vote_is_not_met():
    assert check_every_quorum_finds("a", held(n1=""), answers=2) == []
    assert check_every_quorum_finds("a", {}, answers=1) == []
    assert check_every_quorum_finds("a", held(n1=""), answers=1) == [
        ("a", "would be missed by a read of n1")
    ]
