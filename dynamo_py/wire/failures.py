"""Errors as messages: the tree of `dynamo_py.errors` across the wire.

An error keeps its class, its line for people, its outcome and its facts. A class that this
side does not know (a newer node's) becomes a plain `DynamoError` with the same line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

from dynamo_py import errors
from dynamo_py.errors import DynamoError, Outcome, ProtocolError
from dynamo_py.wire.messages import Failure

T = TypeVar("T")

_PLAIN: tuple[type[DynamoError], ...] = (
    errors.DeadlineExceeded,
    errors.InvalidRequest,
    errors.PermissionDenied,
    errors.WrongState,
    errors.NodeRemoved,
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
    """The error that a `Failure` stands for, ready to be raised.

    Raises `ProtocolError` if its facts are not those of its kind.
    """
    try:
        error = _rebuilt(failure)
    except msgspec.ValidationError as wrong:
        raise ProtocolError(f"a {failure.kind} failure with wrong facts: {wrong}") from None
    if failure.outcome in ("not_applied", "unknown"):
        error.outcome = cast(Outcome, failure.outcome)
    return error


def _rebuilt(failure: Failure) -> DynamoError:
    facts, message = failure.facts, failure.message
    match failure.kind:
        case "QuorumNotMet":
            acked = _fact(facts, "acked", list[str], [])
            required = _fact(facts, "required", int, 0)
            return errors.QuorumNotMet(message, required=required, acked=tuple(acked))
        case "NodeUnavailable":
            reasons = _fact(facts, "reasons", dict[str, str], {})
            return errors.NodeUnavailable(message, reasons=reasons)
        case "Overloaded":
            retry_after = _fact(facts, "retry_after", float, 0.1)
            return errors.Overloaded(message, retry_after=retry_after)
        case "SiblingsFound":
            return errors.SiblingsFound(message, count=_fact(facts, "count", int, 0))
        case "TooManySiblings":
            count, limit = _fact(facts, "count", int, 0), _fact(facts, "limit", int, 0)
            return errors.TooManySiblings(message, count=count, limit=limit)
        case kind:
            return _BY_NAME.get(kind, DynamoError)(message)


def _fact(facts: Mapping[str, object], name: str, kind: type[T], unsaid: T) -> T:
    return msgspec.convert(facts.get(name, unsaid), kind)
