"""`hints` against a cluster that is played."""

from __future__ import annotations

import json

import pytest
import trio

from dyn_cli.hints import span, waits_for_hints
from dyn_cli.main import run
from dynamo_py.wire.messages import HintFigures, HintsKept

KEPT = [
    HintsKept("n4", "n1", 1200, 98_304, 3_661_000, 600, 120),
    HintsKept("n5", "n2", 3, 512, 500, 0, -1),
]


@pytest.fixture
def answer(monkeypatch):
    """What the cluster answers: the first of these."""
    answers: list[HintFigures] = []

    class Admin:
        async def hints(self, **named):
            return answers[0]

    class Store:
        admin = Admin()

    monkeypatch.setattr(
        "dyn_cli.hints.with_store",
        lambda settings, work, *, timeout_s: trio.run(work, Store()),
    )
    return answers.append


def test_hints_json_tells_all_of_it(answer, capsys):
    answer(HintFigures(KEPT, 2, ["n3"], ["n6"]))
    assert run(["hints", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "hints": [
            {
                "holder": "n4",
                "target": "n1",
                "count": 1200,
                "bytes": 98_304,
                "age_s": 3661.0,
                "per_minute": 600,
                "eta_s": 120,
            },
            {
                "holder": "n5",
                "target": "n2",
                "count": 3,
                "bytes": 512,
                "age_s": 0.5,
                "per_minute": 0,
                "eta_s": None,
            },
        ],
        "damaged": 2,
        "counting": ["n3"],
        "silent": ["n6"],
    }


def test_hints_as_text_is_a_table_and_what_is_not_known(answer, capsys):
    answer(HintFigures(KEPT, 2, ["n3"], ["n6"]))
    assert run(["hints"]) == 0
    columns, first, second, counting, silent, damaged = capsys.readouterr().out.splitlines()
    assert columns.split()[:4] == ["holder", "target", "hints", "bytes"]
    assert first.split() == ["n4", "n1", "1200", "98304", "1", "h", "1", "min", "600", "2", "min"]
    assert second.split() == ["n5", "n2", "3", "512", "0", "s", "0", "?"]
    assert "n3 has not counted" in counting
    assert "n6 does not answer" in silent
    assert "2 hints could not be read, and are lost" in damaged


def test_a_cluster_without_hints_says_so(answer, capsys):
    answer(HintFigures([], 0, [], []))
    assert run(["hints"]) == 0
    assert capsys.readouterr().out == "no hints are kept\n"


def test_nobody_is_done_waiting_while_a_node_has_not_said_what_it_keeps():
    assert waits_for_hints(HintFigures([], 1, [], [])) == []
    assert waits_for_hints(HintFigures([], 0, ["n3"], ["n6"])) == [
        "n3 to count its hints",
        "n6 to say what hints it keeps",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.4, "0 s"), (59.6, "1 min"), (90, "1 min 30 s"), (90_000, "1 d 1 h")],
)
def test_spans_are_shown_in_their_two_largest_units(seconds, shown):
    assert span(seconds) == shown
