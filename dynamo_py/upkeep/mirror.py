"""Sends what is written here during a hand-over to the gainers, before it is acknowledged.

Between a gainer's word that it has all and the flip, an acknowledgement of this node's must not
count for less afterwards than before: the gainer takes its place in the quorums. So it waits
until the gainers have the record on disk as well. (docs/design/handover.md)

A gainer that fails does not hold up writes: the session is *broken* then, and nothing may be
flipped on what it had shown. Once the flip is on its way to the disk it is too late for that,
and the write fails here instead; its coordinator turns to others.

Knows nothing of tokens. There is one session at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError, StorageError
from dynamo_py.replica.store import OnCommit
from dynamo_py.upkeep.asking import Asking
from dynamo_py.wire.messages import Message, ReplicaAck, ReplicaPut

MIRROR_S = 2.0
"""How long a gainer may take; a coordinator turns to others sooner."""


class Session:
    """The partitions that are mirrored, and whether all of them were, so far."""

    def __init__(self, gainers: Mapping[int, tuple[bytes, ...]]) -> None:
        self.gainers = gainers
        self.is_broken = False
        """Whether something was acknowledged that a gainer may lack."""
        self.is_flipping = False
        """Whether it is too late for that: nothing is acknowledged any more unless all have it."""

    def failed(self) -> StorageError | None:
        """A gainer has not taken a record: what its writer is to be told; None: it is stored."""
        if self.is_flipping:
            return StorageError("the partition is just being handed over: ask again")
        self.is_broken = True
        return None


class _Waiting:
    """One record on its way to this node's disk and to the gainers'."""

    def __init__(self, session: Session, gainers: int, told: OnCommit) -> None:
        self._session = session
        self._gainers_left = gainers
        self._is_committed = False
        self._problem: StorageError | None = None
        self._told = told

    def on_commit(self, error: StorageError | None) -> None:
        """It is on this node's disk, or will not be: then nothing else is waited for."""
        if error is not None:
            self._told(error)
            return
        self._is_committed = True
        self._tell_when_done()

    def on_reply(self, reply: Message | DynamoError) -> None:
        """A gainer has answered."""
        if not isinstance(reply, ReplicaAck):
            self._problem = self._problem or self._session.failed()
        self._gainers_left -= 1
        self._tell_when_done()

    def _tell_when_done(self) -> None:
        if self._is_committed and not self._gainers_left:
            self._told(self._problem)


class Mirror:
    """Where records go besides this node's own store."""

    def __init__(self, peers: Asking, view: Callable[[], ClusterView]) -> None:
        self._peers = peers
        self._view = view
        self._session: Session | None = None
        self.sent = 0
        """Records that were sent since the start."""

    @contextmanager
    def to(self, gainers: Mapping[int, tuple[bytes, ...]]) -> Iterator[Session]:
        """Mirror what is stored of these partitions while the body runs.

        What was stored then is not acknowledged before its gainers have it, also afterwards.
        """
        assert self._session is None, "one hand-over is confirmed at a time"
        session = self._session = Session(gainers)
        try:
            yield session
        finally:
            self._session = None

    def __call__(self, partition: int, key: bytes, encoded: bytes, on_commit: OnCommit) -> OnCommit:
        """Who is to be told of the commit in the place of ``on_commit``."""
        session = self._session
        gainers = () if session is None else session.gainers.get(partition, ())
        if session is None or not gainers:
            return on_commit
        # Sent at once: it becomes durable there while it does here.
        waiting = _Waiting(session, len(gainers), on_commit)
        view = self._view()
        message = ReplicaPut(partition, key, view.placement.walk(partition), encoded)
        self.sent += len(gainers)
        for gainer in gainers:
            self._peers.ask(view, gainer, message, wait_s=MIRROR_S, on_reply=waiting.on_reply)
        return waiting.on_commit

    def statistics(self) -> dict[str, int]:
        """Records sent since the start."""
        return {"sent": self.sent}
