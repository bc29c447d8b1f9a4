"""Clients' requests about the properties of buckets: read by any node, set on any node.

Knows nothing of how they reach the others, or of what they mean.
"""

from __future__ import annotations

import trio

from dynamo_py.cluster.state import ClusterState
from dynamo_py.log import get_logger
from dynamo_py.wire.bucket_messages import Buckets, SetBucket

log = get_logger(__name__)


class BucketRequests:
    """Answers them on one node."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._turn = trio.Lock()

    def all(self) -> Buckets:
        """Every bucket that was ever given properties."""
        return Buckets(self._state.buckets.entries)

    async def set(self, change: SetBucket) -> Buckets:
        """Change a bucket's properties: on this node's disk, then known, then told to all.

        Raises `InvalidRequest` and `WrongState` for what cannot be, `StorageError` where it
        cannot be stored.
        """
        # One after the other: two changes of one version would not both stay.
        async with self._turn:
            known = self._state.buckets
            entry = known.changed(change, replicas=self._state.replicas)
            if entry != known.get(change.bucket) and entry.version:
                await self._state.decide(buckets=[entry])
                log.info("properties of a bucket set", bucket=entry.bucket, version=entry.version)
            return Buckets([entry])
