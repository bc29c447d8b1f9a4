"""The errors that users of the store meet: a small tree, each error carrying its facts.

Knows nothing of how an error travels (`dynamo_py.wire.failures` does) or of how a program
shows it. Two facts are on every error:

* ``retryable``: whether the same call may be tried again, as it is, with some hope;
* ``outcome``: for a write, whether it may have happened all the same. ``"not_applied"``
  means that it did not; ``"unknown"`` means that some replica may hold it, and that it may
  still spread. A quorum that was missed is *unknown*, not "failed"
  (DeCandia et al. 2007, section 4.5).
"""

from __future__ import annotations

from typing import ClassVar, Literal

Outcome = Literal["not_applied", "unknown"]


class DynamoError(Exception):
    """Anything that the store reports. Catch this to catch them all."""

    retryable: ClassVar[bool] = False
    outcome: Outcome = "not_applied"

    def __init__(self, message: str, *, outcome: Outcome | None = None) -> None:
        super().__init__(message)
        if outcome is not None:
            self.outcome = outcome

    @property
    def message(self) -> str:
        """One line for people: what happened, and what to do next."""
        return str(self.args[0])

    def facts(self) -> dict[str, object]:
        """What a program may want to know beside the message, ready for JSON."""
        return {}


class QuorumNotMet(DynamoError):
    """Fewer replicas answered than were asked for. A write may still have happened."""

    retryable = True
    outcome: Outcome = "unknown"

    def __init__(
        self,
        message: str,
        *,
        required: int,
        acked: tuple[str, ...] = (),
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome)
        self.required = required
        self.acked = acked

    def facts(self) -> dict[str, object]:
        return {"required": self.required, "acked": list(self.acked)}


class NodeUnavailable(DynamoError, ConnectionError):
    """No connection, or a lost one. ``reasons`` says why, address by address."""

    retryable = True
    outcome: Outcome = "unknown"

    def __init__(
        self,
        message: str,
        *,
        reasons: dict[str, str] | None = None,
        outcome: Outcome | None = None,
    ) -> None:
        super().__init__(message, outcome=outcome)
        self.reasons = dict(reasons or {})

    def facts(self) -> dict[str, object]:
        return {"reasons": self.reasons}


class DeadlineExceeded(DynamoError, TimeoutError):
    """The call's time was up. A write may still have happened."""

    retryable = True
    outcome: Outcome = "unknown"


class Overloaded(DynamoError):
    """Refused at the door, before any work: try again after ``retry_after`` seconds."""

    retryable = True

    def __init__(self, message: str, *, retry_after: float = 0.1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def facts(self) -> dict[str, object]:
        return {"retry_after": self.retry_after}


class SiblingsFound(DynamoError):
    """One value was asked for and there are ``count``: read them, merge them, put the result."""

    def __init__(self, message: str, *, count: int) -> None:
        super().__init__(message)
        self.count = count

    def facts(self) -> dict[str, object]:
        return {"count": self.count}


class TooManySiblings(DynamoError):
    """A put would leave more than ``limit`` siblings: get the key, merge, put with the context."""

    def __init__(self, message: str, *, count: int, limit: int) -> None:
        super().__init__(message)
        self.count = count
        self.limit = limit

    def facts(self) -> dict[str, object]:
        return {"count": self.count, "limit": self.limit}


class InvalidRequest(DynamoError, ValueError):
    """The request can never succeed as it stands: a bad key, value, bucket or quorum."""


class PermissionDenied(DynamoError, PermissionError):
    """The credential does not allow this."""


class WrongState(DynamoError):
    """Refused by a node or cluster that is not in the state for it."""


class NodeRemoved(WrongState):
    """Refused to a node that has left its cluster, or was removed: it may come back as a new one.

    That is, started on an empty directory.
    """


class ProtocolError(DynamoError):
    """The other side broke the protocol, or speaks another version of it."""


class StorageError(DynamoError):
    """A node could not read or write its disk. Another node may be able to."""

    retryable = True
    outcome: Outcome = "unknown"


class Damaged(StorageError):
    """A record failed its checksum: it is there, and cannot be trusted."""

    retryable = False


class DiskFull(StorageError):
    """No room: the node refuses writes until there is some."""


class SyncFailed(StorageError):
    """An fsync failed: the node refuses writes until it is restarted.

    A second fsync that succeeds would prove nothing about the pages that the first one lost
    (Rebello et al. 2020, "Can Applications Recover from fsync Failures?").
    """
