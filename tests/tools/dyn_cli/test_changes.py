"""`cluster join`, `leave`, `remove`, `replace`, `plan`, `commit` and `clear`, played."""

from __future__ import annotations

import json

import pytest

from dyn_cli.main import run
from dynamo_py.errors import WrongState
from dynamo_py.wire.change_messages import Changed, Plan, PlanMove, PlanNode

PLAN = Plan(
    ["n4 joins"],
    [
        PlanNode("n1", "east", 1, "member", "member", 4, 2, 2048, -1),
        PlanNode("n4", "west", 2, "joining", "member", 0, 2, 0, 1024),
    ],
    [PlanMove(1, "n1", "n4", 512), PlanMove(3, "n1", "n4", -1)],
    3,
    1536,
    1,
    4,
    2,
    2,
    3,
    "",
    ["n3"],
)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["join", "n4"], ("join", ("n4",), {"staged": False})),
        (["join", "n4", "127.0.0.1:7701", "--stage"], ("join", ("n4",), {"staged": True})),
        (["leave", "n2"], ("leave", ("n2",), {"staged": False, "force": False})),
        (["remove", "n2", "--force"], ("remove", ("n2",), {"staged": False, "force": True})),
        (
            ["replace", "n2", "n4", "--stage"],
            ("replace", ("n2", "n4"), {"staged": True, "force": False}),
        ),
        (["commit"], ("commit", (), {"force": False})),
        (["clear"], ("clear", (), {})),
    ],
)
def test_a_change_is_asked_for_and_what_was_done_is_shown(played, capsys, arguments, asked):
    played.answers[arguments[0]] = [Changed(["n2 leaves"], [])]
    assert run(["cluster", *arguments]) == 0
    assert played.asked == [asked]
    assert capsys.readouterr().out.splitlines() == [
        "n2 leaves",
        "next: dyn-cli cluster transfers --follow",
    ]
    assert run(["cluster", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": ["n2 leaves"], "staged": []}


def test_what_is_staged_is_shown_with_what_to_do_next(played, capsys):
    played.answers["leave"] = [Changed(["staged: n2 leaves"], ["n2 leaves", "n4 joins"])]
    assert run(["cluster", "leave", "n2", "--stage"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "staged: n2 leaves",
        "still staged: n4 joins",
        "next: dyn-cli cluster plan, then commit or clear",
    ]


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["join", "n4"], "n4 is a member already"),
        (["join", "n4", "--stage"], "n4 is staged or a member already"),
        (["clear"], "nothing was staged"),
    ],
)
def test_where_nothing_had_to_be_done_that_is_said(played, capsys, arguments, shown):
    played.answers[arguments[0]] = [Changed([], [])]
    assert run(["cluster", *arguments]) == 0
    assert capsys.readouterr().out == f"{shown}\n"


def test_a_refusal_is_status_5_with_the_reason(played, capsys):
    played.answers["remove"] = [WrongState("n2 is up: let it leave")]
    assert run(["cluster", "remove", "n2"]) == 5
    assert capsys.readouterr().err == "dyn-cli: n2 is up: let it leave\n"
    assert run(["cluster", "remove", "n2", "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "WrongState"


@pytest.mark.parametrize("arguments", [["leave"], ["replace", "n1"], ["join"], ["commit", "n1"]])
def test_what_names_too_few_or_too_many_is_a_usage_error(played, arguments):
    assert run(["cluster", *arguments]) == 2
    assert played.asked == []


def test_the_plan_shows_nodes_moves_copies_zones_and_what_to_do_next(played, capsys):
    played.answers["plan"] = [PLAN]
    assert run(["cluster", "plan"]) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "staged: n4 joins",
        "node zone weight membership tokens bytes as primary",
        "n1 east 1 member 4 → 2 2.0 KiB → ?",
        "n4 west 2 joining → member 0 → 2 0 B → 1.0 KiB",
        "2 tokens to move:",
        "from to tokens bytes",
        "n1 n4 2 ?",
        "3 copies of partitions to make: 1.5 KiB, and 1 of unknown size",
        "1 partition of 4 with two of 2 replicas in one zone (2 zones in all)",
        "n3 does not answer: what it holds is not counted",
        "next: dyn-cli cluster commit or clear",
    ]


def test_a_plan_that_would_be_refused_says_why_in_place_of_what_to_do(played, capsys):
    fields = {name: getattr(PLAN, name) for name in PLAN.__struct_fields__}
    played.answers["plan"] = [Plan(**{**fields, "problem": "n3 is up"})]
    assert run(["cluster", "plan"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "a commit would be refused now: n3 is up"


def test_without_anything_staged_or_moving_the_plan_says_so(played, capsys):
    played.answers["plan"] = [Plan([], [], [], 0, 0, 0, 4, 3, 3, 4, "", [])]
    assert run(["cluster", "plan"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "nothing is staged, and nothing has to move"
    assert last == "each partition has its 3 replicas in different zones (3 in all)"


def test_the_plan_as_json_has_every_move_and_null_for_what_is_not_known(played, capsys):
    played.answers["plan"] = [PLAN]
    assert run(["cluster", "plan", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["staged"] == ["n4 joins"]
    assert found["problem"] is None
    assert found["nodes"][0]["bytes_after"] is None
    assert found["moves"] == [
        {"token": 1, "from": "n1", "to": "n4", "bytes": 512},
        {"token": 3, "from": "n1", "to": "n4", "bytes": None},
    ]
    figures = ("copies", "bytes", "unsized", "partitions", "replicas", "zones", "in_distinct_zones")
    assert [found[name] for name in figures] == [3, 1536, 1, 4, 2, 2, 3]
