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
from dynamo_py.wire.keys import routing_key
from dynamo_py.wire.sync_messages import GetSync, Sync

TIMEOUT_S = 5.0


class Admin:
    """What any node can tell about the cluster."""

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
