"""Whether a node answers, and whether its cluster would take a quorum put.

Asks as any client would. `why_not_ready` is pure, and names what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping

import trio

from dynamo_py.client.connecting import connect
from dynamo_py.errors import DynamoError
from dynamo_py.wire.messages import Status

ASK_S = 2.0


async def ask_status(address: str) -> Status | None:
    """What a node says of its cluster; None if it does not answer."""
    with trio.move_on_after(ASK_S):
        try:
            async with connect(address) as store:
                return await store.admin.status(timeout=ASK_S)
        except DynamoError:
            return None
    return None


def why_not_answering(status: Status | None, node_id: str | None) -> str | None:
    """What keeps this very node from answering; None: nothing.

    Its port may be somebody else's: what answers there must know a node of this id.
    """
    if status is None:
        return "does not answer yet"
    if node_id not in {node.id for node in status.nodes}:
        return "has its port taken by a node of another cluster"
    return None


def why_not_serving(status: Status | None, node_id: str | None) -> str | None:
    """What keeps this node from answering for keys; None: nothing. Asked of the node itself."""
    reason = why_not_answering(status, node_id)
    if status is None or reason is not None:
        return reason
    node = next(each for each in status.nodes if each.id == node_id)
    return "asks the others what they remember of it" if node.starting else None


def why_not_let_in(status: Status | None, node_id: str | None, *, is_staged: bool) -> str | None:
    """What keeps a node that was added from being a member (staged: from waiting); None: nothing.

    Asked of the node itself.
    """
    reason = why_not_answering(status, node_id)
    if status is None or reason is not None:
        return reason
    node = next(each for each in status.nodes if each.id == node_id)
    wanted = ("joining", "member") if is_staged else ("member",)
    if node.membership not in wanted or node.state != "up":
        return f"is {node.membership} and {node.state}"
    return None


def why_not_ready(status: Status | None, ids: Mapping[str, str | None]) -> str | None:
    """What keeps these nodes from taking a quorum put, as one of them sees it; None: nothing.

    ``ids`` are the nodes' ids by name; None where a node has none yet.
    """
    if status is None:
        return "does not answer yet"
    seen = {node.id: node for node in status.nodes}
    for name, node_id in ids.items():
        node = None if node_id is None else seen.get(node_id)
        if node is None:
            return f"has not heard of {name} yet"
        if node.state != "up":
            return f"{name} is {node.membership} and {node.state}"
        if node.membership != "member":
            continue  # It waits to join, or gives away what it has: others hold the keys.
        if node.weight and not node.tokens:
            return f"{name} owns no token yet"
        if node.incomplete:
            return f"{name} may not vote for all its partitions yet"
    return None if status.converged else "the members do not agree yet"
