"""What others would refuse is refused where it is handed in, and nothing has changed."""

from __future__ import annotations

import random

import pytest

from gossip import GossipConfig, GossipError, Member, SetPayload, Swim
from gossip.members import PAYLOAD_BYTES_MAX, TOPIC_MAX

ME = Member(b"me", "me", "me:1")


def core(me: Member = ME, cluster: bytes = b"cluster") -> Swim:
    return Swim(
        config=GossipConfig(),
        cluster=cluster,
        me=me,
        seeds=(),
        generator=random.Random(1),
        now=0.0,
    )


@pytest.mark.parametrize(
    "me",
    [
        Member(b"", "me", "me:1"),
        Member(bytes(33), "me", "me:1"),
        Member(b"me", "x" * 129, "me:1"),
        Member(b"me", "me", ""),
        Member(b"me", "me", "x" * 257),
    ],
)
def test_an_own_member_out_of_its_bounds_is_refused(me):
    with pytest.raises(GossipError, match="own member"):
        core(me)


def test_a_cluster_id_that_is_too_long_is_refused():
    with pytest.raises(GossipError, match="64"):
        core(cluster=bytes(65))


@pytest.mark.parametrize(
    "refused",
    [
        SetPayload(3, 10, b"the same version again"),
        SetPayload(4, 10, bytes(PAYLOAD_BYTES_MAX + 1)),
        SetPayload(TOPIC_MAX + 1, 10, b""),
        SetPayload(-1, 10, b""),
        SetPayload(4, -1, b""),
    ],
)
def test_a_payload_that_is_refused_changes_nothing(refused):
    swim = core()
    swim.step(0.0, SetPayload(3, 10, b"data"))
    before = swim.members()
    with pytest.raises(GossipError):
        swim.step(0.0, refused)
    assert swim.members() == before
    swim._check()


def test_the_largest_payload_is_taken():
    swim = core()
    swim.step(0.0, SetPayload(TOPIC_MAX, 1, bytes(PAYLOAD_BYTES_MAX)))
    assert len(swim.me.payloads[TOPIC_MAX].data) == PAYLOAD_BYTES_MAX
