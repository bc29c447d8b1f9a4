"""A member's part in a barrier: what it had begun is finished, and what it had sent has arrived.

First everything that is under way on the partition ends: requests of clients, forwarded ones
too, exchanges, records on their way that nobody waits for any more. Then each member that left
one of them without an answer is asked to `Flush`: it answers in the order in which it reads,
and reads nothing from older links of this node from then on.

A process that has just begun has no work of before; but the one before it may have sent
something, so at first every other member is asked.

Knows nothing of what is to be forgotten. Nothing here waits: the barrier's answer is given by
whatever ends last.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from dynamo_py.cluster.view import ClusterView
from dynamo_py.coordinator.under_way import UnderWay
from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.net.link import OnReply
from dynamo_py.upkeep.asking import ANSWER_S, Asking
from dynamo_py.wire.forgetting_messages import Flush
from dynamo_py.wire.messages import Done, Message


class Barriers:
    """Answers barriers on one node."""

    def __init__(self, under_way: UnderWay, peers: Asking, view: Callable[[], ClusterView]) -> None:
        self._under_way = under_way
        self._peers = peers
        self._view = view

    def when_finished(self, partition: int, on_finished: Callable[[], None]) -> None:
        """Call back once the work on ``partition`` of now is over; raises `Overloaded`."""
        self._under_way.when_finished(partition, on_finished)

    def when_passed(self, partition: int, reply: OnReply) -> None:
        """Answer `Done` once the work of now is over and has arrived, or why it cannot be known.

        Raises `Overloaded`.
        """
        self._under_way.when_finished(partition, partial(self._flush, reply))

    def _flush(self, reply: OnReply) -> None:
        view = self._view()
        others = [node for node in view.nodes if node != view.me]
        doubted = self._under_way.doubted(others)
        left = len(doubted)
        if not left:
            reply(Done())
            return

        def on_reply(node: bytes, answer: Message | DynamoError) -> None:
            nonlocal left
            if left <= 0:
                return  # Another one has failed: that was the answer.
            if not isinstance(answer, Done):
                left = 0
                reply(NodeUnavailable(f"does not reach {view.name_of(node)}"))
                return
            self._under_way.flushed(node, doubted[node])
            left -= 1
            if not left:
                reply(Done())

        for node in doubted:
            self._peers.ask(view, node, Flush(), wait_s=ANSWER_S, on_reply=partial(on_reply, node))
