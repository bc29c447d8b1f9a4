"""Properties of buckets between users and the wire."""

from __future__ import annotations

import math

import pytest

from dynamo_py.client.properties import KEEP, BucketProperties, change_of, properties_from
from dynamo_py.errors import InvalidRequest
from dynamo_py.wire import buckets as wire
from dynamo_py.wire.bucket_messages import SetBucket
from dynamo_py.wire.messages import ALL, MAJORITY


def test_what_travels_is_shown_as_users_say_it():
    said = wire.BucketProperties(1, ALL, MAJORITY, 0, 2, "cart", "json", 1500)
    assert properties_from(said) == BucketProperties(
        r=1, w="all", dw="quorum", pw=2, resolver="cart", codec="json", ttl=1.5
    )
    assert properties_from(wire.BucketProperties()) == BucketProperties()


def test_a_change_names_what_it_changes_and_nothing_else():
    change = change_of("carts", {"r": "all", "w": KEEP, "ttl": 1.5, "codec": None})
    assert change == SetBucket("carts", r=ALL, codec="", ttl_ms=1500)
    unset = {"pw": None, "resolver": None, "ttl": None}
    assert change_of("b", unset) == SetBucket("b", pw=0, resolver="", ttl_ms=0)


@pytest.mark.parametrize(
    "properties",
    [
        {"r": 0},
        {"w": "most"},
        {"dw": True},
        {"ttl": 0},
        {"ttl": math.nan},
        {"ttl": 1e300},
        {"codec": 5},
        {"resolver": max},
    ],
)
def test_what_cannot_travel_is_refused_by_its_name(properties):
    (name,) = properties
    with pytest.raises(InvalidRequest, match=f"^{name}: "):
        change_of("carts", properties)
