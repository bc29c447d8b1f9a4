"""The links that other nodes have made to this one, in the order in which they greeted.

When a node's link is lost on its side it dials another one, and what it had sent on the old
one may still lie unread here, for as long as this process was stopped. `close_older` is how it
makes sure that none of that is ever handled.

Not at the greeting of the newer link: a node may keep two links here for good, where it knows
this one by two addresses, and they would close each other in turns.
"""

from __future__ import annotations

from collections.abc import Callable

from dynamo_py.errors import DynamoError, NodeUnavailable
from dynamo_py.net.link import Link


class Callers:
    """The live links from other nodes."""

    def __init__(self) -> None:
        self._nodes: dict[Link, bytes] = {}

    def add(self, link: Link, node: bytes) -> None:
        """``node`` has greeted on ``link``."""
        self._nodes[link] = node

    def remove(self, link: Link) -> None:
        """The link has ended."""
        self._nodes.pop(link, None)

    def close_older(self, link: Link) -> None:
        """End the links on which the same node had greeted before: no frame of theirs is handled.

        O(links). Nothing where the link is not known.
        """
        node = self._nodes.get(link)
        for older, its in list(self._nodes.items()):
            if older is link:
                break
            if its == node:
                older.close(NodeUnavailable("the node goes on by a newer link"))

    def close_if(self, condition: Callable[[bytes], bool], reason: DynamoError) -> list[bytes]:
        """End the links of the nodes of which ``condition`` is true; which nodes had any.

        No frame of theirs is handled any more. O(links).
        """
        closed = {node: link for link, node in self._nodes.items() if condition(node)}
        for link, node in list(self._nodes.items()):
            if node in closed and link.lost is None:
                link.close(reason)
        return sorted(closed)

    def statistics(self) -> dict[str, int]:
        """How many links there are."""
        return {"links": len(self._nodes)}
