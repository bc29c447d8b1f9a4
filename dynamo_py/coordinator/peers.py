"""Asking a replica, whether it is this node or another.

Knows nothing of quorums. A replica that holds another idea of a key's primaries answers
`OtherWalk`: whoever knows the newer table entries tells them to the other here, so that the
request can be made again by the one idea that both then have.

What carries a record to another node is known to be under way until it was answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DynamoError
from dynamo_py.net.link import OnReply
from dynamo_py.net.links import Links
from dynamo_py.wire.messages import HandOff, Message, OtherWalk, ReplicaPut, Table, TableEntry


class Tables(Protocol):
    """The part of the cluster's state that is needed here."""

    def merge_entries(self, entries: Iterable[TableEntry]) -> bool:
        """Take in newer entries; whether there were any."""
        ...

    def message(self) -> Table:
        """All that this node knows, to be told to another."""
        ...


class WalkChanged(Exception):
    """The table was newer elsewhere: plan the request again by what is known now."""


class Peers:
    """The replicas of the cluster, as a coordinator asks them."""

    def __init__(
        self,
        links: Links,
        tables: Tables,
        local: Callable[[Message, OnReply], None],
        *,
        under_way: UnderWay | None = None,
    ) -> None:
        """``local`` answers a message as this node's own replica would."""
        self._links = links
        self._tables = tables
        self._local = local
        self.under_way = under_way or UnderWay()

    def ask(
        self,
        view: ClusterView,
        node: bytes,
        message: Message,
        *,
        wait_s: float,
        on_reply: OnReply,
        trace_id: int = 0,
    ) -> None:
        """Ask ``node``; ``on_reply`` gets its answer or an error, perhaps before this returns.

        Where the walks differ and this node's was the newer one, the other is told and asked
        once more. Where this node's was the older one, `OtherWalk` is handed on.
        """

        def learn(reply: Message | DynamoError) -> None:
            if isinstance(reply, OtherWalk) and not self._tables.merge_entries(reply.entries):
                self._links.tell(address, self._tables.message())
                request(address, message, wait_s=wait_s, on_reply=on_reply, trace_id=trace_id)
            else:
                on_reply(reply)

        if node == view.me:
            self._local(message, on_reply)
            return
        if isinstance(message, ReplicaPut | HandOff):
            on_reply = self._with_ticket(message.partition, node, on_reply)
        address = view.address_of(node)
        request = self._links.request
        request(address, message, wait_s=wait_s, on_reply=learn, trace_id=trace_id)

    def _with_ticket(self, partition: int, node: bytes, on_reply: OnReply) -> OnReply:
        """A record leaves for ``node``; what is called with its answer."""
        under_way = self.under_way
        ticket = under_way.begin(partition)

        def answered(reply: Message | DynamoError) -> None:
            under_way.note_answer(node, reply)
            try:
                on_reply(reply)
            finally:
                under_way.end(ticket)

        return answered
