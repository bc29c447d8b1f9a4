"""When a cluster counts as ready: pure."""

from __future__ import annotations

from typing import Any

import pytest

from dyn_cli.dev.readiness import (
    why_not_answering,
    why_not_let_in,
    why_not_ready,
    why_not_serving,
)
from dynamo_py.wire.messages import NodeStatus, Status

IDS = {"n1": "01", "n2": "02"}


def node(number: int, **changed) -> NodeStatus:
    facts: dict[str, Any] = {
        "membership": "member",
        "state": "up",
        "tokens": 32,
        "weight": 1,
        "incomplete": 0,
    }
    facts |= changed
    return NodeStatus(
        name=f"n{number}",
        id=f"0{number}",
        address="h:1",
        zone="z",
        bytes=0,
        keys=0,
        hints=0,
        **facts,
    )


def status(*nodes: NodeStatus, converged: bool = True) -> Status:
    return Status("dev", 1, "ab", converged, list(nodes), [], 64, 3)


def test_a_cluster_whose_nodes_are_all_up_and_own_tokens_is_ready():
    assert why_not_ready(status(node(1), node(2)), IDS) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "does not answer yet"),
        (status(node(1)), "has not heard of n2 yet"),
        (status(node(1), node(2, state="suspect")), "n2 is member and suspect"),
        (status(node(1), node(2, membership="joining", state="down")), "n2 is joining and down"),
        (status(node(1), node(2, tokens=0)), "n2 owns no token yet"),
        (status(node(1), node(2, incomplete=3)), "n2 may not vote for all its partitions yet"),
        (status(node(1), node(2), converged=False), "the members do not agree yet"),
    ],
)
def test_a_cluster_that_is_not_ready_says_why(found, reason):
    assert why_not_ready(found, IDS) == reason


@pytest.mark.parametrize("membership", ["joining", "leaving"])
def test_who_waits_to_join_or_leaves_keeps_nobody_from_a_quorum(membership):
    found = status(node(1), node(2, membership=membership, tokens=0, incomplete=3))
    assert why_not_ready(found, IDS) is None


def test_a_node_that_was_added_is_let_in_once_it_is_a_member_or_waits_as_it_is_to():
    waiting = status(node(1), node(2, membership="joining"))
    assert why_not_let_in(waiting, "02", is_staged=True) is None
    assert why_not_let_in(waiting, "02", is_staged=False) == "is joining and up"
    assert why_not_let_in(status(node(2, tokens=0)), "02", is_staged=False) is None
    assert why_not_let_in(None, "02", is_staged=False) == "does not answer yet"
    assert "another cluster" in str(why_not_let_in(status(node(1)), "02", is_staged=False))


def test_a_node_without_weight_needs_no_tokens():
    assert why_not_ready(status(node(1), node(2, tokens=0, weight=0)), IDS) is None


def test_another_clusters_nodes_of_the_same_names_are_not_ours():
    assert why_not_ready(status(node(1), node(2)), {"n1": "0a", "n2": "02"}) is not None
    assert why_not_ready(status(node(1), node(2)), {"n1": None, "n2": "02"}) is not None


def test_only_the_node_itself_answers_for_itself():
    assert why_not_answering(None, "01") == "does not answer yet"
    assert why_not_answering(status(node(1)), "01") is None
    assert "another cluster" in str(why_not_answering(status(node(1)), "0a"))
    assert "another cluster" in str(why_not_answering(status(node(1)), None))


def test_a_node_that_starts_serves_once_the_others_have_said_what_they_remember():
    waits = status(node(1, starting=True), node(2))
    assert why_not_serving(waits, "01") == "asks the others what they remember of it"
    assert why_not_serving(waits, "02") is None
    assert why_not_serving(status(node(1, incomplete=3)), "01") is None
    assert why_not_serving(None, "01") == "does not answer yet"
    assert "another cluster" in str(why_not_serving(waits, "0a"))
