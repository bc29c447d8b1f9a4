"""Questions to the cluster: each is asked as its message, and answered by its answer."""

from __future__ import annotations

import pytest

from dynamo_py.client.connecting import connect
from dynamo_py.client.properties import BucketProperties
from dynamo_py.errors import InvalidRequest, NodeUnavailable
from dynamo_py.wire import buckets as wire
from dynamo_py.wire.bucket_messages import Buckets, GetBuckets, SetBucket
from dynamo_py.wire.change_messages import (
    Changed,
    ChangeMember,
    ClearChanges,
    CommitChanges,
    GetPlan,
    Plan,
)
from dynamo_py.wire.handover_messages import GetTransfers, Transfers
from dynamo_py.wire.messages import Explain, Explanation, GetRing, GetStatus, Message, Status

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


PLAN = Plan([], [], [], 0, 0, 0, 8, 3, 3, 8, "", [])
CHANGED = Changed(["n4 joins"], [])


def of_members(message: Message) -> Message:
    match message:
        case GetPlan():
            return PLAN
        case GetTransfers():
            return Transfers([], [], [], [])
    return CHANGED


async def test_changes_of_members_are_asked_for_as_they_are_meant(running_cluster):
    async with running_cluster(1) as cluster:
        cluster.answer_all(of_members)
        async with connect(*cluster.addresses) as store:
            admin = store.admin
            assert await admin.join("n4", staged=True, timeout=30) == CHANGED
            await admin.leave("n1", timeout=30)
            await admin.remove("n2", force=True, timeout=30)
            await admin.replace("n2", "n4", timeout=30)
            await admin.commit(force=True, timeout=30)
            await admin.clear(timeout=30)
            assert await admin.plan(sized=False, timeout=30) == PLAN
            assert await admin.transfers(timeout=30) == Transfers([], [], [], [])
        asked = [message for message in cluster.asked if not isinstance(message, GetRing)]
    assert asked == [
        ChangeMember("join", "n4", is_staged=True),
        ChangeMember("leave", "n1"),
        ChangeMember("remove", "n2", force=True),
        ChangeMember("replace", "n2", "n4"),
        CommitChanges(force=True),
        ClearChanges(),
        GetPlan(is_sized=False),
        GetTransfers(),
    ]


async def test_a_change_that_may_have_been_made_is_asked_for_as_a_further_attempt(running_cluster):
    """Its answer was lost: that it is so already is then no failure."""
    answers: list[Message | NodeUnavailable] = [NodeUnavailable("cut off"), CHANGED]
    async with running_cluster(1) as cluster:
        cluster.answer_all(lambda message: answers.pop(0))
        async with connect(*cluster.addresses) as store:
            assert await store.admin.leave("n1", timeout=30) == CHANGED
        asked = [message for message in cluster.asked if isinstance(message, ChangeMember)]
    assert asked == [ChangeMember("leave", "n1"), ChangeMember("leave", "n1", attempt=1)]


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
