"""Each token has one owner, who should have it, and nobody holds what it is no primary of."""

from __future__ import annotations

from dynamo_py.testing.checkers.ownership import Owned, check_ownership

MEMBERS = ("n1", "n2")


def owned(*owners: str, is_settled: bool = True, to_clean: int = 0) -> Owned:
    return Owned(owners, is_settled, to_clean)


AT_REST = owned("n1", "n2", "n1")


def test_nodes_that_agree_and_have_nothing_left_to_do_are_right():
    assert check_ownership({"n1": AT_REST, "n2": AT_REST}, MEMBERS) == []


def test_a_member_may_own_nothing():
    said = {"n1": AT_REST, "n2": AT_REST, "n3": AT_REST}
    assert check_ownership(said, ("n1", "n2", "n3")) == []


def test_an_owner_that_is_no_member_is_wrong():
    said = {"n1": AT_REST, "n2": AT_REST}
    assert check_ownership(said, ["n1"]) == [
        "n1: 1 tokens have no owner that is a member",
        "n2: 1 tokens have no owner that is a member",
    ]


def test_a_token_that_nobody_known_owns_is_wrong():
    assert check_ownership({"n1": owned("n1", "", "")}, MEMBERS) == [
        "n1: 2 tokens have no owner that is a member"
    ]


def test_members_may_be_told_in_any_shape_that_can_be_gone_through_once():
    said = {"n1": AT_REST, "n2": AT_REST}
    assert check_ownership(said, iter(MEMBERS)) == []


def test_two_nodes_that_name_different_owners_are_wrong():
    said = {"n1": AT_REST, "n2": owned("n1", "n1", "n1"), "n3": AT_REST}
    assert check_ownership(said, MEMBERS) == ["some tokens have two owners: there are 2 tables"]


def test_who_has_tokens_to_give_away_or_partitions_to_clean_up_is_not_done():
    said = {"n1": AT_REST._replace(is_settled=False), "n2": AT_REST._replace(to_clean=3)}
    assert check_ownership(said, MEMBERS) == [
        "n1 has tokens still to give away",
        "n2: 3 partitions are still to be cleaned up",
    ]


def test_where_nobody_runs_nothing_is_wrong():
    assert check_ownership({}, MEMBERS) == []
