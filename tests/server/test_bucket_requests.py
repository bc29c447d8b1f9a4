"""Properties of buckets over the door of one node: set one after the other, and read."""

from __future__ import annotations

from typing import Any, cast

import pytest
import trio

from dynamo_py.cluster.buckets import BucketMap
from dynamo_py.errors import InvalidRequest, StorageError
from dynamo_py.server.bucket_requests import BucketRequests
from dynamo_py.wire.bucket_messages import Buckets, SetBucket
from dynamo_py.wire.buckets import BucketEntry, BucketProperties


class FakeState:
    """The face of `ClusterState`. A decision takes a moment, and may fail."""

    replicas = 3

    def __init__(self) -> None:
        self.buckets = BucketMap()
        self.decided = 0
        self.error: StorageError | None = None

    async def decide(self, *, buckets: list[BucketEntry]) -> None:
        await trio.sleep(0.01)
        if self.error is not None:
            raise self.error
        self.decided += 1
        self.buckets = self.buckets.merged(buckets)


@pytest.fixture
def state() -> FakeState:
    return FakeState()


@pytest.fixture
async def requests(state, autojump_clock) -> BucketRequests:
    return BucketRequests(cast(Any, state))


async def test_two_changes_at_once_both_stay(requests, state, autojump_clock):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(requests.set, SetBucket("carts", r=1))
        nursery.start_soon(requests.set, SetBucket("carts", codec="json"))
    entry = BucketEntry("carts", 2, BucketProperties(r=1, codec="json"))
    assert requests.all() == Buckets([entry])


async def test_a_change_is_answered_with_all_that_the_bucket_says(requests, autojump_clock):
    await requests.set(SetBucket("carts", r=1))
    done = await requests.set(SetBucket("carts", w=2))
    assert done == Buckets([BucketEntry("carts", 2, BucketProperties(r=1, w=2))])


async def test_a_change_that_changes_nothing_is_not_decided(requests, state, autojump_clock):
    await requests.set(SetBucket("carts", r=1))
    await requests.set(SetBucket("carts", r=1))
    done = await requests.set(SetBucket("other", r=0))
    assert state.decided == 1
    assert done.entries[0].properties == BucketProperties()


async def test_what_cannot_be_is_refused_and_what_cannot_be_stored_is_not_known(
    requests, state, autojump_clock
):
    with pytest.raises(InvalidRequest):
        await requests.set(SetBucket("carts", r=4))
    state.error = StorageError("the disk is gone")
    with pytest.raises(StorageError):
        await requests.set(SetBucket("carts", r=1))
    assert requests.all() == Buckets([])
    state.error = None
    await requests.set(SetBucket("carts", r=1))
    assert len(requests.all().entries) == 1
