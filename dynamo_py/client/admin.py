"""Questions about the cluster itself, for administrators and their tools."""

from __future__ import annotations

from dynamo_py.client.properties import (
    KEEP,
    BucketProperties,
    Keep,
    QuorumLike,
    change_of,
    properties_from,
)
from dynamo_py.client.requests import Requests, ask_for
from dynamo_py.wire import messages as wire
from dynamo_py.wire.bucket_messages import Buckets, GetBuckets
from dynamo_py.wire.change_messages import (
    JOIN,
    LEAVE,
    REMOVE,
    REPLACE,
    Changed,
    ChangeMember,
    ClearChanges,
    CommitChanges,
    GetPlan,
    Plan,
)
from dynamo_py.wire.handover_messages import GetTransfers, Transfers
from dynamo_py.wire.keys import routing_key
from dynamo_py.wire.sync_messages import GetSync, Sync

TIMEOUT_S = 5.0
PLAN_S = 20.0
"""For what has a node ask all others first, whose answers may take a while."""


class Admin:
    """What any node can tell about the cluster, and changes of who its members are.

    A change is committed at once or, ``staged``, with the next `commit`; meanwhile every node
    shows it in its `plan`. A change that may lose data raises `WrongState` with the reason, unless
    it is forced (``force``). Nodes are named by their names.
    """

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def status(self, *, timeout: float = TIMEOUT_S) -> wire.Status:
        """The members with their figures, and whether the live ones agree."""
        return await ask_for(self._requests, wire.GetStatus(), wire.Status, timeout_s=timeout)

    async def sync(self, *, hurry: bool = False, timeout: float = TIMEOUT_S) -> Sync:
        """How each two copies stand to each other; ``hurry`` has all compared again at once."""
        return await ask_for(self._requests, GetSync(hurry), Sync, timeout_s=timeout)

    async def ring(self, *, timeout: float = TIMEOUT_S) -> wire.Ring:
        """Who owns which token, by what clients route."""
        return await ask_for(self._requests, wire.GetRing(), wire.Ring, timeout_s=timeout)

    async def hints(self, *, timeout: float = TIMEOUT_S) -> wire.HintFigures:
        """What each node keeps for others, and how the handing back goes."""
        return await ask_for(self._requests, wire.GetHints(), wire.HintFigures, timeout_s=timeout)

    async def join(self, node: str, *, staged: bool = False, timeout: float = PLAN_S) -> Changed:
        """Let a node in that was started with ``stage`` and waits for it."""
        return await self._change(ChangeMember(JOIN, node, is_staged=staged), timeout)

    async def leave(
        self, node: str, *, staged: bool = False, force: bool = False, timeout: float = PLAN_S
    ) -> Changed:
        """Have a node hand over all that it holds, and end."""
        return await self._change(ChangeMember(LEAVE, node, "", force, staged), timeout)

    async def remove(
        self, node: str, *, staged: bool = False, force: bool = False, timeout: float = PLAN_S
    ) -> Changed:
        """Declare a node dead, for good: the others complete its copies from theirs."""
        return await self._change(ChangeMember(REMOVE, node, "", force, staged), timeout)

    async def replace(
        self,
        node: str,
        successor: str,
        *,
        staged: bool = False,
        force: bool = False,
        timeout: float = PLAN_S,
    ) -> Changed:
        """Declare a node dead, and have ``successor`` take its tokens."""
        message = ChangeMember(REPLACE, node, successor, force, staged)
        return await self._change(message, timeout)

    async def commit(self, *, force: bool = False, timeout: float = PLAN_S) -> Changed:
        """Carry out all that is staged; `WrongState` where nothing is."""
        return await self._change(CommitChanges(force), timeout)

    async def clear(self, *, timeout: float = PLAN_S) -> Changed:
        """Take back all that is staged. Nodes that wait to join are sent away."""
        return await self._change(ClearChanges(), timeout)

    async def _change(
        self, message: ChangeMember | CommitChanges | ClearChanges, timeout_s: float
    ) -> Changed:
        return await ask_for(self._requests, message, Changed, timeout_s=timeout_s)

    async def plan(self, *, sized: bool = True, timeout: float = PLAN_S) -> Plan:
        """What the staged changes would move; with none, what a running one has still to move.

        Without ``sized`` no other node is asked, and no size is known.
        """
        return await ask_for(self._requests, GetPlan(sized), Plan, timeout_s=timeout)

    async def transfers(self, *, timeout: float = TIMEOUT_S) -> Transfers:
        """The partitions that are on their way between nodes."""
        return await ask_for(self._requests, GetTransfers(), Transfers, timeout_s=timeout)

    async def explain(
        self, bucket: str, key: str | bytes, *, timeout: float = TIMEOUT_S
    ) -> wire.Explanation:
        """Where a key lives, and what each node holds of it."""
        message = wire.Explain(routing_key(bucket, key))
        return await ask_for(self._requests, message, wire.Explanation, timeout_s=timeout)

    async def buckets(self, *, timeout: float = TIMEOUT_S) -> dict[str, BucketProperties]:
        """The properties of every bucket that was ever given any, by name."""
        found = await ask_for(self._requests, GetBuckets(), Buckets, timeout_s=timeout)
        return {entry.bucket: properties_from(entry.properties) for entry in found.entries}

    async def bucket(self, bucket: str, *, timeout: float = TIMEOUT_S) -> BucketProperties:
        """The properties of one bucket."""
        routing_key(bucket, "k")
        return (await self.buckets(timeout=timeout)).get(bucket, BucketProperties())

    async def set_bucket(
        self,
        bucket: str,
        *,
        r: QuorumLike | Keep = KEEP,
        w: QuorumLike | Keep = KEEP,
        dw: QuorumLike | Keep = KEEP,
        pr: QuorumLike | Keep = KEEP,
        pw: QuorumLike | Keep = KEEP,
        resolver: str | Keep | None = KEEP,
        codec: str | Keep | None = KEEP,
        ttl: float | Keep | None = KEEP,
        timeout: float = TIMEOUT_S,
    ) -> BucketProperties:
        """Change the properties of a bucket that are named; None unsets one. What it has now.

        All nodes and clients know it soon after, not at once. Of two changes made on two
        nodes at the same moment one stays, the same everywhere. A codec is set before the
        first value is put: what is stored already stays as it is. Raises `InvalidRequest` for
        what cannot be, `WrongState` where too many buckets have properties.
        """
        properties = {"r": r, "w": w, "dw": dw, "pr": pr, "pw": pw}
        names = {"resolver": resolver, "codec": codec, "ttl": ttl}
        message = change_of(bucket, {**properties, **names})
        done = await ask_for(self._requests, message, Buckets, timeout_s=timeout)
        (entry,) = done.entries
        return properties_from(entry.properties)
