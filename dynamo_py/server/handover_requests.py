"""What other nodes ask when tokens are handed over: the gainer's answers, and sizes.

Knows nothing of links or frames. Whether the asking node goes by the same walk is decided
before (`dynamo_py.server.replica_requests`).
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.net.link import OnReply
from dynamo_py.replica.trees import Trees
from dynamo_py.upkeep.taking import Taking
from dynamo_py.wire.handover_messages import (
    AskTaken,
    GetSizes,
    GetTransfers,
    Offer,
    PartitionSize,
    Sizes,
    Transfers,
)

HandoverMessage = Offer | AskTaken | GetSizes | GetTransfers


class HandoverRequests:
    """One node's answers."""

    def __init__(
        self,
        taking: Taking,
        trees: Trees,
        held: Callable[[], list[int]],
        transfers: Callable[[], Transfers],
    ) -> None:
        """``held`` names the partitions that this node is a primary of."""
        self._taking = taking
        self._trees = trees
        self._held = held
        self._transfers = transfers

    def answer(self, message: HandoverMessage, reply: OnReply) -> None:
        """Do what ``message`` asks; raises what is wrong."""
        match message:
            case Offer():
                reply(self._taking.offered(message))
            case AskTaken():
                self._taking.ask_taken(message, reply)
            case GetSizes():
                reply(self.sizes())
            case GetTransfers():
                reply(self._transfers())

    def sizes(self) -> Sizes:
        """What this node holds of the partitions whose trees are built; others are begun."""
        sizes = []
        for partition in self._held():
            if self._trees.tree(partition) is not None:
                sizes.append(PartitionSize(partition, *self._trees.size(partition)))
        return Sizes(sizes)
