"""Frames from peers: to the replica, to membership, or, for forwarded requests, onward.

Knows nothing of what a replica or a membership does. Replica requests and gossip are handled
inline; what has to wait becomes a task of the server's.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.cluster.membership import Membership
from dynamo_py.errors import DynamoError
from dynamo_py.net.callers import Callers
from dynamo_py.net.link import Link
from dynamo_py.server.replica_requests import ReplicaRequests
from dynamo_py.wire.codec import decode_body
from dynamo_py.wire.failures import to_message
from dynamo_py.wire.forgetting_messages import Flush
from dynamo_py.wire.frames import Frame
from dynamo_py.wire.messages import (
    Done,
    Get,
    GetHints,
    GetNodeFacts,
    GetTable,
    Gossip,
    HintFigures,
    Join,
    Message,
    NodeFacts,
    Put,
    ReplicaAck,
    ReplicaGet,
    ReplicaPut,
    Table,
)
from dynamo_py.wire.starting_messages import AskProgress, Progress
from dynamo_py.wire.sync_messages import GetSync, Sync


class PeerRequests:
    """What arrives on links between nodes."""

    def __init__(
        self,
        replicas: ReplicaRequests,
        membership: Membership,
        *,
        facts: Callable[[], NodeFacts],
        hints: Callable[[], HintFigures],
        sync: Callable[[bool], Sync],
        admit: Callable[[Link, Frame, Join], None],
        forwarded: Callable[[Link, Frame, Message], None],
        callers: Callers | None = None,
    ) -> None:
        """``admit`` and ``forwarded`` take a request over, and answer it later.

        ``callers`` knows the links that other nodes have made.
        """
        self._replicas = replicas
        self._membership = membership
        self._facts = facts
        self._hints = hints
        self._sync = sync
        self._admit = admit
        self._forwarded = forwarded
        self._callers = callers or Callers()

    def handle(self, link: Link, frame: Frame) -> None:
        """A request's frame from a peer. A broken one ends the link: `ProtocolError`."""
        message = decode_body(frame.number, frame.body)
        match message:
            case ReplicaPut() | ReplicaGet():
                self._ask_replica(link, frame, message)
            case Gossip():
                self._membership.receive(message.payload)
            case Table():
                self._membership.receive_table(message)
                link.reply(frame, Done())
            case GetTable():
                link.reply(frame, self._membership.state.message())
            case Flush():
                # What came before on this link was handled; on an older one nothing will be.
                self._callers.close_older(link)
                link.reply(frame, Done())
            case AskProgress():
                link.reply(frame, Progress(self._membership.progress_of(message.node)))
            case GetNodeFacts():
                link.reply(frame, self._facts())
            case GetHints():
                link.reply(frame, self._hints())
            case GetSync():
                link.reply(frame, self._sync(message.hurry))
            case Join():
                self._admit(link, frame, message)
            case Put() | Get():
                self._forwarded(link, frame, message)
            case _:
                self._ask_replica(link, frame, message)

    def _ask_replica(self, link: Link, frame: Frame, message: Message) -> None:
        def reply(answer: Message | DynamoError) -> None:
            if isinstance(answer, ReplicaAck):
                link.reply_together(frame, answer)  # A commit answers many alike.
            else:
                link.reply(frame, to_message(answer) if isinstance(answer, DynamoError) else answer)

        self._replicas.answer(message, reply)
