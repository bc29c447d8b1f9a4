"""What other nodes ask of this one's replica. Answered inline, in the link's read loop.

Knows nothing of links or frames: a message comes in, and ``reply`` is called once with the
answer or the error, at once or when the commit is done. Requests that need a wait of another
kind (a join) are not here (`dynamo_py.server.peer_requests`).

A request for a partition names the walk by which its coordinator found the primaries. Where
this node knows other table entries it does nothing and answers them, so that no write is ever
acknowledged by two ideas of who the primaries are.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.cluster.view import ClusterView
from dynamo_py.errors import (
    DynamoError,
    InvalidRequest,
    NodeUnavailable,
    StorageError,
    WrongState,
)
from dynamo_py.net.link import OnReply
from dynamo_py.replica.completeness import Completeness
from dynamo_py.replica.paging import read_page
from dynamo_py.replica.replica import Replica
from dynamo_py.server.exchange_requests import ExchangeRequests
from dynamo_py.server.forgetting_requests import ForgettingRequests
from dynamo_py.server.handover_requests import HandoverRequests
from dynamo_py.wire.forgetting_messages import AskPromised, AskProof, Barrier, Confirm, Forget
from dynamo_py.wire.handover_messages import AskTaken, GetSizes, GetTransfers, Offer
from dynamo_py.wire.messages import (
    Done,
    GetPage,
    HandOff,
    Message,
    OtherWalk,
    Page,
    ReplicaAck,
    ReplicaGet,
    ReplicaPut,
    ReplicaRecord,
)
from dynamo_py.wire.sync_messages import GetLeaves, GetRecords, GetRoots, GetTree

ANY_WALK = 0
"""The walk of a request that asks for this node's own copy, whoever the primaries are."""


def in_doubt() -> NodeUnavailable:
    """Why a node that has just started serves nobody yet."""
    return NodeUnavailable(
        "this node has just started, and has not heard from a majority of the members yet",
        outcome="not_applied",
    )


class ReplicaRequests:
    """Serves this node's replica to coordinators, its own and others'."""

    def __init__(
        self,
        replica: Replica,
        completeness: Completeness,
        view: Callable[[], ClusterView],
        *,
        is_durable: bool,
        exchanges: ExchangeRequests | None = None,
        forgetting: ForgettingRequests | None = None,
        handover: HandoverRequests | None = None,
    ) -> None:
        """``exchanges`` answers those who compare copies, ``forgetting`` those who would forget.

        And ``handover`` those who give tokens away. Without them they are refused.
        """
        self._replica = replica
        self._completeness = completeness
        self._view = view
        self._is_durable = is_durable
        self._exchanges = exchanges
        self._forgetting = forgetting
        self._handover = handover

    def answer(self, message: Message, reply: OnReply) -> None:
        """Do what ``message`` asks; ``reply`` gets the answer or the error.

        While it is in doubt whether this directory is an old one, nothing is done: what it
        holds may have been forgotten, and what it takes may have to be thrown away.
        """
        try:
            if self._completeness.is_in_doubt and not isinstance(message, AskPromised):
                raise in_doubt()
            match message:
                case ReplicaGet():
                    reply(self._get(message))
                case ReplicaPut():
                    self._put(message, reply)
                case HandOff():
                    self._take_over(message, reply)
                case GetPage():
                    reply(self._page(message))
                case GetRoots() | GetTree() | GetLeaves() | GetRecords() if self._exchanges:
                    self._compare(self._exchanges, message, reply)
                case AskProof() | Barrier() | Confirm() | Forget() | AskPromised() if (
                    self._forgetting
                ):
                    self._forgetting.answer(message, reply, self._other_walk)
                case Offer() | AskTaken() if self._handover:
                    other = self._other_walk(message.partition, message.walk)
                    if other is not None:
                        reply(other)
                    else:
                        self._handover.answer(message, reply)
                case GetSizes() | GetTransfers() if self._handover:
                    self._handover.answer(message, reply)
                case _:
                    raise InvalidRequest(f"{type(message).__name__} is no request to a replica")
        except DynamoError as error:
            reply(error)

    def _get(self, get: ReplicaGet) -> Message:
        other = self._other_walk(get.partition, get.walk)
        if other is not None:
            return other
        record, targets = self._replica.read(get.partition, get.key)
        complete = self._completeness.is_complete(get.partition)
        return ReplicaRecord(record, complete, list(targets))

    def _put(self, put: ReplicaPut, reply: OnReply) -> None:
        other = self._other_walk(put.partition, put.walk)
        if other is not None:
            reply(other)
            return

        def on_commit(error: StorageError | None) -> None:
            is_complete = self._completeness.is_complete(put.partition)
            reply(error or ReplicaAck(self._is_durable, is_complete))

        self._replica.merge(
            put.partition, put.key, put.record, hinted_for=put.hinted_for, on_commit=on_commit
        )

    def _take_over(self, hand_off: HandOff, reply: OnReply) -> None:
        """A hint comes home. Its holder forgets it at our word: so that waits for the disk."""
        other = self._other_walk(hand_off.partition, hand_off.walk)
        if other is not None:
            reply(other)
            return
        view = self._view()
        if not view.is_primary(hand_off.partition, view.me):
            raise WrongState("a hint is handed to a primary of its key; this node is none")

        def on_commit(error: StorageError | None) -> None:
            reply(error or Done())

        self._replica.merge(
            hand_off.partition,
            hand_off.key,
            hand_off.record,
            hinted_for=None,
            on_commit=on_commit,
            durable=True,
        )

    def _page(self, get: GetPage) -> Message:
        other = self._other_walk(get.partition, get.walk)
        if other is not None:
            return other
        page = read_page(
            self._replica,
            get.partition,
            prefix=get.prefix,
            start=get.start,
            limit=get.limit,
            bare=get.bare,
        )
        complete = self._completeness.is_complete(get.partition) and not page.damaged
        return Page(page.rows, page.next_start, page.damaged, complete)

    def _compare(
        self,
        exchanges: ExchangeRequests,
        message: GetRoots | GetTree | GetLeaves | GetRecords,
        reply: OnReply,
    ) -> None:
        if isinstance(message, GetRoots):
            reply(exchanges.roots(message, lambda p, walk: self._other_walk(p, walk) is None))
            return
        other = self._other_walk(message.partition, message.walk)
        if other is not None:
            reply(other)
        else:
            exchanges.answer(message, reply)

    def _other_walk(self, partition: int, walk: int) -> OtherWalk | None:
        placement = self._view().placement
        if partition >= placement.ring.partitions:
            raise InvalidRequest(f"there is no partition {partition}")
        if walk in (ANY_WALK, placement.walk(partition)):
            return None
        return OtherWalk(placement.walk_entries(partition))
