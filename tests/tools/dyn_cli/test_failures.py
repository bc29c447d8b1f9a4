"""Errors as exit statuses and as documents: the contract's numbers."""

from __future__ import annotations

import click
import pytest

from dyn_cli.failures import (
    AnswerIsNo,
    OutputClosed,
    Refused,
    SeveralValues,
    TimedOut,
    document_of,
    message_of,
    status_of,
)
from dynamo_py import errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AnswerIsNo("no"), 1),
        (SeveralValues("two"), 1),
        (errors.SiblingsFound("two", count=2), 1),
        (click.UsageError("what?"), 2),
        (click.BadParameter("what?"), 2),
        (errors.NodeUnavailable("nobody"), 3),
        (errors.ProtocolError("another language"), 3),
        (errors.QuorumNotMet("few", required=2), 4),
        (errors.DeadlineExceeded("late"), 4),
        (TimedOut("late"), 4),
        (errors.InvalidRequest("never"), 5),
        (errors.Overloaded("later"), 5),
        (errors.PermissionDenied("not you"), 5),
        (errors.TooManySiblings("many", count=101, limit=100), 5),
        (errors.WrongState("not now"), 5),
        (errors.DiskFull("no room"), 5),
        (Refused("not now"), 5),
        (KeyError("x"), 70),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (OutputClosed(), 141),
    ],
)
def test_each_error_has_the_exit_status_of_the_contract(error, status):
    assert status_of(error) == status


def test_a_document_of_an_error_of_the_store_has_its_facts():
    error = errors.QuorumNotMet("1 of 2 have it", required=2, acked=("n1",))
    assert document_of(error) == {
        "error": {
            "type": "QuorumNotMet",
            "message": "1 of 2 have it",
            "retryable": True,
            "outcome": "unknown",
            "required": 2,
            "acked": ["n1"],
        }
    }


def test_a_finding_of_a_command_names_the_type_that_the_store_would():
    assert document_of(Refused("no")) == {"error": {"type": "WrongState", "message": "no"}}
    assert document_of(SeveralValues("2")) == {"error": {"type": "SiblingsFound", "message": "2"}}
    assert document_of(click.UsageError("?"))["error"] == {"type": "UsageError", "message": "?"}


@pytest.mark.parametrize(
    "error", [Refused("two\nlines"), ValueError("a\nb"), errors.WrongState("x\ny")]
)
def test_a_message_is_one_line(error):
    assert "\n" not in message_of(error)


def test_what_nobody_foresaw_is_called_a_bug_of_ours():
    assert message_of(KeyError("x")).startswith("a bug of ours: KeyError")
