"""The cart's command line: what it refuses without a store."""

from __future__ import annotations

import pytest

from dynamo_py import errors
from dynamo_py.client.carts import BrokenCart
from shopping_cart.main import run


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["add", "alice"],
        ["add", "alice", ""],
        ["add", "", "bread"],
        ["add", "alice", "bread", "0"],
        ["add", "alice", "bread", "1000001"],
        ["add", "alice", "bread", "many"],
        ["add", "alice", "two\nlines"],
        ["add", "alice", "x" * 201],
        ["show"],
    ],
)
def test_a_wrong_command_line_is_status_2(arguments, capsys):
    assert run(arguments) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.NodeUnavailable("nobody"), 3),
        (errors.QuorumNotMet("few", required=2), 4),
        (errors.DeadlineExceeded("late"), 4),
        (errors.InvalidRequest("never"), 5),
        (BrokenCart("not a cart"), 5),
    ],
)
def test_what_the_store_reports_is_one_line_and_a_status(monkeypatch, capsys, error, status):
    def refuse(*arguments):
        raise error

    monkeypatch.setattr("shopping_cart.main._in_shop", refuse)
    assert run(["show", "alice"]) == status
    assert capsys.readouterr().err == f"shopping-cart: {error}\n"


def test_help_succeeds(capsys):
    assert run(["--help"]) == 0
    assert "DYN_NODES" not in capsys.readouterr().err
