"""Asking a replica, whether it is this node or another.

Knows nothing of quorums. A replica that holds another idea of a key's primaries answers
`OtherWalk`: whoever knows the newer table entries tells them to the other here, so that the
request can be made again by the one idea that both then have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import DynamoError
from dynamo_py.net.link import OnReply
from dynamo_py.net.links import Links
from dynamo_py.wire.messages import Message, OtherWalk, Table, TableEntry


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
        self, links: Links, tables: Tables, local: Callable[[Message, OnReply], None]
    ) -> None:
        """``local`` answers a message as this node's own replica would."""
        self._links = links
        self._tables = tables
        self._local = local

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
        address = view.address_of(node)
        request = self._links.request
        request(address, message, wait_s=wait_s, on_reply=learn, trace_id=trace_id)
