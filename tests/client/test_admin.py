"""Questions to the cluster: each is asked as its message, and answered by its answer."""

from __future__ import annotations

import pytest

from dynamo_py.client.connecting import connect
from dynamo_py.client.properties import BucketProperties
from dynamo_py.errors import InvalidRequest
from dynamo_py.wire import buckets as wire
from dynamo_py.wire.bucket_messages import Buckets, GetBuckets, SetBucket
from dynamo_py.wire.messages import Explain, Explanation, GetStatus, Message, Status

STATUS = Status("dynamo", 1, "ff", True, [], ["n2 is down"], 8, 3)
EXPLANATION = Explanation(1, 2, ["n1"], ["n2"], [], [])


def answer(message: Message) -> Message:
    return STATUS if isinstance(message, GetStatus) else EXPLANATION


async def test_what_is_asked_is_answered(running_cluster):
    async with running_cluster(2) as cluster:
        cluster.answer_all(answer)
        async with connect(*cluster.addresses) as store:
            assert await store.admin.status(timeout=30) == STATUS
            assert await store.admin.explain("carts", "alice", timeout=30) == EXPLANATION
            assert await store.admin.ring(timeout=30) == cluster.ring
        assert Explain(b"carts\0alice") in cluster.asked


async def test_properties_of_buckets_are_asked_for_and_set(running_cluster):
    entry = wire.BucketEntry("carts", 3, wire.BucketProperties(r=2, codec="json"))
    async with running_cluster(2) as cluster:
        cluster.answer_all(lambda message: Buckets([entry]))
        async with connect(*cluster.addresses) as store:
            admin, carts = store.admin, BucketProperties(r=2, codec="json")
            assert await admin.buckets(timeout=30) == {"carts": carts}
            assert await admin.bucket("carts", timeout=30) == carts
            assert await admin.bucket("other", timeout=30) == BucketProperties()
            assert await admin.set_bucket("carts", r=2, ttl=None, timeout=30) == carts
            with pytest.raises(InvalidRequest, match="bucket's name"):
                await admin.bucket("")
        assert cluster.asked.count(GetBuckets()) == 3
        assert SetBucket("carts", r=2, ttl_ms=0) in cluster.asked
