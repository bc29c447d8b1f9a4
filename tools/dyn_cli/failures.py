"""What a command ends with when it does not succeed, and the exit status for it.

The statuses are the contract's. Knows nothing of how a failure is shown (`dyn_cli.output`
does). The errors of the store are loaded only once one of them has happened: a command that
needs no store starts without it.
"""

from __future__ import annotations

from enum import IntEnum

import click


class Status(IntEnum):
    """The exit statuses of `dyn-cli`."""

    DONE = 0
    ANSWER_IS_NO = 1
    """Key not found, siblings where one value was asked, not healthy, a check failed."""
    USAGE = 2
    NOBODY_ANSWERED = 3
    NO_QUORUM_OR_TIMED_OUT = 4
    REFUSED = 5
    """Not permitted, limits, overload, not in this state."""
    OUR_BUG = 70
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    """Whoever read our output has gone, as in ``dyn-cli scan | head``: as if by SIGPIPE."""


class Failed(Exception):
    """A command did not succeed, by its own finding. ``kind`` is the ``type`` for programs."""

    status = Status.REFUSED
    kind = "WrongState"

    @property
    def message(self) -> str:
        """One line for people: what happened, and what to do next."""
        return str(self.args[0])


class Refused(Failed):
    """Not in a state for this."""


class TimedOut(Failed):
    """What was waited for did not come."""

    status = Status.NO_QUORUM_OR_TIMED_OUT
    kind = "DeadlineExceeded"


class AnswerIsNo(Failed):
    """The question was answered, with no."""

    status = Status.ANSWER_IS_NO
    kind = "NotFound"


class SeveralValues(Failed):
    """One value was asked for, and there are several."""

    status = Status.ANSWER_IS_NO
    kind = "SiblingsFound"


class OutputClosed(Exception):
    """Nobody reads our output any more."""


_STATUS_BY_ERROR = (
    ("SiblingsFound", Status.ANSWER_IS_NO),
    ("NodeUnavailable", Status.NOBODY_ANSWERED),
    ("ProtocolError", Status.NOBODY_ANSWERED),
    ("QuorumNotMet", Status.NO_QUORUM_OR_TIMED_OUT),
    ("DeadlineExceeded", Status.NO_QUORUM_OR_TIMED_OUT),
    ("DynamoError", Status.REFUSED),
)
"""By class of `dynamo_py.errors`; the first that fits."""


def status_of(error: BaseException) -> Status:
    """The exit status for an exception that ended a command."""
    match error:
        case Failed():
            return error.status
        case click.ClickException():
            return Status.USAGE
        case KeyboardInterrupt() | click.Abort():
            return Status.INTERRUPTED
        case OutputClosed():
            return Status.OUTPUT_CLOSED
    from dynamo_py import errors

    for name, status in _STATUS_BY_ERROR:
        if isinstance(error, getattr(errors, name)):
            return status
    return Status.OUR_BUG


def document_of(error: BaseException) -> dict[str, object]:
    """What ``--json`` prints for an error: its type, a line for people, and its facts."""
    described: dict[str, object] = {"type": type(error).__name__, "message": message_of(error)}
    match error:
        case Failed():
            described["type"] = error.kind
        case click.ClickException():
            described["type"] = "UsageError"
        case _ if status_of(error) not in (Status.OUR_BUG, Status.INTERRUPTED):
            described |= _facts(error)
    return {"error": described}


def message_of(error: BaseException) -> str:
    """One line for people."""
    match error:
        case click.UsageError():
            text = error.format_message().rstrip(".") + _where_to_look(error)
        case click.ClickException():
            text = error.format_message()
        case _ if status_of(error) is Status.OUR_BUG:
            text = (
                f"a bug of ours: {type(error).__name__}: {error} (DYN_DEBUG=1 shows where it was)"
            )
        case KeyboardInterrupt() | click.Abort():
            text = "interrupted"
        case _:
            text = str(error)
    return " ".join(text.split("\n"))


def _where_to_look(error: click.UsageError) -> str:
    return "" if error.ctx is None else f" (see {error.ctx.command_path} --help)"


def _facts(error: BaseException) -> dict[str, object]:
    """The facts on an error of the store."""
    from dynamo_py.errors import DynamoError

    assert isinstance(error, DynamoError)
    return {"retryable": error.retryable, "outcome": error.outcome, **error.facts()}
