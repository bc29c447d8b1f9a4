"""What other nodes ask when they compare copies: hashes, digests, records.

Knows nothing of what they do with the answers. The walk of a request has been compared
already, save for `GetRoots`, which names one for each partition. Hashes and records are
answered inline, in bounded pieces; listings of leaves in the background, since they read the
whole partition.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.errors import Damaged, InvalidRequest
from dynamo_py.net.link import OnReply
from dynamo_py.replica.hash_tree import FANOUT, LEAF_LEVEL
from dynamo_py.replica.replica import Replica
from dynamo_py.replica.trees import Trees
from dynamo_py.upkeep.listing import Listings
from dynamo_py.wire.sync_messages import (
    GetLeaves,
    GetRecords,
    GetRoots,
    GetTree,
    Records,
    Roots,
    TreeHashes,
)

RECORDS_BYTES_MAX = 256 * 1024
"""Records of one answer, about; the others are asked for again."""
RECORDS_MAX = 200


class ExchangeRequests:
    """Serves this node's trees and records to those who compare."""

    def __init__(
        self,
        replica: Replica,
        trees: Trees,
        listings: Listings,
        *,
        is_filling: Callable[[int], bool] = lambda partition: False,
    ) -> None:
        """``is_filling`` says of a partition whether this node is just completing its copy."""
        self._replica = replica
        self._trees = trees
        self._listings = listings
        self._is_filling = is_filling

    def roots(self, asked: GetRoots, is_walk: Callable[[int, int], bool]) -> Roots:
        """The roots of the trees that are built, where the walk is the one in force."""
        found: list[int | None] = []
        for partition, walk in asked.asked:
            tree = self._trees.tree(partition) if is_walk(partition, walk) else None
            found.append(None if tree is None else tree.root())
        filling = [i for i, (partition, _) in enumerate(asked.asked) if self._is_filling(partition)]
        return Roots(found, filling)

    def answer(self, message: GetTree | GetLeaves | GetRecords, reply: OnReply) -> None:
        """Do what ``message`` asks; raises what is wrong with it."""
        match message:
            case GetTree():
                reply(self._hashes(message))
            case GetLeaves():
                self._listings.answer(message, reply)
            case GetRecords():
                reply(self._records(message))

    def _hashes(self, asked: GetTree) -> TreeHashes:
        level, indices = asked.level, asked.indices
        if level >= LEAF_LEVEL or len(indices) > FANOUT or any(i >= FANOUT**level for i in indices):
            raise InvalidRequest("there are no such nodes in a hash tree")
        tree = self._trees.tree(asked.partition)
        if tree is None:
            return TreeHashes([])
        return TreeHashes([hash_ for index in indices for hash_ in tree.children(level, index)])

    def _records(self, asked: GetRecords) -> Records:
        rows: list[tuple[bytes, bytes]] = []
        damaged: list[bytes] = []
        answered = size_bytes = 0
        for key in asked.keys[:RECORDS_MAX]:
            answered += 1
            try:
                record = self._replica.get(asked.partition, key)
            except Damaged:
                damaged.append(key)
                continue
            if record is not None:
                rows.append((key, record))
                size_bytes += len(key) + len(record)
                if size_bytes >= RECORDS_BYTES_MAX:
                    break
        return Records(rows, answered, damaged)
