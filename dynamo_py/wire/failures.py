"""Errors as messages: the tree of `dynamo_py.errors` across the wire.

An error keeps its class, its line for people, its outcome and its facts. A class that this
side does not know (a newer node's) becomes a plain `DynamoError` with the same line.
"""

from __future__ import annotations

from typing import Any, cast

from dynamo_py import errors
from dynamo_py.errors import DynamoError, Outcome
from dynamo_py.wire.messages import Failure

_PLAIN: tuple[type[DynamoError], ...] = (
    errors.DeadlineExceeded,
    errors.InvalidRequest,
    errors.PermissionDenied,
    errors.WrongState,
    errors.ProtocolError,
    errors.StorageError,
    errors.Damaged,
    errors.DiskFull,
    errors.SyncFailed,
)
_BY_NAME: dict[str, type[DynamoError]] = {kind.__name__: kind for kind in _PLAIN}


def to_message(error: DynamoError) -> Failure:
    """``error`` as the answer to a request."""
    facts = cast(dict[str, Any], error.facts())
    return Failure(type(error).__name__, error.message, error.outcome, facts)


def to_error(failure: Failure) -> DynamoError:
    """The error that a `Failure` stands for, ready to be raised."""
    error = _rebuilt(failure)
    if failure.outcome in ("not_applied", "unknown"):
        error.outcome = cast(Outcome, failure.outcome)
    return error


def _rebuilt(failure: Failure) -> DynamoError:
    facts = cast(dict[str, Any], failure.facts)
    message = failure.message
    match failure.kind:
        case "QuorumNotMet":
            return errors.QuorumNotMet(
                message,
                required=int(facts.get("required", 0)),
                acked=tuple(facts.get("acked", ())),
            )
        case "NodeUnavailable":
            return errors.NodeUnavailable(message, reasons=facts.get("reasons"))
        case "Overloaded":
            return errors.Overloaded(message, retry_after=float(facts.get("retry_after", 0.1)))
        case "SiblingsFound":
            return errors.SiblingsFound(message, count=int(facts.get("count", 0)))
        case "TooManySiblings":
            return errors.TooManySiblings(
                message, count=int(facts.get("count", 0)), limit=int(facts.get("limit", 0))
            )
        case kind:
            return _BY_NAME.get(kind, DynamoError)(message)
