"""`explain` against a cluster that is played."""

from __future__ import annotations

import json

import pytest
import trio

from dyn_cli.main import run
from dynamo_py.wire.messages import Explanation, Holding

TOLD = Explanation(
    2**63,
    32,
    ["n1", "n2"],
    ["n3"],
    [
        Holding("n1", "primary", "up", "record", True, ["a.1:2"], 1, False, []),
        Holding("n2", "primary", "up", "record", True, ["a.1:3"], 1, True, []),
        Holding("n3", "fallback", "up", "hint", False, ["a.1:2"], 1, False, ["n2"]),
    ],
    ["1.0 ms  get: n2 answered"],
)


@pytest.fixture(autouse=True)
def _played(monkeypatch):
    class Admin:
        async def explain(self, bucket, key, **named):
            assert (bucket, key) == ("b", b"k")
            return TOLD

    class Store:
        admin = Admin()

    monkeypatch.setattr(
        "dyn_cli.explain.with_store",
        lambda settings, work, *, timeout_s: trio.run(work, Store()),
    )


def test_explain_json_tells_all_of_it(capsys):
    assert run(["explain", "k", "--bucket", "b", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["bucket"], found["key"]) == ("b", "k")
    assert (found["position"], found["partition"]) == (2**63, 32)
    assert (found["primaries"], found["fallbacks"]) == (["n1", "n2"], ["n3"])
    assert found["holdings"][2] == {
        "node": "n3",
        "role": "fallback",
        "state": "up",
        "answer": "hint",
        "complete": False,
        "dots": ["a.1:2"],
        "siblings": 1,
        "tombstone": False,
        "hinted_for": ["n2"],
    }
    assert found["slow"] == ["1.0 ms  get: n2 answered"]


def test_explain_as_text_shows_each_holder_and_the_slow_request(capsys):
    assert run(["explain", "k", "--bucket", "b"]) == 0
    shown = capsys.readouterr().out
    assert "b/k" in shown
    assert "0x8000000000000000, partition 32" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert ["n2", "primary", "up", "tombstone", "yes", "1", "a.1:3"] in lines
    assert ["n3", "fallback", "up", "hint", "no", "1", "a.1:2", "n2"] in lines
    assert "1.0 ms  get: n2 answered" in shown
